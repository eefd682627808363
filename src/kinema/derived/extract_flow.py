"""Flow of every video of a data set, computed and stored; a run that was stopped goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kinema.compute.devices import find_devices_of_workers, parse_device
from kinema.compute.environment import rank_and_world_from_outside
from kinema.compute.task_pool import Send
from kinema.data.bad_video import BadVideo
from kinema.data.manifest import Manifest, Record
from kinema.derived.derive import Advance, Done, bad_videos, cores_to_use, derive
from kinema.derived.derived_manifest import file_name, manifest_name, refuse_other_data_set, write_derived_manifest
from kinema.derived.video_flow import Extraction, extract_video
from kinema.errors import UserError, VideoError, one_of
from kinema.flow.methods import find_method
from kinema.video.decoder import FLOW_SUFFIXES
from kinema.video.flow_store import open_flow_store
from kinema.video.flow_writer import KINDS, refuse_difference

MAX_GPU_WORKERS = 8
"""Processes that share the GPUs by default; each holds a CUDA context of some hundred MiB."""


@dataclass(frozen=True)
class ExtractionResult:
    """What an extraction has done.

    Attributes:
        manifest: The manifest of the stores, ready for training; None when not one video could be read.
        bad: Videos that could not be read.
        num_videos: Videos of this process's share with a store.
        num_found: Those of them that an earlier run had stored.
        num_fields: Fields computed now.
        seconds: How long it took.
    """

    manifest: Path | None
    bad: list[BadVideo]
    num_videos: int
    num_found: int
    num_fields: int
    seconds: float


@dataclass(frozen=True)
class _VideoTask:
    """Stores the flow of one video; what every process is given."""

    records: tuple[Record, ...]
    targets: tuple[Path, ...]
    extraction: Extraction
    devices: tuple[str, ...]

    def __call__(self, number: int, worker: int, send: Send) -> None:
        record, target = self.records[number], self.targets[number]
        description = self.extraction.describe(record.video_id)
        num_found = _num_stored(target, self.extraction, record.video_id) if target.exists() else 0
        if num_found:
            send(Done(number, num_found, found=True))
            return
        device = self.devices[worker % len(self.devices)]
        try:
            num_fields = extract_video(
                record,
                target,
                self.extraction,
                description,
                device=device,
                advance=lambda count: send(Advance(num_frames=count)),
            )
        except VideoError as error:
            send(Done(number, reason=error.reason))
            return
        send(Done(number, num_fields))


def extract_flow(
    data: str | Path | Manifest,
    out: str | Path,
    *,
    method: str = "tvl1",
    backend: str = "auto",
    bound: float = 20.0,
    kind: str = "jpeg",
    step: int = 1,
    short_side: int = 256,
    num_workers: int | None = None,
    device: str = "auto",
    progress: Callable[[Advance], None] | None = None,
) -> ExtractionResult:
    """Compute and store the flow of every video of a data set.

    Each video gets one file in ``out``, named after its id, which appears when it is complete. Files that an earlier
    run has finished stay as they are, so the same call again goes on after a stop. Processes that torchrun or SLURM
    started share the videos out. A manifest of the stores, with the labels and splits of ``data``, is written at the
    end; of several processes the last one's is complete.

    Args:
        data: A manifest, its CSV, or a folder of class folders.
        out: Folder for the stores and their manifest.
        method: ``tvl1``, ``farneback``, or ``dis``, the quickest.
        backend: ``torch``, ``opencv``, or ``auto`` for torch where the method has it.
        bound: Displacement in pixels at which flow is clipped before it is stored in 8 bits.
        kind: ``jpeg`` (pairs of JPEGs, small) or ``video`` (lossless).
        step: Use every step-th frame; flow then leads from each used frame to the next used one.
        short_side: Shorter side of the frames that flow is computed on, in pixels; smaller videos keep theirs, and
            with 0 all do.
        num_workers: Processes; 0 works in this one, None takes one for each core (or up to 8 for the GPUs).
        device: ``auto`` (every GPU of the machine, where the backend can use one), ``cpu``, ``cuda`` or ``cuda:N``.
        progress: Told what has been done, again and again.

    Raises:
        UserError: What is given is wrong, ``out`` holds flow made otherwise, or the disk is full.
    """
    start = time.monotonic()
    manifest, out = Manifest.open(data), Path(out)
    manifest.validate(check_files=False)
    extraction = _checked(method, backend, bound=bound, kind=kind, step=step, short_side=short_side)
    out.mkdir(parents=True, exist_ok=True)
    refuse_other_data_set(manifest, out, manifest_name(manifest, "flow.csv"), "flow")
    rank, world = rank_and_world_from_outside()
    records = tuple(manifest)[rank::world]
    targets = tuple(store_path(out, record.video_id, kind) for record in records)
    devices = _devices(device, extraction.backend)
    on_gpu = devices[0] != "cpu"
    if num_workers is None:
        num_workers = _default_workers(on_gpu)
    task = _VideoTask(records, targets, extraction, devices)
    done, num_computed = derive(
        task, len(records), records, out, what="flow", num_workers=num_workers, spawn=on_gpu, progress=progress
    )
    bad = bad_videos(records, done)

    written = _write_manifest(manifest, out, kind)
    num_found = sum(answer.found for answer in done.values())
    return ExtractionResult(written, bad, len(done) - len(bad), num_found, num_computed, time.monotonic() - start)


def _checked(method: str, backend: str, *, bound: float, kind: str, step: int, short_side: int) -> Extraction:
    """What is extracted, with nothing wrong in it: refused here rather than in every process."""
    one_of("kind of flow store", kind, KINDS)
    if bound <= 0 or step < 1 or short_side < 0:
        given = f"{bound}, {step}, {short_side}"
        raise UserError(f"bound must be above 0, step 1 or more and short side 0 or more; given {given}")
    backend = find_method(method, backend).backend
    return Extraction(method=method, backend=backend, bound=float(bound), kind=kind, step=step, short_side=short_side)


def store_path(out: Path, video_id: str, kind: str) -> Path:
    """Where the flow of a video lies: under its id, slashes making folders, with odd characters written as %XX."""
    return out / file_name(video_id, FLOW_SUFFIXES[kind])


def _num_stored(path: Path, extraction: Extraction, video_id: str) -> int:
    """Fields of a store that is there already; 0 when it is damaged and has to be made again."""
    try:
        with open_flow_store(path) as store:
            refuse_difference(path, store.description, extraction.describe(video_id))
            return len(store)
    except VideoError:
        return 0


def _devices(name: str, backend: str) -> tuple[str, ...]:
    """Devices that the workers take in turn; only one backend computes elsewhere than on the CPU."""
    if backend == "torch":
        return find_devices_of_workers(name)
    if parse_device("cpu" if name == "auto" else name).type != "cpu":
        raise UserError(f"device {name!r} cannot be used: backend {backend} computes on the CPU; use --device cpu.")
    return ("cpu",)


def _default_workers(on_gpu: bool) -> int:
    return min(cores_to_use(), MAX_GPU_WORKERS) if on_gpu else cores_to_use()


def _write_manifest(manifest: Manifest, out: Path, kind: str) -> Path | None:
    return write_derived_manifest(
        manifest,
        out / manifest_name(manifest, "flow.csv"),
        find_all=lambda: _stores(manifest, out, kind),
        read=lambda record, path: _stored(record, out, path),
    )


def _stores(manifest: Manifest, out: Path, kind: str) -> dict[str, str]:
    """Paths of the stores that are there, relative to ``out``, by their videos' ids."""
    names = {video_id: file_name(video_id, FLOW_SUFFIXES[kind]) for video_id in manifest.video_ids}
    return {video_id: name for video_id, name in names.items() if (out / name).exists()}


def _stored(record: Record, out: Path, path: str) -> Record | None:
    """The row of a store; None when it is damaged."""
    try:
        with open_flow_store(out / path) as store:
            num_fields, fps = len(store), store.fps
    except VideoError:
        return None
    nowhere = float("nan")  # a store has the fields of its segment only
    return record._replace(path=path, num_frames=num_fields, fps=fps, start=nowhere, end=nowhere, damaged=0)
