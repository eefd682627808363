"""OpenCV's methods, pair by pair on the CPU: the TV-L1 that ours is held to, Farneback and DIS."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from kinema.flow.parameters import DIS_PATCH_SIDE, DisParameters, FarnebackParameters, FlowParameters, TvL1Parameters


def opencv_flow(first: Tensor, second: Tensor, parameters: FlowParameters) -> Tensor:
    """Compute flow with OpenCV.

    Args:
        first: Grey frames, uint8, axes ``n h w``, on the CPU.
        second: The frames after them.
        parameters: Their kind chooses the method.

    Returns:
        Flow in px, float32, axes ``n 2 h w``: to the right, then down.
    """
    pairs = zip(first.contiguous().numpy(), second.contiguous().numpy(), strict=True)
    flows = [_flow(*pair, parameters) for pair in pairs]
    return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).contiguous()


def _flow(first: np.ndarray, second: np.ndarray, parameters: FlowParameters) -> np.ndarray:
    if isinstance(parameters, TvL1Parameters):
        return _tvl1(first, second, parameters)
    if isinstance(parameters, DisParameters):
        return _dis(first, second, parameters)
    return _farneback(first, second, parameters)


def _tvl1(first: np.ndarray, second: np.ndarray, parameters: TvL1Parameters) -> np.ndarray:
    # A new one for each pair: after a small frame it would keep the lower number of levels for all that follow.
    method = cv2.optflow.DualTVL1OpticalFlow.create(
        tau=parameters.tau,
        lambda_=parameters.lambda_,
        theta=parameters.theta,
        nscales=parameters.nscales,
        warps=parameters.warps,
        epsilon=parameters.epsilon,
        innnerIterations=parameters.inner_iterations,  # spelt so in OpenCV
        outerIterations=parameters.outer_iterations,
        scaleStep=parameters.scale_step,
        medianFiltering=parameters.median_filtering,
    )
    return method.calc(first, second, np.zeros((*first.shape, 2), np.float32))


def _farneback(first: np.ndarray, second: np.ndarray, parameters: FarnebackParameters) -> np.ndarray:
    start = np.zeros((*first.shape, 2), np.float32)
    return cv2.calcOpticalFlowFarneback(
        first,
        second,
        start,
        pyr_scale=parameters.pyr_scale,
        levels=parameters.levels,
        winsize=parameters.winsize,
        iterations=parameters.iterations,
        poly_n=parameters.poly_n,
        poly_sigma=parameters.poly_sigma,
        flags=parameters.flags,
    )


def _dis(first: np.ndarray, second: np.ndarray, parameters: DisParameters) -> np.ndarray:
    height, width = first.shape
    least = 2 * DIS_PATCH_SIDE
    if min(height, width) < least:  # repeat the border: OpenCV wants some patches in each direction
        rest = (0, max(0, least - height), 0, max(0, least - width))
        first, second = (cv2.copyMakeBorder(frame, *rest, cv2.BORDER_REPLICATE) for frame in (first, second))
    # A new one for each pair: one that saw a small frame keeps another finest level for all that follow.
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    coarsest = coarsest_scale(*first.shape)
    method.setCoarsestScale(coarsest)
    method.setFinestScale(min(parameters.finest_scale, coarsest))
    method.setPatchSize(DIS_PATCH_SIDE)
    method.setPatchStride(parameters.patch_stride)
    method.setGradientDescentIterations(parameters.gradient_descent_iterations)
    method.setVariationalRefinementIterations(parameters.variational_refinement_iterations)
    method.setVariationalRefinementAlpha(parameters.variational_refinement_alpha)
    method.setVariationalRefinementDelta(parameters.variational_refinement_delta)
    method.setVariationalRefinementGamma(parameters.variational_refinement_gamma)
    return method.calc(first, second, np.zeros((*first.shape, 2), np.float32))[:height, :width]


def coarsest_scale(height: int, width: int) -> int:
    """Level of DIS's pyramid to begin at: OpenCV's choice by the width, but never one lower than a patch.

    OpenCV 5.0.0 looks at the width alone, and the process dies of wide frames that are only a few patches high.

    Args:
        height: Of the frames, in px, at least that of a patch.
        width: Likewise.
    """
    by_width = math.floor(math.log2(2 * width / (5 * DIS_PATCH_SIDE)))
    by_patch = math.floor(math.log2(min(height, width) / DIS_PATCH_SIDE))
    return max(0, min(by_width, by_patch))
