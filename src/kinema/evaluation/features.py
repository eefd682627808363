"""Pooled features of videos: what a network sees before it decides on a class."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from torch import nn

from kinema.compute.process import Process
from kinema.compute.progress import progress_bar
from kinema.data.manifest import Manifest
from kinema.errors import UserError
from kinema.evaluation.array_file import read_arrays, write_arrays
from kinema.evaluation.run import load_on, origin, select_split
from kinema.evaluation.sharing import NUM_WORKERS, compute_on, evaluating, reduce_videos
from kinema.inference.batching import ComputedViews
from kinema.inference.views import ViewDataset
from kinema.shapes import Clip
from kinema.specs.compute import Compute
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import EvalProtocol
from kinema.specs.protocol import protocol as find_protocol
from kinema.weights.given import Network, as_trained, last_map
from kinema.weights.trained import TrainedModel

CONTENT = "kinema features"
FORMAT = 1


class ViewOptions(TypedDict):
    """How videos are looked at, as :func:`features` explains it."""

    protocol: str
    backend: str
    batch_views: int | None
    num_workers: int
    skip_bad: bool
    progress: bool


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
        progress: Show a progress bar on standard error, when that is a terminal.

    Raises:
        UserError: What is given is wrong, or videos cannot be read; the message lists them.
    """
    with Process.joined(Compute(device=device, precision=precision)) as process:
        trained = load_on(as_trained(checkpoint, preprocessing=preprocessing), process, needs_classes=False)
        manifest, split = select_split(Manifest.open(data), split, aloud=process.rank == 0)
        return feature_table(
            process,
            trained,
            manifest,
            pooled_features(trained.model),
            protocol=protocol,
            split=split,
            backend=backend,
            batch_views=batch_views,
            num_workers=num_workers,
            skip_bad=skip_bad,
            progress=progress,
        )


def feature_table(
    process: Process,
    trained: TrainedModel,
    manifest: Manifest,
    network: Callable[[Clip], torch.Tensor],
    *,
    split: str,
    **how: Unpack[ViewOptions],
) -> FeatureTable:
    """Compute what ``network`` makes of every clip and average it over the views of a video.

    Args:
        process: This process; several share the videos, and all return the whole table.
        trained: The network and its preprocessing.
        manifest: The videos.
        network: A part of ``trained.model``, from clips to features, axes ``b d``.
        split: What the table says the videos are.
        how: As for :func:`features`.
    """
    start = time.monotonic()
    resolved = find_protocol(how["protocol"], trained.preprocessing)
    dataset = ViewDataset(manifest, resolved, backend=how["backend"])
    num_own = len(range(process.rank, len(dataset), process.world))
    with (
        evaluating(trained.model),
        progress_bar(num_own, "Computing features", shown=how["progress"] and process.rank == 0) as advance,
    ):
        found = reduce_videos(
            dataset,
            compute_on(process, network, trained.model, trained.preprocessing),
            _mean_over_views,
            process,
            batch_views=how["batch_views"],
            num_workers=how["num_workers"],
            skip_bad=how["skip_bad"],
            advance=advance,
        )
    more = {"protocol": how["protocol"], "seen": _seen(resolved, trained.preprocessing), "left_out": found.left_out}
    ids = np.array(manifest.video_ids, dtype=np.str_)[found.indices]
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


def _mean_over_views(views: ComputedViews) -> tuple[np.ndarray, ...]:
    return (views.rows.mean(axis=0, dtype=np.float64).astype(np.float32),)
