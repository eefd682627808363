"""What accelerators can do at most, from their makers' data sheets: arithmetic, memory and its bandwidth."""

from __future__ import annotations

from dataclasses import dataclass

from kinema.errors import UserError, unknown_name


@dataclass(frozen=True, kw_only=True)
class DataSheet:
    """The peak rates of one accelerator, without the sparsity that data sheets like to count twice.

    Attributes:
        name: What the command line calls it.
        fp32: Arithmetic in fp32, in TFLOP/s.
        tf32: The same on tensor cores, which torch uses for the convolutions of fp32 networks; 0 where there is none.
        half: Arithmetic in fp16 with sums in fp32, on tensor cores, in TFLOP/s.
        has_bf16: Whether bf16 has the rate of fp16; older devices have none.
        memory_gb: Memory, in 10^9 bytes; data sheets round it, a device reports up to 7 % more.
        bandwidth_gb_per_sec: Between memory and arithmetic, in 10^9 bytes per second.
        source: Where the figures come from.
    """

    name: str
    fp32: float
    tf32: float
    half: float
    has_bf16: bool = True
    memory_gb: float
    bandwidth_gb_per_sec: float
    source: str

    def peak_tflops(self, precision: str) -> float:
        """Peak arithmetic of a recipe's precision, in TFLOP/s.

        Raises:
            UserError: The device does not have this precision, or the table does not say.
        """
        if precision == "bf16" and not self.has_bf16:
            raise UserError(f"{self.name} has no bf16; use --train.precision fp16 or fp32")
        if precision == "fp64":
            raise UserError("plans know no fp64 rates; use --train.precision fp32, bf16 or fp16")
        return self.half if precision in ("bf16", "fp16") else self.tf32 or self.fp32


_HOPPER = {"fp32": 67, "tf32": 494.5, "half": 989}
_LISTED = (
    DataSheet(
        name="v100",
        fp32=15.7,
        tf32=0,
        half=125,
        has_bf16=False,
        memory_gb=32,
        bandwidth_gb_per_sec=900,
        source="NVIDIA V100 data sheet, SXM2 of 32 GB",
    ),
    DataSheet(
        name="t4",
        fp32=8.1,
        tf32=0,
        half=65,
        has_bf16=False,
        memory_gb=16,
        bandwidth_gb_per_sec=320,
        source="NVIDIA T4 data sheet",
    ),
    DataSheet(
        name="rtx3090",
        fp32=35.6,
        tf32=35.6,
        half=71,
        memory_gb=24,
        bandwidth_gb_per_sec=936,
        source="NVIDIA GA102 white paper",
    ),
    DataSheet(
        name="rtx4090",
        fp32=82.6,
        tf32=82.6,
        half=165.2,
        memory_gb=24,
        bandwidth_gb_per_sec=1008,
        source="NVIDIA Ada GPU architecture white paper",
    ),
    DataSheet(
        name="l40s",
        fp32=91.6,
        tf32=183,
        half=362,
        memory_gb=48,
        bandwidth_gb_per_sec=864,
        source="NVIDIA L40S data sheet",
    ),
    DataSheet(
        name="a100-40gb",
        fp32=19.5,
        tf32=156,
        half=312,
        memory_gb=40,
        bandwidth_gb_per_sec=1555,
        source="NVIDIA A100 data sheet, SXM4 of 40 GB",
    ),
    DataSheet(
        name="a100",
        fp32=19.5,
        tf32=156,
        half=312,
        memory_gb=80,
        bandwidth_gb_per_sec=2039,
        source="NVIDIA A100 data sheet, SXM4 of 80 GB",
    ),
    DataSheet(
        name="h100", memory_gb=80, bandwidth_gb_per_sec=3350, source="NVIDIA H100 data sheet, SXM, dense", **_HOPPER
    ),
    DataSheet(
        name="h200", memory_gb=141, bandwidth_gb_per_sec=4800, source="NVIDIA H200 data sheet, SXM, dense", **_HOPPER
    ),
    DataSheet(
        name="b200",
        fp32=75,
        tf32=1100,
        half=2250,
        memory_gb=180,
        bandwidth_gb_per_sec=7700,
        source="NVIDIA Blackwell data sheet, HGX B200, dense",
    ),
)
DEVICES = {device.name: device for device in _LISTED}
"""Accelerators by name."""


def find_data_sheet(name: str) -> DataSheet:
    """Look an accelerator up.

    Raises:
        UserError: It is not in the table.
    """
    if name not in DEVICES:
        raise unknown_name("gpu", name, DEVICES, "'this' measures the machine that you are on.")
    return DEVICES[name]
