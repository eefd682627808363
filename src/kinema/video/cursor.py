"""Walks forward through the decoded frames of one video stream; the one place that talks to FFmpeg's decoder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from kinema.errors import VideoError
from kinema.video.location import StoredVideo, ffmpeg_name

_log = logging.getLogger("kinema")


class FrameCursor:
    """An open file and the decoder of its best video stream.

    Attributes:
        container: The open file.
        stream: The video stream that is read.
        fresh: Nothing was read since the file was opened, so the next frame is the first.
        num_rejected: Packets that the decoder rejected since the file was opened.
    """

    container: InputContainer
    stream: VideoStream
    fresh: bool
    num_rejected: int

    def __init__(self, path: Path | StoredVideo, threads: int) -> None:
        self.path = path
        self.threads = threads
        self._file: BinaryIO | None = None
        self.open()

    def open(self) -> None:
        """Open the file, again if need be: the only way back to the first frame that is exact in every container."""
        self._file = self.path.open() if isinstance(self.path, StoredVideo) else None
        try:
            # Titles in odd encodings are common in old AVI files; the text is never used.
            source = self._file or ffmpeg_name(Path(str(self.path)))
            self.container = av.open(source, "r", metadata_errors="replace")
        except (FFmpegError, OSError, UnicodeError) as error:
            if self._file is not None:
                self._file.close()
            raise VideoError(self.path, _why_not_opened(error)) from error
        stream = self.container.streams.best("video")
        if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
            kinds = sorted({other.type for other in self.container.streams})
            self.close()
            held = f"it holds only {', '.join(kinds)}" if kinds else "it holds no stream at all"
            raise VideoError(self.path, f"has no video stream ({held}); give a file with pictures")
        if self.threads != 1:
            stream.thread_type = "FRAME"
        stream.codec_context.thread_count = self.threads
        # Without it FFmpeg cuts off the left border of a picture only where that keeps the memory aligned.
        stream.codec_context.flags |= Flags.unaligned
        self.stream = stream
        self.fresh = True
        self.num_rejected = 0
        self._dropping = False

    @property
    def header_sec(self) -> float:
        """How long the file plays, in seconds, as its header says; 0.0 when it does not."""
        if self.stream.duration:
            return float(self.stream.duration * (self.stream.time_base or 1))
        return (self.container.duration or 0) / 1_000_000  # FFmpeg counts a container's length in microseconds

    def seek(self, timestamp: int) -> None:
        """Go to the last key frame at or before ``timestamp`` (in units of the stream's time base)."""
        self.fresh = False
        self.container.seek(timestamp, stream=self.stream, backward=True)

    def packets(self) -> Iterator[Packet[Any]]:
        """Yield the packets from here to the end, the empty one that drains the decoder last.

        A read error ends the video there, as the end of the file does.
        """
        self.fresh = False
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                _log.debug("%s: reading stopped early: %s", self.path, error)
                yield self._last_packet()
                return
            if packet is None:
                return
            yield packet

    def decode(self, packet: Packet[Any], *, drop: bool = False) -> list[VideoFrame]:
        """The frames that the decoder gives for one packet; none when it rejects the packet.

        With ``drop`` the decoder need not decode a packet whose frame no other frame is built on.
        """
        if drop != self._dropping:
            self.stream.codec_context.skip_frame = "NONREF" if drop else "DEFAULT"
            self._dropping = drop
        try:
            return packet.decode()
        except EOFError:  # it was emptied already
            return []
        except FFmpegError as error:
            _log.debug("%s: the decoder rejected a packet: %s", self.path, error)
            self.num_rejected += 1
            return []

    def drain(self) -> list[VideoFrame]:
        """The frames that the decoder holds back; only a seek goes on from here."""
        self.fresh = False
        return self.decode(self._last_packet())

    def _last_packet(self) -> Packet[Any]:
        """The empty packet that drains the decoder."""
        packet = Packet()
        packet.stream = self.stream
        return packet

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames from here to the end."""
        for packet in self.packets():
            yield from self.decode(packet)

    def frame_from(self, timestamp: int | None) -> VideoFrame | None:
        """The first frame that comes out from the beginning, else behind a seek to ``timestamp``; None when none does.

        None as the time allows no seek.
        """
        try:
            if not self.fresh:
                if timestamp is None:
                    return None
                self.seek(timestamp)
        except FFmpegError:
            return None
        return next(self.frames(), None)

    def close(self) -> None:
        """Close the file."""
        self.container.close()
        if self._file is not None:
            self._file.close()


def ends_early(path: Path | StoredVideo, num_frames: int, position: int) -> VideoError:
    """Build the error of a file that ends after ``num_frames`` frames, before the one at ``position``."""
    if num_frames == 0:
        return VideoError(path, "not one frame of it can be decoded; copy or download it again")
    return VideoError(
        path,
        f"has {num_frames} frames that can be decoded (0 to {num_frames - 1}), but frame {position} was asked for; "
        "if the number came from a manifest, scan the file again",
    )


def _why_not_opened(error: Exception) -> str:
    """Say in plain words why FFmpeg does not open a file."""
    if isinstance(error, PermissionError):
        return "may not be read; check its permissions"
    if isinstance(error, InvalidDataError):
        return "is not a video that FFmpeg can read, or it is cut off before its index; copy or download it again"
    detail = getattr(error, "strerror", None) or str(error)
    return f"cannot be opened as a video ({detail}); check that it plays in a media player"
