"""``kinema probe``: a linear classifier on the features of a network that stays as it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from kinema.cli.argument_kinds import check_trained

if TYPE_CHECKING:
    from kinema.evaluation.probe import ProbeResult


def probe(
    model: Positional[str],
    *,
    data: str,
    out: Path | None = None,
    protocol: str = "uniform-3x1",
    split: str = "test",
    strength: float | None = None,
    classes: bool = False,
    json: bool = False,
    device: str = "auto",
    precision: str = "fp32",
    backend: str = "auto",
    batch_views: int | None = None,
    num_workers: int = 2,
    skip_bad: bool = False,
    optimize: bool = True,
) -> None:
    """Fit a linear classifier to the features of a network, and test it: the baseline that training has to beat.

    Logistic regression on the training videos; cross-validation that never tears a group apart chooses the strength of
    its penalty. The result is a checkpoint like any other, and its scores are saved beside it.

    Args:
        model: MODEL.imagenet such as tsn-resnet50.imagenet, published weights, a checkpoint or a run directory.
        data: Manifest CSV or folder; its train videos are fitted.
        out: Folder for the checkpoint and the scores; by default runs/DATE-probe-MODEL.
        protocol: The views that a video's features are averaged over: clip, uniform-MxC or dense-MxC.
        split: What is tested: test (val where there is no test), val, train or all.
        strength: Of the penalty; chosen by cross-validation when not given.
        classes: Print the accuracy of each class too.
        json: Print JSON instead of tables.
        device: auto, cpu, cuda or cuda:N.
        precision: fp32, bf16 or fp16.
        backend: auto, pyav, torchcodec or frames.
        batch_views: Views in a batch; fitted to the memory when not given.
        num_workers: Processes that decode.
        skip_bad: Leave out videos that cannot be read, instead of stopping.
        optimize: On a CPU, run an optimised copy of the network where that pays; the scores are the same to 1e-4.
    """
    check_trained(model, [data], verb="probe", option="--data")
    from kinema.compute.environment import is_first_process
    from kinema.evaluation.probe import probe as fit
    from kinema.training.directory import new_folder, removed_if_empty

    where: dict[str, Any] = {"device": device, "precision": precision, "backend": backend, "num_workers": num_workers}
    where |= {"batch_views": batch_views, "skip_bad": skip_bad, "optimize": optimize, "progress": True}
    folder = new_folder(str(out or ""), f"probe-{Path(model).name}")
    with removed_if_empty(folder):
        result = fit(
            model,
            data,
            out=folder,
            protocol=protocol,
            split=split,
            strength=strength,
            **where,
        )
    if is_first_process():
        _print(result, with_classes=classes, as_json=json)


def _print(result: ProbeResult, *, with_classes: bool, as_json: bool) -> None:
    """Show the accuracies and the choice of the strength; save the scores."""
    from kinema.cli.evaluate import print_evaluation, score_paths

    if result.table is not None:
        name = f"{Path(result.table.meta['data']).name} ({result.table.meta['split']})"
        print_evaluation([result.table], [name], with_classes=with_classes, as_json=as_json)
        (path,) = score_paths([result.table], None)
        print(f"scores: {result.table.save(path)}", file=sys.stderr)
    print(_choice(result), file=sys.stderr if as_json else sys.stdout)
    print(f"checkpoint: {result.path}", file=sys.stderr)


def _choice(result: ProbeResult) -> str:
    """In words, how strong the penalty is and what cross-validation thinks of it."""
    fitted = f"strength {result.strength:.3g}, fitted to {result.num_training:,} train videos"
    if not result.trials:
        return fitted
    best = next(trial for trial in result.trials if trial.strength == result.strength)
    return f"{fitted}; cross-validated on them: top-1 {100 * best.top1:.1f} %, cross entropy {best.loss:.3f}"
