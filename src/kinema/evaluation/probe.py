"""The linear probe: a linear classifier on the features of a network that stays as it is."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinema.compute.process import Process
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.features import FeatureTable, feature_table
from kinema.evaluation.logistic import (
    NUM_FOLDS,
    LinearClassifier,
    LogisticPath,
    Trial,
    best_trial,
    cross_validate,
)
from kinema.evaluation.origin import origin, select_split
from kinema.evaluation.scores import ScoreTable
from kinema.files import write_text
from kinema.inference.scorer import Scorer
from kinema.models.classifier import classifier_passed_over, weights_with_classifier
from kinema.specs.compute import Compute
from kinema.specs.loading import NUM_WORKERS, Loading
from kinema.specs.protocol import protocol as find_protocol
from kinema.weights.checkpoint import Checkpoint
from kinema.weights.given import load_on
from kinema.weights.state_dicts import weights_digest
from kinema.weights.trained import TrainedModel
from kinema.wording import some_of

CHECKPOINT, ABOUT = "best.ckpt", "probe.json"
"""What a probe leaves in its folder: an ordinary checkpoint, and how the strength was chosen."""

log = logging.getLogger("kinema")


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """A fitted probe.

    Attributes:
        path: Its folder, with ``best.ckpt``, a checkpoint like any other, and ``probe.json``.
        strength: Of the L2 penalty.
        trials: What cross-validation on the training videos found for each strength; empty when it was given.
        num_training: Videos that were fitted.
        table: Scores of the videos that are tested; None where the data have none.
    """

    path: Path
    strength: float
    trials: tuple[Trial, ...]
    num_training: int
    table: ScoreTable | None

    def __repr__(self) -> str:
        return f"ProbeResult({str(self.path)!r}, strength {self.strength:.3g}, {self.table})"


def probe(
    model: str | Path | TrainedModel,
    data: str | Path | Manifest,
    *,
    out: str | Path,
    protocol: str = "uniform-3x1",
    split: str = "test",
    strength: float | None = None,
    device: str = "auto",
    precision: str = "fp32",
    backend: str = "auto",
    batch_views: int | None = None,
    num_workers: int = NUM_WORKERS,
    skip_bad: bool = False,
    optimize: bool = True,
    progress: bool = False,
) -> ProbeResult:
    """Fit a linear classifier to the features of a network that is not trained any further: a baseline in minutes.

    The features are what the network's own classifier would be given, averaged over the views of a video. The fit is
    multinomial logistic regression with an L2 penalty on standardised features; all training videos count the same.
    The strength of the penalty is the one with the smallest cross entropy in five-fold cross-validation on the
    training videos, where a group is never torn apart. Network and classifier together are saved as a checkpoint:
    ``evaluate`` under the same protocol gives the same scores.

    Args:
        model: What gives the features: ``model.imagenet`` such as ``tsn-resnet50.imagenet``, published weights by
            ``model.tag``, a checkpoint file, a run directory, or what ``kinema.load`` returned.
        data: A manifest, its CSV, or a folder of class folders; its ``train`` videos are fitted.
        out: Folder for the checkpoint.
        protocol: Which views of a video the features are averaged over; one that averages scores before the softmax.
        split: What is tested: ``test`` (``val`` stands in for it), ``val``, ``train`` or ``all``.
        strength: Of the penalty; None chooses it by cross-validation.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32``, ``bf16`` or ``fp16`` inside the network.
        backend: Decoder, see ``kinema.open_video``.
        batch_views: Views of a batch; None fits it to the memory.
        num_workers: Processes that decode.
        skip_bad: Leave out videos that cannot be read.
        optimize: On a CPU, run the network's optimised copy where that pays; see ``kinema.evaluate``.
        progress: Show progress bars on standard error, when that is a terminal.

    Raises:
        UserError: What is given is wrong, or videos cannot be read; the message lists them.
    """
    folder = Path(out)
    if (folder / CHECKPOINT).exists():
        raise UserError(f"{folder} already holds a {CHECKPOINT}; choose another folder")
    if strength is not None and not strength > 0:
        raise UserError(f"strength is {strength}; it must be above 0")
    loading = Loading(num_workers=num_workers, backend=backend, skip_bad=skip_bad, batch_views=batch_views)
    with Process.joined(Compute(device=device, precision=precision)) as process:
        manifest = Manifest.open(data)
        how: dict[str, Any] = {"protocol": protocol, "optimize": optimize, "progress": progress}
        return _fit_and_test(process, model, manifest, folder, split, strength, loading=loading, **how)


def _fit_and_test(
    process: Process,
    model: str | Path | TrainedModel,
    manifest: Manifest,
    folder: Path,
    split: str,
    strength: float | None,
    *,
    protocol: str,
    loading: Loading,
    optimize: bool,
    progress: bool,
) -> ProbeResult:
    """Do what ``probe`` says, in one process of it."""
    start = time.monotonic()
    training = _training_videos(manifest)
    trained = load_on(model, process, needs_classes=False)
    _require_linear(protocol, trained)
    tested, split = _tested_videos(manifest, split, log_fallback=process.rank == 0)
    compute = partial(
        feature_table,
        Scorer(trained.model, trained.preprocessing, process, loading, optimize=optimize),
        trained,
        protocol=protocol,
        progress=progress,
    )
    with classifier_passed_over(trained.model):
        seen = compute(training, split="train")
        others = compute(tested, split=split) if tested else None
    _require_all_classes(manifest.name, manifest.classes, seen.labels)  # some may have had unreadable videos only
    _require_finite(seen, others)
    groups = [training.groups[row] for row in _rows(training, seen)]
    if not strength and not any(groups) and process.rank == 0:
        log.warning("%s names no groups: copies of one recording may judge each other.", manifest.name)
    trials = () if strength else tuple(cross_validate(seen.features, seen.labels, groups))
    chosen = strength or best_trial(trials).strength
    fitted = LogisticPath(seen.features, seen.labels, len(manifest.classes)).fit(chosen)
    about = _about(trained, training, seen, chosen, trials)
    saved = _save(folder, trained, manifest, fitted, about, process)
    table = None
    if others is not None:
        meta = {**others.meta, **origin(saved, tested or manifest, split), "reverse": False, "probe": about}
        meta["seconds"] = round(time.monotonic() - start, 3)
        scores = fitted.scores(others.features)
        table = ScoreTable(others.ids, scores, others.labels, "logits", manifest.classes, meta=meta)
    return ProbeResult(folder, chosen, trials, len(seen), table)


def _training_videos(manifest: Manifest) -> Manifest:
    """The videos to fit: labelled, of two classes or more, and some of every class."""
    if "train" not in manifest.splits:
        raise UserError(f"{manifest.name} has no train videos; its splits are: {', '.join(manifest.splits) or 'none'}")
    training = manifest.select("train")
    unlabelled = [training.video_ids[row] for row in np.flatnonzero(training.labels < 0)]
    if unlabelled:
        raise UserError(
            f"{manifest.name}: {len(unlabelled)} train videos have no label ({some_of(unlabelled, 5)}); name their "
            "classes in the column label, or leave the videos out"
        )
    if len(manifest.classes) < 2:
        raise UserError(f"{manifest.name} has {len(manifest.classes)} class; a classifier needs at least two")
    _require_all_classes(manifest.name, manifest.classes, training.labels)
    return training


def _require_all_classes(name: str, classes: tuple[str, ...], labels: np.ndarray) -> None:
    absent = [classes[label] for label in range(len(classes)) if label not in set(labels.tolist())]
    if absent:
        raise UserError(
            f"{name} has no train videos of {len(absent)} of its {len(classes)} classes ({some_of(absent, 5)}); give "
            "some, or take the classes out of the list of classes"
        )


def _tested_videos(manifest: Manifest, split: str, *, log_fallback: bool) -> tuple[Manifest | None, str]:
    if split == "test" and not {"test", "val"} & set(manifest.splits):
        if log_fallback:
            log.warning("%s has neither test nor val videos: cross-validation alone judges.", manifest.name)
        return None, split
    return select_split(manifest, split, log_fallback=log_fallback)


def _require_linear(protocol: str, trained: TrainedModel) -> None:
    """Averaging features is averaging scores only before the softmax."""
    averages = find_protocol(protocol, trained.preprocessing).averages
    if averages != "logits":
        raise UserError(
            f"protocol {protocol} averages {averages}, which no average of features gives; take clip, uniform-MxC or "
            "dense-MxC"
        )


def _require_finite(*tables: FeatureTable | None) -> None:
    for table in tables:
        broken = [] if table is None else table.ids[~np.isfinite(table.features).all(1)].tolist()
        if broken:
            raise UserError(
                f"{len(broken)} videos have features that are not finite numbers: {some_of(broken, 5)}. The weights "
                "or the precision are at fault"
            )


def _rows(manifest: Manifest, table: FeatureTable) -> list[int]:
    """Rows of the manifest that the table has; videos that could not be read are missing in it."""
    rows = {video_id: row for row, video_id in enumerate(manifest.video_ids)}
    return [rows[video_id] for video_id in table.ids.tolist()]


def _about(
    trained: TrainedModel, training: Manifest, seen: FeatureTable, strength: float, trials: tuple[Trial, ...]
) -> dict[str, Any]:
    """How the probe was made; JSON values."""
    about = origin(trained, training, "train")
    about |= {"protocol": seen.meta["protocol"], "num_training": len(seen), "strength": strength}
    return about | {"folds": NUM_FOLDS, "trials": [trial._asdict() for trial in trials]}


def _save(
    folder: Path,
    trained: TrainedModel,
    manifest: Manifest,
    fitted: LinearClassifier,
    about: dict[str, Any],
    process: Process,
) -> TrainedModel:
    """Write the checkpoint; gives back what the network is now, its own model left as it was."""
    model = trained.model
    state = weights_with_classifier(model, torch.from_numpy(fitted.weight), torch.from_numpy(fitted.bias))
    state = {key: value.cpu() for key, value in state.items()}
    best = best_trial([Trial(**trial) for trial in about["trials"]]) if about["trials"] else None
    scores = {} if best is None else {"cv_loss": best.loss, "cv_top1": best.top1}
    if process.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / ABOUT, json.dumps(about, indent=2) + "\n")
        probed = Checkpoint.of(
            model,
            classes=manifest.classes,
            preprocessing=trained.preprocessing,
            state_dict=state,
            num_classes=len(manifest.classes),
            scores=scores,
        )
        probed.write(folder / CHECKPOINT)
    path = str(folder / CHECKPOINT)
    return TrainedModel(
        model, manifest.classes, trained.preprocessing, {}, scores, weights_digest(state), path, trained.notes
    )
