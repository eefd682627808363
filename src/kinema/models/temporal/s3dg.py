"""S3D-G: S3D with feature gating."""

from __future__ import annotations

from typing import ClassVar

from kinema.models.temporal.gate import Gate
from kinema.models.temporal.s3d import S3d
from kinema.models.temporal.stack import Stack


class S3dg(Stack):
    """``s3d+gate`` in one word: separable convolutions, each followed by a gate.

    The authors' released code, and the weights of HowTo100M, have two temporal branches: ``s3d2+gate``.
    Source: "Rethinking Spatiotemporal Feature Learning" (arXiv 1712.04851), section 4.6.

    Args:
        temporal_init: See ``S3d``.
        temporal_norm: See ``S3d``.
        gate_pool: See ``Gate``.
        gate_bias: See ``Gate``.
    """

    option_names: ClassVar[tuple[str, ...]] = (*S3d.option_names, *Gate.option_names)

    def __init__(
        self,
        *,
        temporal_init: str = "identity",
        temporal_norm: bool = True,
        gate_pool: str = "space_time",
        gate_bias: bool = True,
    ) -> None:
        super().__init__(
            [
                S3d(temporal_init=temporal_init, temporal_norm=temporal_norm),
                Gate(gate_pool=gate_pool, gate_bias=gate_bias),
            ]
        )
