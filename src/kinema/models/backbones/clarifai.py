"""ClarifaiNet in the form that the two-stream papers trained: CNN-M-2048."""

from __future__ import annotations

from typing import Final

from kinema.models.backbones.plain import PlainConv, PlainPlan

CLARIFAINET: Final = PlainPlan(
    groups=(
        (PlainConv(96, kernel=7, stride=2, padding=0, normalised=True),),
        (PlainConv(256, kernel=5, stride=2, padding=1, normalised=True),),
        (PlainConv(512),) * 3,
    ),
    pool=3,
    ceil_mode=True,
    map_size=6,
    init_fan="in",
    fc_widths=(4096, 2048),
)
"""Five convolutions, local response normalisation behind the first two, three max-pools, fc6 of 4096, fc7 of 2048.

92,469,864 parameters with 1000 classes; 1.58 G multiply-adds of convolutions for one frame of 224 x 224.

Source: "Return of the Devil in the Details" (arXiv 1405.3531), CNN-M-2048, which follows "Visualizing and Understanding
Convolutional Networks" (arXiv 1311.2901); "Towards Good Practices for Very Deep Two-Stream ConvNets" (arXiv 1507.02159)
calls it ClarifaiNet. Pools reach over the border, as Caffe's do, which gives fc6 its 6 x 6 map at 224 x 224.
Random weights are drawn by fan-in, since there are no norms to keep the activations' scale.
Keys are ``features.N`` and ``classifier.{0,3,6}`` in the manner of torchvision's VGG; no published file has them.
"""
