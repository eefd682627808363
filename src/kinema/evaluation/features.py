"""Pooled features of videos: what a network sees before it decides on a class."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kinema.compute.process import Process
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.array_file import read_arrays, write_arrays
from kinema.evaluation.origin import origin, select_split
from kinema.inference.gathering import gather_videos
from kinema.inference.scorer import Scorer
from kinema.inference.views import ViewDataset
from kinema.shapes import Clip
from kinema.specs.compute import Compute
from kinema.specs.loading import NUM_WORKERS, Loading
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import EvalProtocol, mean_over_views
from kinema.specs.protocol import protocol as find_protocol
from kinema.weights.given import Network, as_trained, last_map, load_on
from kinema.weights.trained import TrainedModel

CONTENT = "kinema features"
FORMAT = 1


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One feature vector per video.

    Attributes:
        ids: Video ids, axes ``videos``.
        features: Maps averaged over time, space and a video's views, float32, axes ``videos d``.
        labels: Class indices into ``classes``, int64, axes ``videos``; -1 where unlabelled.
        classes: Class names of the data set.
        meta: Where the features come from; JSON values.
    """

    ids: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.features.ndim == 2, "features have axes videos, d"
        assert len(self.ids) == len(self.features) == len(self.labels), "one row for each video"

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"FeatureTable({len(self)} videos x {self.features.shape[1]} features, model {self.meta.get('model')})"

    def save(self, path: str | Path) -> Path:
        """Write an ``.npz`` with the arrays ids, features, labels, classes, and a JSON header with ``meta``."""
        arrays = {
            "ids": self.ids,
            "features": self.features,
            "labels": self.labels,
            "classes": np.array(self.classes, dtype=np.str_),
        }
        return write_arrays(path, {"content": CONTENT, "format": FORMAT, "meta": self.meta}, arrays)

    @classmethod
    def load(cls, path: str | Path) -> FeatureTable:
        """Read what :meth:`save` wrote; runs no code from the file.

        Raises:
            UserError: The file is missing, damaged or holds something else.
        """
        header, arrays = read_arrays(path, content=CONTENT, newest=FORMAT)
        try:
            names = tuple(str(name) for name in arrays["classes"])
            return cls(arrays["ids"], arrays["features"], arrays["labels"], names, header["meta"])
        except KeyError as error:
            raise UserError(f"{path}: the features lack {error}.") from error


def features(
    checkpoint: Network,
    data: str | Path | Manifest,
    *,
    preprocessing: Preprocessing | None = None,
    protocol: str = "clip",
    split: str = "all",
    device: str = "auto",
    precision: str = "fp32",
    backend: str = "auto",
    batch_views: int | None = None,
    num_workers: int = NUM_WORKERS,
    skip_bad: bool = False,
    optimize: bool = True,
    progress: bool = False,
) -> FeatureTable:
    """Compute the pooled features of every video of a data set, whatever its classes are, or none.

    Args:
        checkpoint: A checkpoint file, a run directory, published weights by ``model.tag`` (``model.imagenet`` needs no
            training), what ``kinema.load`` returned, or a network with ``features(clip)``.
        data: A manifest, its CSV, or a folder of videos. Processes that torchrun started share them, all return all.
        preprocessing: For a network object, see ``kinema.weights.given.as_trained``.
        protocol: Name of the protocol; the features of a video's views are averaged.
        split: ``train``, ``val``, ``test`` or ``all``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32``, ``bf16`` or ``fp16`` inside the network.
        backend: Decoder, see ``kinema.open_video``.
        batch_views: Views of a batch; None fits it to the memory.
        num_workers: Processes that decode.
        skip_bad: Leave out videos that cannot be read.
        optimize: On a CPU, run the network's optimised copy where that pays; see ``kinema.evaluate``.
        progress: Show a progress bar on standard error, when that is a terminal.

    Raises:
        UserError: What is given is wrong, or videos cannot be read; the message lists them.
    """
    loading = Loading(num_workers=num_workers, backend=backend, skip_bad=skip_bad, batch_views=batch_views)
    with Process.joined(Compute(device=device, precision=precision)) as process:
        trained = load_on(as_trained(checkpoint, preprocessing=preprocessing), process, needs_classes=False)
        manifest, split = select_split(Manifest.open(data), split, log_fallback=process.rank == 0)
        scorer = Scorer(trained.model, trained.preprocessing, process, loading, part=pooled_features, optimize=optimize)
        return feature_table(scorer, trained, manifest, protocol=protocol, split=split, progress=progress)


def feature_table(
    scorer: Scorer, trained: TrainedModel, manifest: Manifest, *, protocol: str, split: str, progress: bool = False
) -> FeatureTable:
    """Compute the features of every clip and average them over the views of a video.

    Args:
        scorer: Its network gives the features of clips, axes ``b d``; several processes divide the videos, and all
            return the whole table.
        trained: What ``scorer`` runs, or runs a part of.
        manifest: The videos.
        protocol: Name of the protocol.
        split: What the table says the videos are.
        progress: Show a progress bar on standard error, when that is a terminal.
    """
    start = time.monotonic()
    resolved = find_protocol(protocol, trained.preprocessing)
    dataset = ViewDataset(manifest, resolved, backend=scorer.loading.backend)
    title = "Computing features" if progress else ""
    found = gather_videos(scorer, dataset, lambda result: (mean_over_views(result.rows),), title=title)
    more: dict[str, Any] = {
        "protocol": protocol,
        "seen": _seen(resolved, trained.preprocessing),
        "left_out": found.left_out,
    }
    ids = np.array(manifest.video_ids, dtype=np.str_)[found.indices]
    more["inference"] = scorer.chosen.to_dict()
    meta = origin(trained, manifest, split) | more | {"seconds": round(time.monotonic() - start, 3)}
    return FeatureTable(ids, found.columns[0], manifest.labels[found.indices], manifest.classes, meta)


def pooled_features(model: nn.Module) -> Callable[[Clip], torch.Tensor]:
    """The part of a model before its head: clips to maps averaged over time and space, float32, axes ``b d``."""
    features = last_map(model)
    return lambda clip: features(clip).float().mean(dim=(2, 3, 4))


def _seen(protocol: EvalProtocol, preprocessing: Preprocessing) -> str:
    """In words, what a protocol shows a network of a video."""
    resize = protocol.resize or (protocol.crop_size,)
    size = f"short side {resize[0]}" if len(resize) == 1 else f"resized to {resize[0]} x {resize[1]}"
    crops = f"{len(protocol.crops)} crop{'s' if len(protocol.crops) > 1 else ''} of {protocol.crop_size}"
    own = f"{preprocessing.frames} frames, {preprocessing.sampling}, stride {preprocessing.stride}"
    return f"protocol {protocol.name} for a network of {own}; {size} pixels, {crops}"
