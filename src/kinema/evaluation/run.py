"""Evaluate a trained network on data sets under a protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeAlias, cast, overload

from kinema.compute.launch import launch
from kinema.compute.process import Process
from kinema.compute.supervision import Supervision
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.origin import origin, select_split
from kinema.evaluation.scores import ScoreTable
from kinema.evaluation.scoring import score_dataset
from kinema.inference.scorer import Scorer
from kinema.inference.views import ViewDataset
from kinema.specs.compute import Compute
from kinema.specs.loading import NUM_WORKERS, Loading
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import protocol as find_protocol
from kinema.weights.given import Network, as_trained, load_on
from kinema.weights.trained import TrainedModel

Data: TypeAlias = str | Path | Manifest

Options = ParamSpec("Options")

_SUPERVISION = Supervision(
    content="what is evaluated",
    outcome="nothing was scored. If memory ran out, use fewer processes or workers, or a smaller --batch-views.",
)


class _OneOrSeveral(Protocol[Options]):
    """A function that gives a table for a data set, and a list of tables for a list of them."""

    @overload
    def __call__(
        self, checkpoint: Network, data: Data, *args: Options.args, **options: Options.kwargs
    ) -> ScoreTable: ...
    @overload
    def __call__(
        self, checkpoint: Network, data: Sequence[Data], *args: Options.args, **options: Options.kwargs
    ) -> list[ScoreTable]: ...


def _one_or_several(
    function: Callable[Concatenate[Network, Data | Sequence[Data], Options], ScoreTable | list[ScoreTable]],
) -> _OneOrSeveral[Options]:
    """Tell type checkers what a list of data gives, with no second copy of the options; changes nothing."""
    return cast("_OneOrSeveral[Options]", function)


@_one_or_several
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
    optimize: bool = True,
    progress: bool = False,
) -> ScoreTable | list[ScoreTable]:
    """Score a trained network on the videos of one or several data sets.

    Every video is decoded once, however many views it has, and counts exactly once, on any number of processes.
    Processes that torchrun started divide the videos, and all return the whole table.

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
        optimize: Run the optimised copy where that pays, see ``Scorer``; ``meta["inference"]`` says what was run.
        progress: Show a progress bar on standard error, when that is a terminal.

    Returns:
        A table; a list of tables when ``data`` is a list.

    Raises:
        UserError: What is given is wrong, or videos cannot be read; the message lists them.
    """
    compute = Compute(device=device, devices=devices, precision=precision)
    loading = Loading(num_workers=num_workers, backend=backend, skip_bad=skip_bad, batch_views=batch_views)
    listed = [data] if (is_one := isinstance(data, str | Path | Manifest)) else list(data)
    if not listed:
        raise UserError("there is no data to evaluate on; give a manifest or a folder.")
    network = as_trained(checkpoint, classes=classes, preprocessing=preprocessing)
    how = {"protocol": protocol, "reverse": reverse, "split": split, "optimize": optimize}
    work = partial(_evaluate, **how, loading=loading, progress=progress)
    tables = launch(Process, compute, work, network, listed, supervision=_SUPERVISION)
    return tables[0] if is_one else tables


def _evaluate(
    process: Process,
    network: str | Path | TrainedModel,
    listed: Sequence[Data],
    *,
    protocol: str,
    reverse: bool,
    split: str,
    loading: Loading,
    optimize: bool,
    progress: bool,
) -> list[ScoreTable]:
    """Evaluate on one data set after the other; the body of each process."""
    trained = load_on(network, process)
    chosen = [select_split(Manifest.open(data), split, log_fallback=process.rank == 0) for data in listed]
    resolved = find_protocol(protocol, trained.preprocessing)
    tables = []
    for manifest, its_split in chosen:
        start = time.monotonic()
        dataset = ViewDataset(manifest, resolved, backend=loading.backend, reverse=reverse)
        classes = trained.classes or manifest.classes
        scorer = Scorer(
            trained.model, trained.preprocessing, process, loading, num_classes=len(classes), optimize=optimize
        )
        table = score_dataset(scorer, dataset, classes=classes, title="Evaluating" if progress else "")
        more = origin(trained, manifest, its_split) | {"inference": scorer.chosen.to_dict()}
        more |= {"seconds": round(time.monotonic() - start, 3)}
        tables.append(replace(table, meta={**table.meta, **more}))
    return tables
