"""Parameters of the flow methods, with OpenCV's names in snake case and OpenCV's defaults. Loads no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from kinema.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TvL1Parameters:
    """How TV-L1 weighs its terms and when it stops.

    Attributes:
        tau: Step of the dual variables; above 0.25 the iteration may diverge.
        lambda_: Weight of the data term; smaller gives smoother flow.
        theta: Tightness of the link between data term and smoothness.
        nscales: Levels of the pyramid; levels with a side below 16 px are left out.
        warps: How often each level warps the second frame.
        epsilon: A warp ends when the root mean square change of an iteration, in px, is not above this.
        inner_iterations: Iterations between two median filters.
        outer_iterations: Median filters of one warp, at most.
        scale_step: Size of a level relative to the next finer one.
        median_filtering: Side of the median filter, 3 or 5; 1 filters nothing.
    """

    tau: float = 0.25
    lambda_: float = 0.15
    theta: float = 0.3
    nscales: int = 5
    warps: int = 5
    epsilon: float = 0.01
    inner_iterations: int = 30
    outer_iterations: int = 10
    scale_step: float = 0.8
    median_filtering: int = 5

    def __post_init__(self) -> None:
        for name in ("tau", "lambda_", "theta"):
            if getattr(self, name) <= 0:
                raise UserError(f"TV-L1's {name.rstrip('_')} must be above 0; given {getattr(self, name)}.")
        for name in ("nscales", "warps", "inner_iterations", "outer_iterations"):
            if getattr(self, name) < 1:
                raise UserError(f"TV-L1's {name} must be at least 1; given {getattr(self, name)}.")
        if not 0 < self.scale_step < 1:
            raise UserError(f"TV-L1's scale_step must be between 0 and 1; given {self.scale_step}.")
        if self.epsilon < 0:
            raise UserError(f"TV-L1's epsilon must be at least 0; given {self.epsilon}.")
        if self.median_filtering not in (1, 3, 5):
            raise UserError(f"TV-L1's median_filtering must be 1 (none), 3 or 5; given {self.median_filtering}.")


@dataclass(frozen=True, kw_only=True)
class FarnebackParameters:
    """Parameters of ``cv2.calcOpticalFlowFarneback``, which has no defaults; these are those of its OpenCV class.

    Attributes:
        pyr_scale: Size of a pyramid level relative to the next finer one.
        levels: Levels of the pyramid above the frame itself.
        winsize: Side of the averaging window, in px.
        iterations: Iterations on each level.
        poly_n: Side of the neighbourhood of the polynomial expansion, 5 or 7.
        poly_sigma: Width of its Gaussian, in px.
        flags: OpenCV's OPTFLOW flags; 256 averages with a Gaussian.
    """

    pyr_scale: float = 0.5
    levels: int = 5
    winsize: int = 13
    iterations: int = 10
    poly_n: int = 5
    poly_sigma: float = 1.1
    flags: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.pyr_scale < 1:
            raise UserError(f"Farneback's pyr_scale must be between 0 and 1; given {self.pyr_scale}.")
        for name in ("winsize", "iterations"):
            if getattr(self, name) < 1:
                raise UserError(f"Farneback's {name} must be at least 1; given {getattr(self, name)}.")
        if self.poly_n not in (5, 7):
            raise UserError(f"Farneback's poly_n must be 5 or 7; given {self.poly_n}.")
        if self.flags not in (0, 256):
            raise UserError(f"Farneback's flags must be 0 or 256 (Gaussian window); given {self.flags}.")


FlowParameters = TvL1Parameters | FarnebackParameters


def digest(parameters: FlowParameters) -> str:
    """Eight letters that differ when any parameter does."""
    text = json.dumps(asdict(parameters), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
