"""OpenCV's TV-L1 and Farneback, pair by pair on the CPU: the reference for our own, and the only Farneback."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from kinema.flow.parameters import FarnebackParameters, TvL1Parameters


def opencv_flow(first: Tensor, second: Tensor, parameters: TvL1Parameters | FarnebackParameters) -> Tensor:
    """Compute flow with OpenCV.

    Args:
        first: Grey frames, uint8, axes ``n h w``, on the CPU.
        second: The frames after them.
        parameters: Their kind chooses the method.

    Returns:
        Flow in px, float32, axes ``n 2 h w``: to the right, then down.
    """
    pairs = zip(first.contiguous().numpy(), second.contiguous().numpy(), strict=True)
    flows = [
        _tvl1(*pair, parameters) if isinstance(parameters, TvL1Parameters) else _farneback(*pair, parameters)
        for pair in pairs
    ]
    return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).contiguous()


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
