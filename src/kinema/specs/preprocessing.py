"""What a network wants to be given: the preprocessing that goes with every set of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from kinema.errors import UserError, unknown_name
from kinema.specs.flow_input import FlowInput


@dataclass(frozen=True)
class Preprocessing:
    """How frames become the clip that a set of weights was trained on.

    Attributes:
        mean: Mean of each channel, of values scaled to 0..1.
        std: Standard deviation of each channel, of values scaled to 0..1.
        frames: Frames of a clip.
        sampling: ``"uniform"`` over the video, ``"dense"`` neighbours, or ``"all"``.
        stride: Frames from one of a dense clip to the next.
        crop_size: Height and width that the network sees, in pixels.
        resize: ``()``: the short side becomes the crop size; ``(s,)``: the short side becomes s; ``(h, w)``: exactly.
        channel_order: ``"rgb"`` or ``"bgr"``.
        modality: ``"rgb"`` or ``"flow"``.
        flow: Name of the flow, see ``kinema.specs.flow_input.FlowInput``; empty where it is not known.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    frames: int = 8
    sampling: str = "uniform"
    stride: int = 1
    crop_size: int = 224
    resize: tuple[int, ...] = ()
    channel_order: str = "rgb"
    modality: str = "rgb"
    flow: str = ""

    def __post_init__(self) -> None:
        """Check the values, which may come from a file, and turn lists into tuples."""
        for name in ("mean", "std", "resize"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        allowed = {
            "sampling": ("uniform", "dense", "all"),
            "channel_order": ("rgb", "bgr"),
            "modality": ("rgb", "flow"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise unknown_name(name, str(getattr(self, name)), values)
        if self.flow and (self.modality != "flow" or FlowInput.parse(self.flow).num_channels != len(self.mean)):
            given = f"modality {self.modality!r} and {len(self.mean)} means"
            raise UserError(f"flow {self.flow!r} needs modality 'flow' and one mean for each channel, got {given}")
        if len(self.mean) != len(self.std) or not self.mean or min(self.std) <= 0:
            raise UserError(f"mean and std need one value for each channel and std > 0, got {self.mean}, {self.std}")
        if min(self.frames, self.stride, self.crop_size) < 1 or len(self.resize) > 2 or min(self.resize, default=1) < 1:
            raise UserError(
                f"frames, stride and crop_size must be 1 or more and resize (), (s,) or (h, w), "
                f"got {self.frames}, {self.stride}, {self.crop_size}, {self.resize}"
            )

    @property
    def flow_input(self) -> FlowInput | None:
        """What a flow network sees in a time step; None for RGB."""
        if self.modality != "flow":
            return None
        return (
            FlowInput.parse(self.flow)
            if self.flow
            else FlowInput(method="any", bound=0.0, num_fields=len(self.mean) // 2)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read what ``to_dict`` wrote.

        Raises:
            UserError: A key is unknown or a value is out of range.
        """
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise unknown_name("field of Preprocessing", key, known)
        return cls(**values)
