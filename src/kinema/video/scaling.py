"""Which size decoded frames get."""

from __future__ import annotations

from dataclasses import dataclass

from kinema.errors import UserError


@dataclass(frozen=True, slots=True)
class Scaling:
    """The size that was asked for, worked out for each video.

    Attributes:
        short_side: Pixels of the shorter side; the longer one keeps the aspect ratio.
        size: Exact height and width instead.
        exact_color: PyAV's frames get the nearest level of RGB. FFmpeg's usual conversion of frames that keep their
            size comes out one level darker; all common readers have it, and it takes a twelfth of the time.
    """

    short_side: int | None = None
    size: tuple[int, int] | None = None
    exact_color: bool = False

    def __post_init__(self) -> None:
        if self.short_side is not None and self.size is not None:
            raise UserError("give short_side or size, not both")
        if self.short_side is not None and self.short_side < 1:
            raise UserError(f"short_side must be at least 1 pixel, not {self.short_side}")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise UserError(f"size must be (height, width), each at least 1 pixel, not {self.size}")

    def target(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width that a video of displayed ``size`` (height, width) is scaled to.

        The longer side is rounded to the nearest pixel, halves up.
        """
        if self.size is not None:
            return self.size
        if self.short_side is None:
            return size
        height, width = size
        short, long = min(size), max(size)
        scaled = (2 * long * self.short_side + short) // (2 * short)
        return (self.short_side, scaled) if height <= width else (scaled, self.short_side)
