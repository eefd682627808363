"""The facts of the files that were read last, in this process and, through the store, in any other."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

from kinema.video.fact_code import decode, encode
from kinema.video.fact_store import FactStore, store_path
from kinema.video.file_facts import FileFacts
from kinema.video.file_stamp import FileStamp

MAX_PACKETS = 250_000
"""Packets of all files that a process remembers, at some 40 bytes each; the store has the others."""


class KnownFiles:
    """Facts by path, trusted as long as size and time of the file stay.

    Args:
        store: Keeps them for other processes.
        max_packets: How much is remembered, counted in packets.
    """

    def __init__(self, store: FactStore, *, max_packets: int = MAX_PACKETS) -> None:
        self._store = store
        self._max_packets = max_packets
        self._facts: OrderedDict[str, tuple[FileStamp, FileFacts]] = OrderedDict()
        self._num_packets = 0
        self._lock = threading.Lock()

    def find(self, path: Path, stamp: FileStamp) -> FileFacts | None:
        """What is known of a file; None when nothing is, or it has changed."""
        name = str(path.absolute())
        with self._lock:
            known = self._facts.get(name)
            if known is not None and known[0] == stamp:
                self._facts.move_to_end(name)
                return known[1]
        data = self._store.find(name, stamp)
        facts = decode(data) if data is not None else None
        if facts is not None:
            self._remember(name, stamp, facts)
        return facts

    def keep(self, path: Path, stamp: FileStamp, facts: FileFacts) -> None:
        """Remember what was found out about a file that had this stamp before and still has it."""
        if FileStamp.of_file(path) == stamp:
            name = str(path.absolute())
            self._remember(name, stamp, facts)
            self._store.keep(name, stamp, encode(facts))

    def _remember(self, name: str, stamp: FileStamp, facts: FileFacts) -> None:
        with self._lock:
            if (former := self._facts.pop(name, None)) is not None:
                self._num_packets -= former[1].num_packets
            self._facts[name] = (stamp, facts)
            self._num_packets += facts.num_packets
            while self._num_packets > self._max_packets and len(self._facts) > 1:
                self._num_packets -= self._facts.popitem(last=False)[1][1].num_packets


_known: list[KnownFiles] = []
"""That of this process; in a forked one also those of the ones before, whose connections must stay as they are."""


def known_files() -> KnownFiles:
    """What this process knows."""
    if not _known:
        begin_anew()
    return _known[-1]


def begin_anew() -> None:
    """Know nothing but what the store has, as a new process does."""
    _known.append(KnownFiles(FactStore(store_path())))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: begin_anew() if _known else None)
