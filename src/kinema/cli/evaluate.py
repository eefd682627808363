"""``kinema evaluate``: accuracies of a trained model under a protocol."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from kinema.cli.argument_kinds import check_trained
from kinema.cli.confusion import check_confusion, save_confusion
from kinema.cli.waiting import loading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinema.evaluation.scores import ScoreTable


def evaluate(
    checkpoint: Positional[str],
    *,
    data: tuple[str, ...],
    protocol: str = "clip",
    reverse: bool = False,
    split: str = "test",
    out: Path | None = None,
    classes: bool = False,
    confusion: Path | None = None,
    json: bool = False,
    device: str = "auto",
    devices: int = 1,
    precision: str = "fp32",
    backend: str = "auto",
    batch_views: int | None = None,
    num_workers: int = 2,
    skip_bad: bool = False,
    optimize: bool = True,
) -> None:
    """Evaluate a trained model on videos, print its accuracies and save its scores.

    Args:
        checkpoint: Checkpoint file, run directory, or published weights such as tsm-resnet50.k400-f8.
        data: Manifest CSV or folder; several official splits at once give each and their average.
        protocol: clip, uniform-MxC, dense-MxC (M clips, C crops), r2plus1d-10, r2plus1d-10-random, sports1m-100,
            two-stream-25x10, all-frames, mfnet-M or image.
        reverse: Play every clip backwards.
        split: test (val where there is no test), val, train or all.
        out: File for the scores; for several data sets a folder. By default they lie beside the checkpoint.
        classes: Print the accuracy of each class too.
        confusion: Draw which classes are taken for which, as .png, or count it, as .csv.
        json: Print JSON instead of tables.
        device: auto, cpu, cuda or cuda:N.
        devices: Processes on this machine, each with a GPU of its own where there are any.
        precision: fp32, bf16 or fp16.
        backend: auto, pyav, torchcodec or frames.
        batch_views: Views in a batch; fitted to the memory when not given.
        num_workers: Processes that decode, for each device.
        skip_bad: Leave out videos that cannot be read, instead of stopping.
        optimize: On a CPU, run an optimised copy of the network where that pays; the scores are the same to 1e-4.
    """
    check_trained(checkpoint, data, verb="evaluate", option="--data")
    check_confusion(confusion)
    from kinema.compute.environment import is_first_process

    with loading():
        from kinema.evaluation.run import evaluate as evaluate_all

    how: dict[str, Any] = {"protocol": protocol, "reverse": reverse, "split": split, "skip_bad": skip_bad}
    where: dict[str, Any] = {"device": device, "devices": devices, "precision": precision, "optimize": optimize}
    where |= {"backend": backend, "batch_views": batch_views, "num_workers": num_workers}
    tables = evaluate_all(checkpoint, list(data), **how, **where, progress=True)
    if is_first_process():
        names = [f"{Path(table.meta['data']).name} ({table.meta['split']})" for table in tables]
        print_evaluation(tables, names, with_classes=classes, as_json=json)
        for table, path in zip(tables, score_paths(tables, out), strict=True):
            print(f"scores: {table.save(path)}", file=sys.stderr)
        if confusion is not None:
            print(f"confusion: {save_confusion(tables, names, confusion)}", file=sys.stderr)


def score_paths(tables: Sequence[ScoreTable], out: Path | None) -> list[Path]:
    """Where the tables go: ``out`` itself for one, else files named by data, split and protocol, each another."""
    if out is not None and len(tables) == 1 and out.suffix == ".npz":
        return [out]
    paths: list[Path] = []
    for table in tables:
        source, data = Path(table.meta["checkpoint"]), Path(table.meta["data"]).resolve()
        name = "-".join([source.stem, data.stem, table.meta["split"], table.meta["protocol"]])
        name += "-reversed" if table.meta["reverse"] else ""
        path = (out or source.parent) / f"{name}.npz"
        number = 2
        while path in paths:
            path = path.with_name(f"{name}-{number}.npz")
            number += 1
        paths.append(path)
    return paths


def print_evaluation(tables: Sequence[ScoreTable], names: Sequence[str], *, with_classes: bool, as_json: bool) -> None:
    """Print accuracies, of each class too on request, as tables or as JSON."""
    from kinema.cli.score_tables import print_classes, print_json, print_tables
    from kinema.evaluation.splits import notes_on_splits

    if as_json:
        print_json(tables, with_classes=with_classes)
        return
    meta = tables[0].meta
    backwards = ", frames reversed" if meta["reverse"] else ""
    title = f"{meta['model']}, protocol {meta['protocol']}{backwards}"
    print_tables(tables, names, title=title, average=len(tables) > 1)
    for note in notes_on_splits(tables):
        print(f"note: {note}", file=sys.stderr)
    for table, name in zip(tables, names, strict=True):
        if with_classes and table.num_labelled:
            print_classes(table, title=name)
