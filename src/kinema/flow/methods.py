"""Flow methods by name: what they need, what they give, and the version that is stored with what they gave."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.errors import UserError, one_of
from kinema.flow.parameters import DisParameters, FarnebackParameters, FlowParameters, TvL1Parameters, digest

METHODS = {"tvl1": TvL1Parameters, "farneback": FarnebackParameters, "dis": DisParameters}
"""Name to the class of its parameters."""

BACKENDS = {"tvl1": ("torch", "opencv"), "farneback": ("opencv",), "dis": ("opencv",)}
"""Who computes each method, the default first."""

REVISION = 1
"""Version of our own TV-L1, kept in every flow store. Raise it when the flow changes by more than rounding does between
processors and versions of torch, about 0.01 px on average."""

SMALLEST_FRAME = 8
"""Frames with a shorter side, in px, are refused."""

LARGEST_BATCH = 64
"""Pairs of 340x256 px that a GPU computes at once (about 40 planes of float32 each); larger frames, fewer pairs."""


@dataclass(frozen=True)
class FlowMethod:
    """A way to compute flow; made by ``find_method``.

    Attributes:
        name: "tvl1", "farneback" or "dis".
        backend: "torch" (our own) or "opencv" (CPU only).
        parameters: Of the method.
    """

    name: str
    backend: str
    parameters: FlowParameters

    @property
    def version(self) -> str:
        """Who computed it, in which version and with which parameters, such as ``opencv-5.0.0/1a2b3c4d``."""
        if self.backend == "opencv":
            import cv2

            return f"opencv-{cv2.__version__}/{digest(self.parameters)}"
        return f"kinema-{REVISION}/{digest(self.parameters)}"

    def compute(self, first: Tensor, second: Tensor, *, device: str | torch.device = "cpu") -> Tensor:
        """Compute the flow of many pairs: where each pixel of the first frame is in the second.

        Args:
            first: uint8 frames, RGB or grey, axes ``n c h w`` with c = 3 or 1, on any device.
            second: The frames that follow, of the same shape.
            device: Where the torch backend computes; OpenCV computes on the CPU.

        Returns:
            float32, axes ``n 2 h w``, in px: to the right, then down. On ``device`` for the torch backend. Frames
            without texture, or equal ones, give 0.

        Raises:
            UserError: Frames differ in shape, are too small, or are not uint8 with 1 or 3 channels.
        """
        _check(first, second)
        if not len(first):
            return torch.zeros(0, 2, *first.shape[2:])
        if self.backend == "opencv":
            from kinema.flow.opencv import opencv_flow

            return opencv_flow(grey(first).cpu(), grey(second).cpu(), self.parameters)
        assert isinstance(self.parameters, TvL1Parameters)
        from kinema.flow.tvl1 import tvl1

        num_pairs = max(1, LARGEST_BATCH * 340 * 256 // (first.shape[-2] * first.shape[-1]))
        parts = []
        for one, other in zip(first.split(num_pairs), second.split(num_pairs), strict=True):
            frames = grey(one.to(device)), grey(other.to(device))
            parts.append(tvl1(*frames, self.parameters))
        return torch.cat(parts)


def find_method(name: str, backend: str = "auto", *, parameters: FlowParameters | None = None) -> FlowMethod:
    """Find a flow method.

    Args:
        name: "tvl1", "farneback" or "dis".
        backend: "torch" or "opencv"; "auto" takes torch where the method has it.
        parameters: Those of its class when not given: OpenCV's defaults for TV-L1 and Farneback.

    Raises:
        UserError: The name or the backend is unknown, the method does not have that backend, or the parameters are
            those of another method.
    """
    kind = METHODS[one_of("flow method", name, METHODS)]
    one_of("flow backend", backend, ("auto", "torch", "opencv"))
    backend = BACKENDS[name][0] if backend == "auto" else backend
    if backend not in BACKENDS[name]:
        raise UserError(f"flow method {name} has no {backend} backend; it has {' and '.join(BACKENDS[name])}.")
    parameters = kind() if parameters is None else parameters
    if not isinstance(parameters, kind):
        raise UserError(f"flow method {name} takes {kind.__name__}; given {type(parameters).__name__}.")
    return FlowMethod(name, backend, parameters)


def grey(frames: Tensor) -> Tensor:
    """Turn frames into luma as OpenCV does: 0.299 R + 0.587 G + 0.114 B, rounded.

    Args:
        frames: uint8, axes ``n c h w``, c = 1 or 3 (RGB).

    Returns:
        uint8, axes ``n h w``.
    """
    if frames.shape[1] == 1:
        return frames[:, 0]
    red, green, blue = frames.to(torch.int32).unbind(1)
    return ((9798 * red + 19235 * green + 3735 * blue + (1 << 14)) >> 15).to(torch.uint8)


def _check(first: Tensor, second: Tensor) -> None:
    if first.ndim != 4 or first.dtype != torch.uint8 or first.shape[1] not in (1, 3):
        raise UserError(
            f"flow needs uint8 frames, n c h w, with 1 or 3 channels; given {first.dtype} of {tuple(first.shape)}."
        )
    if first.shape != second.shape or first.dtype != second.dtype:
        raise UserError(
            f"the frames of a pair must have one size; given {tuple(first.shape)} and {tuple(second.shape)} (n c h w)."
        )
    if min(first.shape[-2:]) < SMALLEST_FRAME:
        raise UserError(
            f"frames of {first.shape[-1]}x{first.shape[-2]} px are too small for flow; "
            f"each side needs {SMALLEST_FRAME} px."
        )
