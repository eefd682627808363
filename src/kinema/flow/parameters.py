"""Parameters of the flow methods, with OpenCV's names in snake case and OpenCV's defaults. Loads no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from kinema.errors import UserError

DIS_PATCH_SIDE = 8
"""In px; OpenCV's default and the only one that is used: others, with some strides, damaged OpenCV 5.0.0's memory."""


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


@dataclass(frozen=True, kw_only=True)
class DisParameters:
    """Parameters of ``cv2.DISOpticalFlow``: its preset FAST, but solved down to half the frame's size.

    The preset stops at a quarter; half gives a third of its median difference to TV-L1 for four times its time.

    Attributes:
        finest_scale: Level of the pyramid at which the flow is solved, then enlarged: 0 is the frame itself, 1 half.
        patch_stride: From one patch of 8 px to the next, in px: 1 to 4.
        gradient_descent_iterations: Steps of the search for each patch.
        variational_refinement_iterations: Steps that smooth each level's flow; 0 leaves them out.
        variational_refinement_alpha: Weight of the smoothness in them.
        variational_refinement_delta: Weight of equal brightness.
        variational_refinement_gamma: Weight of equal gradients.
    """

    finest_scale: int = 1
    patch_stride: int = 4
    gradient_descent_iterations: int = 16
    variational_refinement_iterations: int = 5
    variational_refinement_alpha: float = 20.0
    variational_refinement_delta: float = 5.0
    variational_refinement_gamma: float = 10.0

    def __post_init__(self) -> None:
        if self.finest_scale < 0:
            raise UserError(f"DIS's finest_scale must be at least 0; given {self.finest_scale}.")
        if not 1 <= self.patch_stride <= DIS_PATCH_SIDE // 2:
            raise UserError(
                f"DIS's patch_stride must be between 1 and {DIS_PATCH_SIDE // 2}; given {self.patch_stride}."
            )
        if self.gradient_descent_iterations < 1:
            raise UserError(
                f"DIS's gradient_descent_iterations must be at least 1; given {self.gradient_descent_iterations}."
            )
        for name in ("iterations", "alpha", "delta", "gamma"):
            if (value := getattr(self, f"variational_refinement_{name}")) < 0:
                raise UserError(f"DIS's variational_refinement_{name} must be at least 0; given {value}.")


FlowParameters = TvL1Parameters | FarnebackParameters | DisParameters


def digest(parameters: FlowParameters) -> str:
    """Eight letters that differ when any parameter does."""
    text = json.dumps(asdict(parameters), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
