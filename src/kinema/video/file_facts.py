"""What reading a file once has found out about it, and need not be found out again while the file stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame

from kinema.video.clock import TimeScale
from kinema.video.codec_settings import CodecSettings
from kinema.video.orientation import Orientation
from kinema.video.packet_index import PacketIndex
from kinema.video.packet_table import PacketTable


class Picture(NamedTuple):
    """What has to be the same in every frame for its pixels to be converted alike.

    Attributes:
        pixel_format: As FFmpeg calls it.
        height: In pixels.
        width: In pixels.
        color_range: As FFmpeg numbers them.
        colorspace: As FFmpeg numbers them.
    """

    pixel_format: str
    height: int
    width: int
    color_range: int
    colorspace: int

    @classmethod
    def of(cls, frame: VideoFrame) -> Picture:
        """Describe a decoded frame."""
        return cls(frame.format.name, frame.height, frame.width, frame.color_range, frame.colorspace)


@dataclass(frozen=True, kw_only=True, eq=False)
class FileFacts:
    """What is known of a video file by whose packets one may seek.

    Attributes:
        index: Its frames as the packets announce them.
        packets: Where they lie, if frames can be decoded from there; None when only FFmpeg finds them.
        codec: Settings of the decoder.
        picture: Of the first frame.
        orientation: How the frames lie.
        scale: Of the index' clock.
        fps: Average frames per second; 0.0 unknown.
        duration_sec: How long the header says that it plays; 0.0 unknown.
        ends_checked: The number of frames was found in the file itself, not taken from a manifest.
    """

    index: PacketIndex
    packets: PacketTable | None
    codec: CodecSettings
    picture: Picture
    orientation: Orientation
    scale: TimeScale
    fps: float
    duration_sec: float
    ends_checked: bool

    def fits(self, num_frames: int | None) -> bool:
        """Whether the file may be read by these facts when it is known to have so many frames, or None is known."""
        return self.ends_checked if num_frames is None else num_frames == len(self.index)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the video as displayed."""
        return self.orientation.size(self.codec.size)

    @property
    def num_packets(self) -> int:
        """How many packets the arrays describe."""
        return len(self.index.clock)

    @cached_property
    def stored_order(self) -> np.ndarray:
        """For each frame in the order of showing, the number of its packet in the order of storing."""
        assert self.packets is not None
        return np.argsort(self.packets.pts)

    @cached_property
    def key_packets(self) -> np.ndarray:
        """For each key frame in the order of showing, the number of its packet in the order of storing."""
        assert self.packets is not None
        keys = np.flatnonzero(self.packets.are_keys)
        return keys[np.argsort(self.packets.pts[keys])]

    def times_sec(self, positions: np.ndarray) -> np.ndarray:
        """When the frames at ``positions`` are shown, in seconds from the file's beginning."""
        return self.scale.seconds(self.index.clock[positions], int(self.index.clock[0]))
