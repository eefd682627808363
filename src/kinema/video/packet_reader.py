"""Decodes frames of a known file from its bytes: nothing is opened, searched or decoded that they do not need."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from kinema.video.checked_run import IndexMismatchError
from kinema.video.file_facts import FileFacts, Picture
from kinema.video.file_stamp import FileStamp

MAX_GAP_BYTES = 256 << 10
"""Bytes of other streams between two packets that are read along rather than jumped over."""

Take = Callable[[int, VideoFrame], None]
"""Is given a frame and the row of the request that it answers."""


class PacketReader:
    """Reads frames of one file by its ``FileFacts``, which must have a table of packets.

    For each wanted frame decoding starts at the key frame before it and leaves out what no wanted frame is built on;
    then the decoder is emptied. As in a ``CheckedRun`` the frames must prove to be the announced ones: each packet
    gives one, whole, in the order of their times, and like the first frame of the file.

    Args:
        path: The file.
        stamp: Of the file when the facts were true.
        facts: What is known of it.

    Attributes:
        num_decoded: Packets that were given to the decoder.
    """

    def __init__(self, path: Path, stamp: FileStamp, facts: FileFacts) -> None:
        assert facts.packets is not None
        self._path, self._stamp, self._facts, self._packets = path, stamp, facts, facts.packets
        self._file: int | None = None
        self._decoder: VideoCodecContext | None = None
        self._last = -1
        self.num_decoded = 0

    def suits(self, positions: np.ndarray) -> bool:
        """Whether it has the frames at ascending ``positions``, and they do not follow closely on those before."""
        last, self._last = self._last, int(positions[-1])
        if self._last >= len(self._facts.index):
            return False
        key_before = self._facts.index.key_before
        return positions[0] <= last or last < 0 or key_before(int(positions[0])) != key_before(last)

    def read(self, positions: np.ndarray, take: Take) -> None:
        """Decode the frames at ascending ``positions``.

        Raises:
            IndexMismatchError: The file is another one, or its frames are not the announced ones.
            OSError: It cannot be read.
        """
        keys = np.searchsorted(self._facts.index.key_positions, positions, side="right") - 1
        firsts = np.flatnonzero(np.diff(keys, prepend=-2)).tolist()
        for first, stop in zip(firsts, [*firsts[1:], len(positions)], strict=True):
            self._run(int(keys[first]), first, positions[first:stop], take)

    def close(self) -> None:
        """Release the file. Closing twice is allowed."""
        self._decoder = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _run(self, key: int, row: int, positions: np.ndarray, take: Take) -> None:
        """Decode frames from one key frame on; the first of them answers ``row``."""
        wanted = self._facts.stored_order[positions].tolist()
        begin, stop = int(self._facts.key_packets[key]) if key >= 0 else -1, max(wanted) + 1
        if begin < 0 or min(wanted) < begin:
            raise IndexMismatchError
        # Lists: most runs are short, and then arrays would take longer to handle than the packets to decode.
        pts = self._packets.pts[begin:stop].tolist()
        are_needed, are_keys = (
            self._packets.are_needed[begin:stop].tolist(),
            self._packets.are_keys[begin:stop].tolist(),
        )
        rows = {pts[number - begin]: row + offset for offset, number in enumerate(wanted)}
        fed, shown = [], []
        decoder = self._fresh_decoder()
        try:
            for number, data in enumerate(self._bytes_of(begin, stop)):
                time = pts[number]
                if not are_needed[number] and time not in rows:
                    continue
                packet = Packet(data)
                packet.pts, packet.is_keyframe = time, are_keys[number]
                self.num_decoded += 1
                try:
                    frames = decoder.decode(packet)
                except FFmpegError:
                    if time >= pts[0]:
                        raise
                    continue  # shown before the key frame but stored after it (open group of pictures)
                if time >= pts[0]:
                    fed.append(time)
                if frames:
                    self._take(frames, rows, pts[0], shown, take)
            self._take(decoder.decode(None), rows, pts[0], shown, take)
        except FFmpegError as error:
            raise IndexMismatchError from error
        if shown != sorted(fed):
            raise IndexMismatchError

    def _take(
        self, frames: list[VideoFrame], rows: dict[int, int], begin_pts: int, shown: list[int], take: Take
    ) -> None:
        """Check decoded frames, note their times in ``shown``, and hand on those that are wanted."""
        for frame in frames:
            time = frame.pts
            if time is None:
                raise IndexMismatchError
            if time < begin_pts:
                continue
            # What all frames have alike changes with a key frame only, and that is the first one.
            if frame.is_corrupt or frame.rotation or (not shown and Picture.of(frame) != self._facts.picture):
                raise IndexMismatchError
            shown.append(time)
            if time in rows:
                take(rows[time], frame)

    def _fresh_decoder(self) -> VideoCodecContext:
        """The decoder, as if nothing had been decoded."""
        if self._decoder is None:
            self._decoder = self._facts.codec.decoder()
        else:
            self._decoder.flush_buffers()
        return self._decoder

    def _bytes_of(self, begin: int, stop: int) -> Iterator[bytes]:
        """The packets with the numbers from ``begin`` to before ``stop``."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDONLY)
            if FileStamp.of(os.fstat(self._file)) != self._stamp:
                raise IndexMismatchError
        begins, sizes = self._packets.begins[begin:stop].tolist(), self._packets.sizes[begin:stop].tolist()
        first, length = begins[0], begins[-1] + sizes[-1] - begins[0]
        if begins == sorted(begins) and length <= sum(sizes) + MAX_GAP_BYTES:
            data = os.pread(self._file, length, first)
            yield from (data[at - first : at - first + size] for at, size in zip(begins, sizes, strict=True))
        else:
            for at, size in zip(begins, sizes, strict=True):
                yield os.pread(self._file, size, at)
