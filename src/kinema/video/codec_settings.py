"""What a decoder must be told about a stream before its first packet."""

from __future__ import annotations

from typing import NamedTuple, cast

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext


class CodecSettings(NamedTuple):
    """What a container tells the decoder of its stream.

    Attributes:
        name: Of the codec.
        extradata: Its configuration record.
        height: Of the pictures, in pixels.
        width: Of the pictures, in pixels.
        reorder_depth: How many frames the decoder holds back to put them in order.
        colors: Range, primaries, transfer and matrix, for streams that do not say themselves.
    """

    name: str
    extradata: bytes
    height: int
    width: int
    reorder_depth: int
    colors: tuple[int, int, int, int]

    @classmethod
    def of(cls, context: VideoCodecContext) -> CodecSettings:
        """Read the settings of an open file's stream."""
        colors = (context.color_range, context.color_primaries, context.color_trc, context.colorspace)
        extradata = context.extradata or b""
        return cls(context.name, extradata, context.height, context.width, context.reorder_depth, colors)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def decoder(self) -> VideoCodecContext:
        """Make a decoder with these settings and one thread."""
        context = cast(VideoCodecContext, av.CodecContext.create(self.name, "r"))
        context.extradata = self.extradata
        context.height, context.width, context.reorder_depth = self.height, self.width, self.reorder_depth
        context.color_range, context.color_primaries, context.color_trc, context.colorspace = self.colors
        context.thread_count = 1
        context.flags |= Flags.unaligned  # as in ``FrameCursor``
        return context
