"""Tar archives of packed videos: which video goes into which, and writing one, whole or not at all.

Archives lie in the folder ``shards``, named after the manifest: ``NAME-000003.tar``, with ``NAME-000003.tar.index``
beside each (see ``kinema.video.archive``) and, where videos were bad, ``NAME-000003.tar.bad`` with the reasons.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kinema.compute.task_pool import Send
from kinema.data.manifest import Manifest, Record
from kinema.derived.derive import Advance, Done
from kinema.derived.derived_manifest import file_name
from kinema.derived.pack_video import Packing, pack_video, read_packed, refuse_difference
from kinema.errors import UserError, VideoError
from kinema.files import whole_file, write_text
from kinema.video.archive import INDEX_SUFFIX, ArchiveIndex, index_text
from kinema.video.location import ARCHIVE_SUFFIX

FOLDER = "shards"
BAD_SUFFIX = ".bad"
VIDEO_SUFFIX = ".mp4"


class Shard(NamedTuple):
    """An archive that is to be written.

    Attributes:
        name: Of its file.
        rows: Of the manifest, whose videos it holds.
    """

    name: str
    rows: tuple[int, ...]


@dataclass(frozen=True)
class ShardTask:
    """Packs the videos of one archive; what every process is given.

    Attributes:
        shards: The archives of this process's share.
        records: The videos of all of them, one archive after the other.
        out: Folder of the data set.
        packing: Size, key frames, quality.
    """

    shards: Sequence[Shard]
    records: Sequence[Record]
    out: Path
    packing: Packing

    def __call__(self, number: int, worker: int, send: Send) -> None:
        """Write archive ``number``, unless it is there; see ``kinema.compute.task_pool``."""
        first = sum(len(shard.rows) for shard in self.shards[:number])
        numbers = range(first, first + len(self.shards[number].rows))
        archive = self.out / FOLDER / self.shards[number].name
        if archive.exists():
            self._report(archive, numbers, send)
        else:
            self._write(archive, numbers, send)

    def _report(self, archive: Path, numbers: range, send: Send) -> None:
        """Tell what an earlier run has put into an archive."""
        reasons = _read_bad(archive)
        for number in numbers:
            record = self.records[number]
            if record.video_id in reasons:
                send(Done(number, reason=reasons[record.video_id]))
                continue
            packed = read_packed(f"{archive}/{file_name(record.video_id, VIDEO_SUFFIX)}")
            refuse_difference(archive, packed, self.packing, record)
            send(Done(number, packed.num_frames, found=True))

    def _write(self, archive: Path, numbers: range, send: Send) -> None:
        checksums: dict[str, str] = {}
        reasons: dict[str, str] = {}
        archive.parent.mkdir(parents=True, exist_ok=True)
        answers = []
        with whole_file(archive) as part:
            with tarfile.open(part, "w") as tar:
                for number in numbers:
                    record, video = self.records[number], io.BytesIO()
                    try:
                        num_frames = pack_video(
                            record, video, self.packing, advance=lambda count: send(Advance(num_frames=count))
                        )
                    except VideoError as error:
                        reasons[record.video_id] = error.reason
                        answers.append(Done(number, reason=error.reason))
                        continue
                    name = file_name(record.video_id, VIDEO_SUFFIX)
                    checksums[name] = f"{zlib.crc32(video.getbuffer()):08x}"
                    _add(tar, name, video)
                    answers.append(Done(number, num_frames))
            # Before the archive itself gets its name, for an archive that is there counts as finished.
            write_text(f"{archive}{INDEX_SUFFIX}", index_text(str(part), checksums))
            _write_bad(archive, reasons)
        for answer in answers:
            send(answer)


def plan_shards(manifest: Manifest, out: Path, name: str, num_videos: int) -> list[Shard]:
    """Divide the videos of a manifest among archives, the same way in every process and after every stop.

    Videos that lie in archives of other manifests are left out.

    Args:
        manifest: The videos.
        out: Folder of the data set.
        name: Beginning of the archives' names.
        num_videos: Videos of one archive.

    Raises:
        UserError: Archives of that name are there that hold other videos.
    """
    own = re.compile(re.escape(name) + r"-\d{6}" + re.escape(ARCHIVE_SUFFIX))
    held = {archive: _names(archive) for archive in _archives(out)}
    elsewhere = {member for archive, names in held.items() if not own.fullmatch(archive.name) for member in names}
    files = [file_name(video_id, VIDEO_SUFFIX) for video_id in manifest.video_ids]
    rows = [row for row, file in enumerate(files) if file not in elsewhere]
    parts = [tuple(rows[first : first + num_videos]) for first in range(0, len(rows), num_videos)]
    shards = [Shard(f"{name}-{number:06d}{ARCHIVE_SUFFIX}", part) for number, part in enumerate(parts)]
    planned = {shard.name: {files[row] for row in shard.rows} for shard in shards}
    for archive, names in held.items():
        bad = {file_name(video_id, VIDEO_SUFFIX) for video_id in _read_bad(archive)}
        if own.fullmatch(archive.name) and set(names) | bad != planned.get(archive.name, set()):
            raise UserError(
                f"{archive} holds other videos than this run would put there: the manifest or --shard-videos has "
                "changed; give another --out, or delete the folder"
            )
    return shards


def archived_videos(manifest: Manifest, out: Path) -> dict[str, str]:
    """Paths of the videos in all archives that are complete, relative to ``out``, by their ids."""
    paths = {name: f"{FOLDER}/{archive.name}/{name}" for archive in _archives(out) for name in _names(archive)}
    names = {video_id: file_name(video_id, VIDEO_SUFFIX) for video_id in manifest.video_ids}
    return {video_id: paths[name] for video_id, name in names.items() if name in paths}


def _archives(out: Path) -> list[Path]:
    return sorted(path for path in (out / FOLDER).glob(f"*{ARCHIVE_SUFFIX}") if not path.name.startswith("."))


def _names(archive: Path) -> list[str]:
    index = Path(f"{archive}{INDEX_SUFFIX}")
    return ArchiveIndex(str(archive), index.read_bytes()).names() if index.exists() else []


def _add(tar: tarfile.TarFile, name: str, video: io.BytesIO) -> None:
    """Append a video; without owner and date, so that the same videos make the same archive."""
    member = tarfile.TarInfo(name)
    member.size = video.seek(0, io.SEEK_END)
    video.seek(0)
    tar.addfile(member, video)


def _write_bad(archive: Path, reasons: dict[str, str]) -> None:
    path = Path(f"{archive}{BAD_SUFFIX}")
    if not reasons:
        path.unlink(missing_ok=True)
        return
    write_text(path, "".join(f"{video_id}\t{' '.join(reason.split())}\n" for video_id, reason in reasons.items()))


def _read_bad(archive: Path) -> dict[str, str]:
    path = Path(f"{archive}{BAD_SUFFIX}")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return dict(line.split("\t", 1) for line in lines)
