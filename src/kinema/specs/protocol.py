"""Test protocols: which views of a video a model sees, and what is averaged over them. Free of torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from kinema.errors import UserError, unknown_name
from kinema.specs.crop_boxes import CROP_SETS
from kinema.specs.flow_input import FlowInput
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.sampling import All, Dense, RandomStarts, Sampler, Steps, Uniform, make_sampler

DEEP_ANALYSIS = "Deep Analysis of CNN-based Spatio-temporal Representations for Action Recognition, arXiv 2010.11757"
R2PLUS1D = "A Closer Look at Spatiotemporal Convolutions for Action Recognition, arXiv 1711.11248"
TWO_STREAM = "Towards Good Practices for Very Deep Two-Stream ConvNets, arXiv 1507.02159"
S3DG = "Rethinking Spatiotemporal Feature Learning, arXiv 1712.04851"
MULTI_FIBER = "Multi-Fiber Networks for Video Recognition, arXiv 1807.11195"

PAPER_CROP = 224
"""The crop for which the protocols state their sizes; networks trained on other crops get sizes in proportion."""


@dataclass(frozen=True, kw_only=True)
class EvalProtocol:
    """How a model is tested on a video: clips x crops, and what is averaged over these views.

    Attributes:
        name: What ``protocol`` calls it.
        sampler: Chooses the frames of each clip.
        resize: Size before the crops: ``(s,)`` short side, ``(h, w)`` exact, ``()`` short side equals the crop.
        crop_size: Side of the square crops, in pixels.
        crops: Names of the crops of every clip, see ``kinema.specs.crop_boxes.CROP_SETS``.
        averages: ``logits`` or ``probabilities``; the two give different accuracies.
        citation: Where the protocol comes from.
        flow: What a flow network sees in place of each frame; None for RGB.
    """

    name: str
    sampler: Sampler
    resize: tuple[int, ...] = ()
    crop_size: int = PAPER_CROP
    crops: tuple[str, ...] = ("center",)
    averages: str = "logits"
    citation: str = ""
    flow: FlowInput | None = None

    @property
    def num_views(self) -> int:
        """Views of a video: clips x crops."""
        return len(self.sampler.sample(1)) * len(self.crops)

    def average(self, rows: np.ndarray) -> np.ndarray:
        """Average the scores of a video's views.

        Args:
            rows: Logits of the network, axes ``... views classes``, clip after clip.

        Returns:
            What ``averages`` names, float32, axes ``... classes``.
        """
        return mean_over_views(softmax(rows) if self.averages == "probabilities" else rows)

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Average the logits of a video's views (axes ``views classes``) into probabilities, axis ``classes``."""
        average = self.average(rows)
        return average if self.averages == "probabilities" else softmax(average)


