"""Kinds of video that the decoder tests run over: containers, codecs and group-of-pictures structures."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from make_videos import numbered_frames, write_video

from kinema.video.open import open_video

NUM_FRAMES = 61
QUIET_X265 = "log-level=none:pools=none:frame-threads=1"
UNEVEN_MS = [40 * number + 7 * (number % 3) for number in range(NUM_FRAMES)]
VP8 = {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8", "b:v": "300k"}
VP9 = {"cpu-used": "8", "deadline": "realtime", "lag-in-frames": "16"}

KINDS: dict[str, tuple[str, dict]] = {
    "h264-closed-gop": ("mp4", {"gop": 12, "options": {"bf": "3", "x264-params": "b-pyramid=normal"}}),
    "h264-open-gop": ("mp4", {"gop": 12, "options": {"bf": "3", "x264-params": "open-gop=1"}}),
    "h264-open-gop-mkv": ("mkv", {"gop": 12, "options": {"bf": "3", "x264-params": "open-gop=1"}}),
    "h264-intra": ("mp4", {"gop": 1}),
    "h264-one-gop": ("mp4", {"gop": 250, "options": {"x264-params": "scenecut=0"}}),
    "h264-no-b": ("mov", {"gop": 10, "options": {"bf": "0"}}),
    # Large enough that a refresh takes many frames: after a seek the decoder gives none before it is complete.
    "h264-intra-refresh-large": ("mp4", {"gop": 12, "options": {"x264-params": "intra-refresh=1:bframes=3"}}),
    "h264-ts": ("ts", {"gop": 12}),
    "h264-flv": ("flv", {"gop": 12}),
    "h264-avi": ("avi", {"gop": 12, "options": {"bf": "2"}}),
    "h264-fragmented": ("mp4", {"gop": 12, "container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    "h264-sound": ("mp4", {"gop": 12, "audio": True}),
    "h264-uneven": ("mp4", {"gop": 12, "times": UNEVEN_MS, "time_base": Fraction(1, 1000)}),
    "h264-edit-list": (
        "mp4",
        {"gop": 12, "times": range(-20, NUM_FRAMES - 20), "container_options": {"avoid_negative_ts": "disabled"}},
    ),
    "h264-yuv444-odd": ("mp4", {"pix_fmt": "yuv444p", "gop": 12}),
    "h264-10-bit": ("mp4", {"pix_fmt": "yuv420p10le", "gop": 12}),
    "hevc-open-gop": (
        "mp4",
        {"codec": "libx265", "options": {"x265-params": f"{QUIET_X265}:keyint=12:min-keyint=12:open-gop=1:bframes=3"}},
    ),
    # Frames stored after a key frame, shown before it, and decodable without what came earlier.
    "hevc-leading": (
        "mp4",
        {"codec": "libx265", "options": {"x265-params": f"{QUIET_X265}:keyint=12:min-keyint=12:radl=2:open-gop=0"}},
    ),
    "hevc-closed-gop-mkv": (
        "mkv",
        {"codec": "libx265", "options": {"x265-params": f"{QUIET_X265}:keyint=12:open-gop=0"}},
    ),
    "vp8": ("webm", {"codec": "libvpx", "gop": 20, "options": VP8}),
    "vp9": ("webm", {"codec": "libvpx-vp9", "gop": 20, "options": VP9}),
    "vp9-uneven": (
        "webm",
        {"codec": "libvpx-vp9", "gop": 20, "options": VP9, "times": UNEVEN_MS, "time_base": Fraction(1, 1000)},
    ),
    "av1": ("mp4", {"codec": "libsvtav1", "gop": 16, "options": {"preset": "8", "crf": "20"}}),
    "mpeg4-avi": ("avi", {"codec": "mpeg4", "gop": 12, "options": {"b": "2M"}}),
    "mpeg4-b-avi": ("avi", {"codec": "mpeg4", "gop": 12, "options": {"bf": "2", "b": "2M"}}),
    "mpeg4-b-mp4": ("mp4", {"codec": "mpeg4", "gop": 12, "options": {"bf": "2", "b": "2M"}}),
    "mpeg2-ps": ("mpg", {"codec": "mpeg2video", "gop": 12, "options": {"bf": "2", "b": "2M"}}),
    "mpeg2-ts": ("ts", {"codec": "mpeg2video", "gop": 12, "options": {"bf": "2", "b": "2M"}}),
    "mpeg2-mp4": ("mp4", {"codec": "mpeg2video", "gop": 12, "options": {"bf": "2", "b": "2M"}}),
    "mjpeg-avi": ("avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "ffv1-gray": ("mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
    "wmv2": ("wmv", {"codec": "wmv2", "gop": 12, "options": {"b": "2M"}}),
    "gif": ("gif", {"codec": "gif", "pix_fmt": "rgb8"}),
}

SIZES = {"odd": (51, 67), "large": (192, 256)}
"""Height and width of the kinds whose name ends so."""

FIRST_SHOWN = {"h264-edit-list": 20}
"""The number of the first frame that is shown, where it is not 0."""


def shown_numbers(kind: str) -> list[int]:
    """The numbers that a sequential decode of ``kind`` shows."""
    return list(range(FIRST_SHOWN.get(kind, 0), NUM_FRAMES))


def make_kind(folder: Path, kind: str, num_frames: int = NUM_FRAMES) -> Path:
    """Write the video ``kind`` with numbered frames into ``folder``."""
    suffix, options = KINDS[kind]
    height, width = SIZES.get(kind.rsplit("-", 1)[-1], (48, 64))
    frames: np.ndarray = numbered_frames(num_frames, height, width)
    return write_video(folder / f"{kind}.{suffix}", frames, **options)


def open_by_walk(path, **options):
    """Open a video of which nothing is known and nothing is kept, so that FFmpeg finds its frames."""
    video = open_video(path, **options)
    video._known = None
    return video
