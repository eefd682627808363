"""Evaluate a trained network on data sets under a protocol."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypedDict, Unpack, overload

from kinema.compute.launch import Supervision, launch
from kinema.compute.process import Process
from kinema.compute.progress import progress_bar
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.scores import ScoreTable
from kinema.evaluation.scoring import score_dataset
from kinema.evaluation.sharing import NUM_WORKERS
from kinema.inference.views import ViewDataset
from kinema.specs.compute import Compute
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import protocol as find_protocol
from kinema.weights.given import Network, as_trained, name_of
from kinema.weights.trained import TrainedModel, load, require_classes

Data: TypeAlias = str | Path | Manifest

log = logging.getLogger("kinema")

_SUPERVISION = Supervision(
    content="what is evaluated",
    outcome="nothing was scored. If memory ran out, use fewer processes or workers, or a smaller --batch-views.",
)


class _Job(NamedTuple):
    """What every process of an evaluation is told."""

    checkpoint: str | Path | TrainedModel
    data: tuple[Data, ...]
    protocol: str
    reverse: bool
    split: str
    backend: str
    batch_views: int | None
    num_workers: int
    skip_bad: bool
    progress: bool


class _Options(TypedDict, total=False):
    """The keywords of ``evaluate``, for its two signatures."""

    classes: Sequence[str] | None
    preprocessing: Preprocessing | None
    protocol: str
    reverse: bool
    split: str
    device: str
    devices: int
    precision: str
    backend: str
    batch_views: int | None
    num_workers: int
    skip_bad: bool
    progress: bool


@overload
def evaluate(  # pyrefly: ignore[inconsistent-overload]  (it takes a TypedDict for one with unknown keys)
    checkpoint: Network, data: Data, **options: Unpack[_Options]
) -> ScoreTable: ...
@overload
def evaluate(  # pyrefly: ignore[inconsistent-overload]
    checkpoint: Network, data: Sequence[Data], **options: Unpack[_Options]
) -> list[ScoreTable]: ...
def evaluate(
    checkpoint: Network,
    data: Data | Sequence[Data],
    *,
    classes: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    protocol: str = "clip",
    reverse: bool = False,
    split: str = "test",
    device: str = "auto",
    devices: int = 1,
    precision: str = "fp32",
    backend: str = "auto",
    batch_views: int | None = None,
    num_workers: int = NUM_WORKERS,
    skip_bad: bool = False,
    progress: bool = False,
) -> ScoreTable | list[ScoreTable]:
    """Score a trained network on the videos of one or several data sets.

    Every video is decoded once, however many views it has, and counts exactly once, on any number of processes.
    Processes that torchrun started share the videos, and all return the whole table.

    Args:
        checkpoint: A checkpoint file, a run directory, what ``kinema.load`` returned, or any network from clips
            ``b c t h w`` to logits ``b classes``.
        data: A manifest, its CSV, or a folder of class folders; or a list of these, such as official splits.
        classes: For such a network, names in the order of its logits; by default the classes of the data.
        preprocessing: For such a network, see ``kinema.weights.given.as_trained``.
        protocol: Name, see ``kinema.specs.protocol.protocol``; frames and crop come from the checkpoint.
        reverse: Play every clip backwards.
        split: ``train``, ``val``, ``all``, or ``test``; ``val`` stands in for absent test videos, and a note says so.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        devices: Processes to start on this machine, each with a GPU of its own where there are GPUs. A script that
            asks for more than one must guard its main part by ``if __name__ == "__main__"``.
        precision: ``fp32``, ``bf16`` or ``fp16`` inside the network.
        backend: Decoder, see ``kinema.open_video``.
        batch_views: Views of a batch; None fits it to the memory.
        num_workers: Processes that decode, for each of ``devices``.
        skip_bad: Leave out videos that cannot be read; otherwise they are an error, after all others were tried.
        progress: Show a progress bar on standard error, when that is a terminal.

    Returns:
        A table; a list of tables when ``data`` is a list.

    Raises:
        UserError: What is given is wrong, or videos cannot be read; the message lists them.
    """
    several = isinstance(data, Sequence) and not isinstance(data, str)
    listed: tuple[Data, ...] = tuple(data) if several else (data,)  # pyrefly: ignore
    how = protocol, reverse, split, backend, batch_views, num_workers, skip_bad, progress
    network = as_trained(checkpoint, classes=classes, preprocessing=preprocessing)
    tables = _start(_Job(network, listed, *how), Compute(device=device, devices=devices, precision=precision))
    return tables if several else tables[0]


def _start(job: _Job, compute: Compute) -> list[ScoreTable]:
    """Do a job in this process, or in several."""
    if not job.data:
        raise UserError("there is no data to evaluate on; give a manifest or a folder.")
    return launch(Process, compute, _evaluate_job, job, supervision=_SUPERVISION)


def select_split(manifest: Manifest, split: str, *, aloud: bool = True) -> tuple[Manifest, str]:
    """Take the videos of a split; validation videos stand in for missing test videos.

    Args:
        manifest: All videos.
        split: ``train``, ``val``, ``test`` or ``all``.
        aloud: Note the stand-in on the log.

    Returns:
        The videos, and the split that they are of.
    """
    if split == "all":
        return manifest, split
    if split == "test" and "test" not in manifest.splits and "val" in manifest.splits:
        if aloud:
            log.warning("%s has no test videos; its validation videos are evaluated.", manifest.name)
        split = "val"
    return manifest.select(split=split), split


def _evaluate_job(process: Process, job: _Job) -> list[ScoreTable]:
    """Evaluate on one data set after the other; the body of each process."""
    trained = load_on(job.checkpoint, process)
    chosen = [select_split(Manifest.open(data), job.split, aloud=process.rank == 0) for data in job.data]
    resolved = find_protocol(job.protocol, trained.preprocessing)
    tables = []
    for manifest, split in chosen:
        start = time.monotonic()
        dataset = ViewDataset(manifest, resolved, backend=job.backend, reverse=job.reverse)
        num_own = len(range(process.rank, len(dataset), process.world))
        with progress_bar(num_own, "Evaluating", shown=job.progress and process.rank == 0) as advance:
            table = score_dataset(
                trained.model,
                dataset,
                classes=trained.classes or manifest.classes,
                preprocessing=trained.preprocessing,
                process=process,
                batch_views=job.batch_views,
                num_workers=job.num_workers,
                skip_bad=job.skip_bad,
                advance=advance,
            )
        more = origin(trained, manifest, split) | {"seconds": round(time.monotonic() - start, 3)}
        tables.append(replace(table, meta={**table.meta, **more}))
    return tables


def load_on(checkpoint: str | Path | TrainedModel, process: Process, *, needs_classes: bool = True) -> TrainedModel:
    """Load a checkpoint onto a process's device; a model in memory is moved there.

    Raises:
        UserError: It has no action classes, and they are needed; or it cannot be loaded.
    """
    if needs_classes:
        require_classes(checkpoint)
    trained = checkpoint if isinstance(checkpoint, TrainedModel) else load(checkpoint, device=process.device)
    trained.model.to(process.device)
    for note in trained.notes if process.rank == 0 else ():
        log.warning("%s: %s", trained.path, note)
    return trained


def origin(trained: TrainedModel, manifest: Manifest, split: str) -> dict[str, Any]:
    """What a saved result says about where it comes from; JSON values."""
    from kinema import __version__

    return {
        "model": name_of(trained.model),
        "checkpoint": trained.path,
        "weights_sha256": trained.weights_sha256,
        "data": manifest.name,
        "split": split,
        "manifest_sha256": manifest.digest(),
        "kinema_version": __version__,
    }
