"""Name the action in video files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kinema.compute.process import Process
from kinema.data.bad_video import BadVideo
from kinema.data.folder import VIDEO_SUFFIXES, list_folder
from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError
from kinema.inference.scorer import Scorer
from kinema.inference.views import VideoViews, ViewDataset
from kinema.specs.compute import Compute
from kinema.specs.loading import Loading
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import protocol as find_protocol
from kinema.video.location import is_remote
from kinema.weights.given import Network, as_trained, load_on
from kinema.weights.trained import TrainedModel
from kinema.wording import counted, some_of

Videos = str | Path | Sequence[str | Path]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network thinks of one video.

    Attributes:
        path: The video.
        probabilities: Of all classes, float32, axis ``classes``; sums to 1.
        classes: Class names.
        top: The best classes and their probabilities, best first.
        views: What the network saw; ``views.clips(0, 1)`` are the pixels of the first view.
    """

    path: str
    probabilities: np.ndarray
    classes: tuple[str, ...]
    top: tuple[tuple[str, float], ...]
    views: VideoViews = field(repr=False)

    @property
    def label(self) -> str:
        """The best class."""
        return self.top[0][0]

    def __repr__(self) -> str:
        best = ", ".join(f"{name} {probability:.3f}" for name, probability in self.top)
        return f"Prediction({self.path!r}: {best})"

    def to_dict(self) -> dict[str, Any]:
        """Path and best classes as JSON types."""
        return {"video": self.path, "top": [{"class": name, "probability": value} for name, value in self.top]}


def predict(
    checkpoint: Network,
    videos: Videos,
    *,
    classes: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    top: int = 5,
    protocol: str = "clip",
    device: str = "auto",
    precision: str = "fp32",
    backend: str = "auto",
    batch_views: int | None = None,
    num_workers: int = 0,
    skip_bad: bool = False,
    optimize: bool = True,
) -> list[Prediction]:
    """Name the action in one video, in several, or in every video of a folder.

    Args:
        checkpoint: A checkpoint file, a run directory, what ``kinema.load`` returned, or a network object.
        videos: Files, folders of videos (searched all the way down), folders of images, manifests; one or a list.
        classes: For an object, names in the order of its logits.
        preprocessing: For an object, see ``kinema.weights.given.as_trained``.
        top: How many classes to name for each video.
        protocol: Name of the protocol; more views give steadier answers.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32``, ``bf16`` or ``fp16`` inside the network.
        backend: Decoder, see ``kinema.open_video``.
        batch_views: Views of a batch; None fits it to the memory.
        num_workers: Processes that decode; worth their start for many videos.
        skip_bad: Leave out videos that cannot be read.
        optimize: On a CPU, run the network's optimised copy where that pays; see ``kinema.evaluate``.

    Returns:
        One prediction for each video, in the order given.

    Raises:
        UserError: What is given is wrong, or videos cannot be read; the message lists them.
    """
    compute = Compute(device=device, precision=precision)
    loading = Loading(num_workers=num_workers, backend=backend, skip_bad=skip_bad, batch_views=batch_views)
    network = as_trained(checkpoint, classes=classes, preprocessing=preprocessing, must_name=True)
    answers: list[Prediction] = []
    bad: list[BadVideo] = []
    how: dict[str, Any] = {"top": top, "protocol": protocol, "optimize": optimize}
    for answer in predictions(network, find_videos(videos), compute, loading, **how):
        if isinstance(answer, BadVideo):
            bad.append(answer)
        else:
            answers.append(answer)
    if bad and not loading.skip_bad:
        total = counted(len(bad) + len(answers), "video")
        listed = some_of([f"{video.path}: {video.reason}" for video in bad])
        raise UserError(f"{len(bad)} of {total} cannot be read: {listed}")
    return answers


def predictions(
    checkpoint: str | Path | TrainedModel,
    paths: Sequence[str],
    compute: Compute,
    loading: Loading,
    *,
    top: int = 5,
    protocol: str = "clip",
    optimize: bool = True,
) -> Iterator[Prediction | BadVideo]:
    """Predict one video after another: an answer, or why there is none, as soon as it is known; see :func:`predict`.

    The id of a ``BadVideo`` is what ``paths`` calls it.
    """
    if top < 1:
        raise UserError(f"top is {top}; it must be at least 1.")
    process = Process.alone(compute)
    trained = load_on(checkpoint, process)
    resolved = find_protocol(protocol, trained.preprocessing)
    records = [Record(path, path) for path in paths]
    manifest = Manifest.from_records(records, classes=(), root=Path())
    dataset = ViewDataset(manifest, resolved, backend=loading.backend)
    num_classes, num_views = len(trained.classes), len(paths) * resolved.num_views
    scorer = Scorer(trained.model, trained.preprocessing, process, loading, num_classes=num_classes, optimize=optimize)
    for result in scorer.run(dataset.videos(num_workers=loading.num_workers), num_views=num_views):
        if isinstance(result, BadVideo):
            yield result
            continue
        probabilities = resolved.probabilities(result.rows)
        best = best_classes(probabilities, trained.classes, top)
        yield Prediction(paths[result.video.index], probabilities, trained.classes, best, result.video)


def best_classes(probabilities: np.ndarray, classes: Sequence[str], count: int) -> tuple[tuple[str, float], ...]:
    """The ``count`` most probable classes with their probabilities, best first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return tuple((classes[index], float(probabilities[index])) for index in order)


def find_videos(videos: Videos) -> list[str]:
    """List the videos that files and folders stand for, each once, in the order given, folders in alphabetical order.

    A file is taken as it is, whatever its name ends with; of a folder those files that have a video's ending, and
    folders of images; of a manifest CSV all its videos. Videos in archives and remote ones are named as in a manifest.

    Raises:
        UserError: A folder has no videos, a manifest is wrong, or nothing is given.
    """
    given = [videos] if isinstance(videos, str | Path) else list(videos)
    if not given:
        raise UserError("there are no videos to predict; give files or folders.")
    found: list[str] = []
    for name in map(str, given):
        path = Path(name)
        if path.is_dir():
            inside = [str(video) for video in _videos_below(path)]
        elif path.suffix.lower() == ".csv" and path.is_file():
            inside = [record.path for record in Manifest.read(path)]
        else:
            inside = [name if is_remote(name) else str(path)]
        if not inside:
            raise UserError(f"{path}: no videos found; endings known: {' '.join(sorted(VIDEO_SUFFIXES))}")
        found += inside
    return list(dict.fromkeys(found))


def _videos_below(folder: Path) -> list[Path]:
    tree = list_folder(folder)
    if tree.is_frame_folder:
        return [folder]
    return [folder / name for name in tree.videos] + [
        path for name in tree.folders for path in _videos_below(folder / name)
    ]
