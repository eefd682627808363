"""What a recipe says about its clips: how frames are chosen, cropped, coloured and loaded."""

from __future__ import annotations

from dataclasses import dataclass

from kinema.errors import UserError, one_of
from kinema.specs.flow_input import FlowInput

SAMPLINGS = ("uniform", "dense", "all")
AUGMENTATIONS = ("short-side", "fixed", "multi-scale", "multi-fiber", "center")
BALANCES = ("none", "sampler", "loss")
BACKENDS = ("auto", "pyav", "torchcodec", "frames")


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """How training clips are made from videos; a part of a recipe, and free of torch.

    Attributes:
        frames: Frames per clip.
        sampling: ``uniform`` (one frame from each of ``frames`` segments), ``dense`` (neighbours, ``stride`` apart)
            or ``all`` (every frame; needs a batch of one).
        stride: Distance of neighbouring frames in dense sampling, in frames.
        strides: Distances to draw from for each training clip, with repeats as weights (Multi-Fiber: 1, 2, 2, 3);
            empty means always ``stride``.
        per_segment: In uniform sampling draw one offset per segment (TSN, TSM) instead of one per clip.
        augmentation: Where the crop comes from. ``short-side``: short side drawn from ``short_side``, random crop.
            ``fixed``: ``resize``, random crop. ``multi-scale``: sides drawn from ``scales``, one of ``positions``.
            ``multi-fiber``: short side from ``short_side``, aspect from ``aspect`` times that of an exact ``resize``,
            random crop. ``center``: ``resize`` and the crop in the middle, as at test time.
        short_side: Smallest and largest short side in pixels.
        resize: Size before the crop: ``()`` short side equals the crop (``multi-scale``: as it is), ``(s,)`` short
            side, ``(h, w)`` exact.
        crop_size: Side of the square that the network sees, in pixels.
        positions: Crop positions of ``multi-scale``: 5 (corners and centre) or 13.
        scales: Sides of ``multi-scale`` as fractions of the short side, largest first.
        max_distort: How many steps of ``scales`` height and width may lie apart.
        aspect: Smallest and largest factor on width over height, for ``multi-fiber``.
        flip: Mirror half of the clips; never those of classes marked ``no_flip``.
        color_jitter: Largest change of hue (of 180), lightness and saturation (of 255).
        balance: Make classes count equally: ``none``, ``sampler`` (draw rare classes more often, another clip of
            a video each time) or ``loss``.
        num_workers: Processes that decode; 0 decodes in the training process.
        backend: Decoder: auto, pyav, torchcodec or frames.
        flow: Optical flow instead of RGB: METHOD-BOUND[xFIELDS][-centred][-computed], such as tvl1-20x10 for stacks of
            10 stored fields; empty for RGB. A frame of ``frames`` is then a stack.

    Raises:
        UserError: A value is not allowed; the message names it.
    """

    frames: int = 8
    sampling: str = "uniform"
    stride: int = 1
    strides: tuple[int, ...] = ()
    per_segment: bool = False
    augmentation: str = "short-side"
    short_side: tuple[int, int] = (256, 320)
    resize: tuple[int, ...] = ()
    crop_size: int = 224
    positions: int = 13
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    max_distort: int = 1
    aspect: tuple[float, float] = (0.8, 1.25)
    flip: bool = True
    color_jitter: tuple[int, int, int] = (0, 0, 0)
    balance: str = "none"
    num_workers: int = 2
    backend: str = "auto"
    flow: str = ""

    @property
    def flow_input(self) -> FlowInput | None:
        """What a flow network sees, read from ``flow``; None for RGB."""
        return FlowInput.parse(self.flow) if self.flow else None

    def __post_init__(self) -> None:
        one_of("data.sampling", self.sampling, SAMPLINGS)
        one_of("data.augmentation", self.augmentation, AUGMENTATIONS)
        one_of("data.balance", self.balance, BALANCES)
        one_of("data.backend", self.backend, BACKENDS)
        for name in ("frames", "stride", "crop_size"):
            _require(getattr(self, name) >= 1, f"data.{name} is {getattr(self, name)}; it must be at least 1")
        _require(self.num_workers >= 0, f"data.num_workers is {self.num_workers}; it must be 0 or more")
        _require(self.max_distort >= 0, f"data.max_distort is {self.max_distort}; it must be 0 or more")
        _require(self.positions in (5, 13), f"data.positions is {self.positions}; it must be 5 or 13")
        _require(all(stride >= 1 for stride in self.strides), f"data.strides is {self.strides}; each must be >= 1")
        _require(
            len(self.color_jitter) == 3 and min(self.color_jitter) >= 0,
            f"data.color_jitter is {self.color_jitter}; give three numbers of 0 or more: hue, lightness, saturation",
        )
        _require(
            self.flow_input is None or not any(self.color_jitter),
            f"data.color_jitter is {self.color_jitter}, but flow ({self.flow}) has no colours; give 0 0 0",
        )
        self._check_sizes()

    def _check_sizes(self) -> None:
        low, high = self.short_side
        _require(0 < low <= high, f"data.short_side is {self.short_side}; give the smaller number first")
        _require(
            self.augmentation not in ("short-side", "multi-fiber") or low >= self.crop_size,
            f"data.short_side starts at {low}, below data.crop_size {self.crop_size}; the crop would leave the frame",
        )
        _require(0 < self.aspect[0] <= self.aspect[1], f"data.aspect is {self.aspect}; give the smaller number first")
        _require(len(self.resize) <= 2, f"data.resize is {self.resize}; give (), (short side,) or (height, width)")
        _require(
            self.augmentation not in ("fixed", "center") or all(side >= self.crop_size for side in self.resize),
            f"data.resize is {self.resize}, smaller than data.crop_size {self.crop_size}",
        )
        _require(
            len(self.scales) > 0 and all(0 < scale <= 1 for scale in self.scales),
            f"data.scales is {self.scales}; give fractions of the short side, above 0 and up to 1",
        )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)