def mean_over_views(rows: np.ndarray) -> np.ndarray:
    """Average what a network gives for a video's views: from axes ``... views d`` to ``... d``, float32."""
    return rows.mean(axis=-2, dtype=np.float64).astype(np.float32)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, float32."""
    wide = scores.astype(np.float64)
    wide = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return (wide / wide.sum(axis=-1, keepdims=True)).astype(np.float32)


class _Form(NamedTuple):
    """A name with numbers in it, and what makes a protocol of the numbers."""

    pattern: str
    build: Callable[[str, tuple[int, ...], Preprocessing], EvalProtocol]


def protocol(name: str, preprocessing: Preprocessing) -> EvalProtocol:
    """Resolve a protocol's name for the network that is tested.

    Frames and stride come from the network, except in ``mfnet-M`` (16 frames, stride 2) and ``image``. So does the crop
    size, except in ``r2plus1d`` and ``sports1m`` (112). The other papers state their sizes for crops of 224 pixels; for
    other crops all sizes are scaled.

    Args:
        name: ``clip``, ``uniform-MxC``, ``dense-MxC`` (M clips, C crops: 1, 3, 5 or 10), ``r2plus1d-10``,
            ``r2plus1d-10-random``, ``sports1m-100``, ``two-stream-25x10``, ``all-frames`` or ``all-frames-N`` (looped
            up to N frames, at first the network's own number), ``mfnet-M``, ``image``.
        preprocessing: What the network was trained on.

    Raises:
        UserError: The name is unknown, or its numbers are not allowed.
    """
    for form in FORMS.values():
        match = re.fullmatch(form.pattern, name)
        if match:
            built = form.build(name, tuple(int(number) for number in match.groups(default="0")), preprocessing)
            return replace(built, flow=preprocessing.flow_input)
    raise unknown_name("protocol", name, EXAMPLES, f"Forms: {', '.join(FORMS)}.")


def _clip(name: str, numbers: tuple[int, ...], preprocessing: Preprocessing) -> EvalProtocol:
    """The network's own sampler, one clip, centre crop: fast, and what training validates with."""
    return EvalProtocol(
        name=name,
        sampler=make_sampler(preprocessing),
        resize=preprocessing.resize or (preprocessing.crop_size,),
        crop_size=preprocessing.crop_size,
        citation=DEEP_ANALYSIS,
    )


def _multi_clip(name: str, numbers: tuple[int, ...], preprocessing: Preprocessing) -> EvalProtocol:
    """M clips x C crops; three crops are squares of the whole short side, 256 for a network trained on 224."""
    clips, num_crops = numbers
    if clips < 1 or num_crops not in CROP_SETS:
        allowed = ", ".join(str(count) for count in CROP_SETS)
        raise UserError(f"protocol {name!r}: give at least 1 clip and one of {allowed} crops, such as uniform-10x3")
    crop_size, short_side = preprocessing.crop_size, _scaled(256, preprocessing)
    frames, stride = preprocessing.frames, preprocessing.stride
    uniform = name.startswith("uniform")
    return EvalProtocol(
        name=name,
        sampler=Uniform(frames, views=clips) if uniform else Dense(frames, stride=stride, views=clips),
        resize=(preprocessing.resize or (crop_size,)) if num_crops == 1 else (short_side,),
        crop_size=short_side if num_crops == 3 else crop_size,
        crops=CROP_SETS[num_crops],
        citation=DEEP_ANALYSIS,
    )


def _r2plus1d(name: str, numbers: tuple[int, ...], preprocessing: Preprocessing) -> EvalProtocol:
    """Ten evenly spaced clips, or ten (Sports-1M: a hundred) random ones that are the same on every run."""
    frames, stride = preprocessing.frames, preprocessing.stride
    even = name == "r2plus1d-10"
    views = 100 if name == "sports1m-100" else 10
    return EvalProtocol(
        name=name,
        sampler=Dense(frames, stride=stride, views=views) if even else RandomStarts(frames, stride=stride, views=views),
        resize=(128, 171),
        crop_size=112,
        averages="probabilities",
        citation=R2PLUS1D,
    )


def _two_stream(name: str, numbers: tuple[int, ...], preprocessing: Preprocessing) -> EvalProtocol:
    """Twenty-five places, each a clip of one frame (one flow stack), ten crops each."""
    return EvalProtocol(
        name=name,
        sampler=Steps(views=25, of_flow=preprocessing.modality == "flow"),
        resize=(_scaled(256, preprocessing), _scaled(340, preprocessing)),
        crop_size=preprocessing.crop_size,
        crops=CROP_SETS[10],
        citation=TWO_STREAM,
    )


def _all_frames(name: str, numbers: tuple[int, ...], preprocessing: Preprocessing) -> EvalProtocol:
    """Every frame as one clip. The paper's minimum is 64 on Something-Something, 250 on Mini-Kinetics."""
    side = _scaled(256, preprocessing)
    return EvalProtocol(
        name=name,
        sampler=All(minimum=numbers[0] or preprocessing.frames),
        resize=(side, side),
        crop_size=preprocessing.crop_size,
        citation=S3DG,
    )


def _mfnet(name: str, numbers: tuple[int, ...], preprocessing: Preprocessing) -> EvalProtocol:
    """M random clips of 16 frames, stride 2, whatever the network was trained on; the same on every run."""
    if numbers[0] < 1:
        raise UserError(f"protocol {name!r}: give at least 1 clip, such as mfnet-10")
    side = _scaled(256, preprocessing)
    return EvalProtocol(
        name=name,
        sampler=RandomStarts(16, stride=2, views=numbers[0]),
        resize=(side, side),
        crop_size=preprocessing.crop_size,
        averages="probabilities",
        citation=MULTI_FIBER,
    )


def _image(name: str, numbers: tuple[int, ...], preprocessing: Preprocessing) -> EvalProtocol:
    """One frame, the middle one: image classifiers on images (videos of one frame) or as the plainest baseline."""
    return EvalProtocol(
        name=name,
        sampler=Uniform(1),
        resize=(_scaled(256, preprocessing),),
        crop_size=preprocessing.crop_size,
    )


def _scaled(pixels: int, preprocessing: Preprocessing) -> int:
    """Scale a size that a paper states for 224-pixel crops to the network's crop."""
    return round(pixels * preprocessing.crop_size / PAPER_CROP)


FORMS: dict[str, _Form] = {
    "clip": _Form(r"clip", _clip),
    "uniform-MxC": _Form(r"uniform-(\d+)x(\d+)", _multi_clip),
    "dense-MxC": _Form(r"dense-(\d+)x(\d+)", _multi_clip),
    "r2plus1d-10": _Form(r"r2plus1d-10", _r2plus1d),
    "r2plus1d-10-random": _Form(r"r2plus1d-10-random", _r2plus1d),
    "sports1m-100": _Form(r"sports1m-100", _r2plus1d),
    "two-stream-25x10": _Form(r"two-stream-25x10", _two_stream),
    "all-frames[-N]": _Form(r"all-frames(?:-(\d+))?", _all_frames),
    "mfnet-M": _Form(r"mfnet-(\d+)", _mfnet),
    "image": _Form(r"image", _image),
}
"""Every protocol by the form of its name; M clips, C crops, N frames."""

EXAMPLES = (
    "clip",
    "uniform-10x3",
    "dense-10x3",
    "r2plus1d-10",
    "r2plus1d-10-random",
    "sports1m-100",
    "two-stream-25x10",
    "all-frames",
    "all-frames-64",
    "mfnet-10",
    "image",
)
"""Names that resolve, one or more for each form; an unknown name is told the nearest of them."""
