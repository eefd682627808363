"""One file and what is known of it: taken from earlier readings, and kept for later ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kinema.video.file_facts import FileFacts, Picture
from kinema.video.file_stamp import FileStamp
from kinema.video.frame_times import FrameTimes
from kinema.video.known_files import known_files
from kinema.video.orientation import Orientations
from kinema.video.packet_reader import PacketReader
from kinema.video.walk import Walk


class KnownFile:
    """What is known of a file that is being read.

    Args:
        path: The file.
        num_frames: The number of frames that a full decode found earlier, if it is known.

    Attributes:
        facts: What is known; None when nothing is, or it contradicts ``num_frames``.
    """

    def __init__(self, path: Path, num_frames: int | None) -> None:
        self.facts: FileFacts | None = None
        self._path = path
        self._stamp = FileStamp.of_file(path)
        self._reader: PacketReader | None = None
        if self._stamp is not None:
            facts = known_files().find(path, self._stamp)
            self.facts = facts if facts is not None and facts.fits(num_frames) else None

    def reader(self) -> PacketReader | None:
        """What decodes frames from the bytes of the file; None where that cannot be done."""
        if self._reader is None and self._stamp is not None and self.facts is not None and self.facts.packets:
            self._reader = PacketReader(self._path, self._stamp, self.facts)
        return self._reader

    def learn(self, walk: Walk, orientations: Orientations) -> None:
        """Keep what a walk has found out, if it may seek and found out more than was known."""
        index = walk.index
        if self._stamp is None or index is None or not walk.can_seek:
            return
        if self.facts is not None:
            if self.facts.ends_checked or not walk.ends_checked:
                return
            self.facts = dataclasses.replace(self.facts, ends_checked=True)
        else:
            frame = walk.any_frame()
            if frame is None:
                return
            self.facts = FileFacts(
                index=index,
                packets=walk.packets,
                codec=walk.codec,
                picture=Picture.of(frame),
                orientation=orientations.of(frame),
                scale=walk.clock.scale,
                fps=FrameTimes(walk).fps,
                duration_sec=walk.cursor.header_sec,
                ends_checked=walk.ends_checked,
            )
        known_files().keep(self._path, self._stamp, self.facts)

    def distrust(self) -> None:
        """Never again decode frames from the bytes of this file alone."""
        self.close()
        if self.facts is not None and self._stamp is not None:
            self.facts = dataclasses.replace(self.facts, packets=None)
            known_files().keep(self._path, self._stamp, self.facts)

    def close(self) -> None:
        """Release the file. Closing twice is allowed."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
