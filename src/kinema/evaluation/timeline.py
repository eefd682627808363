"""What happens when in a long video: a window slides over it, and stretches of one answer become segments."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinema.compute.process import Process
from kinema.data.bad_video import BadVideo
from kinema.data.flow_view import seen_as
from kinema.errors import UserError, VideoError
from kinema.inference.batching import ViewRows
from kinema.inference.scorer import Scorer
from kinema.inference.views import read_views
from kinema.specs.compute import Compute
from kinema.specs.loading import Loading
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import protocol as find_protocol
from kinema.video.open import open_video
from kinema.weights.given import Network, as_trained, load_on
from kinema.weights.trained import TrainedModel


class Segment(NamedTuple):
    """A stretch of a video with one answer.

    Attributes:
        start_sec: Where it begins.
        end_sec: Where it ends, not included.
        label: The class.
        probability: The class's probability, averaged over the stretch.
    """

    start_sec: float
    end_sec: float
    label: str
    probability: float


@dataclass(frozen=True, eq=False)
class Timeline:
    """Class probabilities along a video.

    Cells lie between the places where windows begin or end; a cell has the average of all windows that cover it.

    Attributes:
        path: The video.
        edges_sec: Where cells begin and end, ascending, axis ``cells + 1``.
        probabilities: Float32, axes ``cells classes``.
        classes: Class names.
    """

    path: str
    edges_sec: np.ndarray
    probabilities: np.ndarray
    classes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Timeline({self.path!r}, {self.edges_sec[-1]:.2f} s, {len(self.segments())} segments)"

    def segments(self) -> list[Segment]:
        """Neighbouring cells with the same best class, joined."""
        best = self.probabilities.argmax(axis=1)
        edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
        lengths = np.diff(self.edges_sec)
        return [
            Segment(
                float(self.edges_sec[first]),
                float(self.edges_sec[stop]),
                self.classes[best[first]],
                float(np.average(self.probabilities[first:stop, best[first]], weights=lengths[first:stop])),
            )
            for first, stop in itertools.pairwise(edges)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Path and segments as JSON types."""
        parts = [
            {"start_sec": part.start_sec, "end_sec": part.end_sec, "class": part.label, "probability": part.probability}
            for part in self.segments()
        ]
        return {"video": self.path, "segments": parts}


def timeline(
    checkpoint: Network,
    video: str | Path,
    *,
    window_sec: float,
    step_sec: float | None = None,
    classes: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    protocol: str = "clip",
    device: str = "auto",
    precision: str = "fp32",
    backend: str = "auto",
    batch_views: int | None = None,
    optimize: bool = True,
) -> Timeline:
    """Slide a window over a video and predict each stretch; only the frames of a few windows are in memory at once.

    Args:
        checkpoint: A checkpoint file, a run directory, what ``kinema.load`` returned, or a network object.
        video: A video file, or a folder of images.
        window_sec: Length of the window in seconds; what training clips lasted is a good choice.
        step_sec: How far the window moves; half its length by default.
        classes: For an object, names in the order of its logits.
        preprocessing: For an object, see ``kinema.weights.given.as_trained``.
        protocol: Name of the protocol, applied to each window as to a video.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32``, ``bf16`` or ``fp16`` inside the network.
        backend: Decoder, see ``kinema.open_video``.
        batch_views: Views of a batch; None fits it to the memory.
        optimize: On a CPU, run the network's optimised copy where that pays; see ``kinema.evaluate``.

    Raises:
        VideoError: The video cannot be read, or does not know its frame rate.
        UserError: Window or step are not positive, or the step is longer than the window.
    """
    compute, loading = Compute(device=device, precision=precision), Loading(backend=backend, batch_views=batch_views)
    network = as_trained(checkpoint, classes=classes, preprocessing=preprocessing, must_name=True)
    window = SlidingWindow(window_sec, step_sec)
    return WindowScorer(network, compute, loading, window, protocol=protocol, optimize=optimize).follow(video)


def timelines(
    checkpoint: str | Path | TrainedModel,
    paths: Iterable[str],
    compute: Compute,
    loading: Loading,
    window: SlidingWindow,
    *,
    protocol: str = "clip",
    optimize: bool = True,
) -> Iterator[Timeline | BadVideo]:
    """Follow one video after another, see :func:`timeline`; the id of a ``BadVideo`` is what ``paths`` calls it."""
    scorer = WindowScorer(checkpoint, compute, loading, window, protocol=protocol, optimize=optimize)
    for path in paths:
        try:
            yield scorer.follow(path)
        except VideoError as error:
            yield BadVideo.from_error(path, error)


@dataclass(frozen=True)
class SlidingWindow:
    """A window that moves over a video.

    Attributes:
        window_sec: Its length in seconds.
        step_sec: Seconds from one of its positions to the next; None for half its length.

    Raises:
        UserError: Window or step are not positive, or the step is longer than the window.
    """

    window_sec: float
    step_sec: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.window_sec) and 0 < self.stride_sec <= self.window_sec):
            raise UserError(
                f"window {self.window_sec:g} s and step {self.stride_sec:g} s: the window must be longer than 0, "
                "and the step longer than 0 and no longer than the window."
            )

    @property
    def stride_sec(self) -> float:
        """Seconds from one of its positions to the next."""
        return self.window_sec / 2 if self.step_sec is None else self.step_sec


class WindowScorer:
    """Slides a window over one video after another.

    Args:
        checkpoint: The network.
        compute: Where it runs.
        loading: Decoder and batches.
        window: The window.
        protocol: Name of the protocol, applied to each window as to a video.
        optimize: Run the network's optimised copy where that takes less time.
    """

    def __init__(
        self,
        checkpoint: str | Path | TrainedModel,
        compute: Compute,
        loading: Loading,
        window: SlidingWindow,
        *,
        protocol: str = "clip",
        optimize: bool = True,
    ) -> None:
        process = Process.alone(compute)
        trained = load_on(checkpoint, process)
        self.classes = trained.classes
        self.window = window
        self.protocol = find_protocol(protocol, trained.preprocessing)
        num_classes = len(self.classes)
        self.scorer = Scorer(
            trained.model, trained.preprocessing, process, loading, num_classes=num_classes, optimize=optimize
        )

    def follow(self, video: str | Path) -> Timeline:
        """Follow a video from its first frame to its last.

        Raises:
            VideoError: The video cannot be read, or does not know its frame rate.
        """
        with seen_as(open_video(video, backend=self.scorer.loading.backend), self.protocol.flow) as decoder:
            if decoder.fps <= 0:
                raise VideoError(video, "does not say its frame rate, so a window in seconds means nothing")
            times_sec = decoder.frame_times()
            times_sec = np.append(times_sec, times_sec[-1] + 1 / decoder.fps)
            edges = window_edges(times_sec, self.window.window_sec, self.window.stride_sec)
            views = (read_views(decoder, span, self.protocol) for span in edges.spans)
            num_views = len(edges.spans) * self.protocol.num_views
            results = (row for row in self.scorer.run(views, num_views=num_views) if isinstance(row, ViewRows))
            rows = [self.protocol.probabilities(result.rows) for result in results]
        return Timeline(str(video), times_sec[edges.cells], _per_cell(np.stack(rows), edges), self.classes)


class WindowEdges(NamedTuple):
    """How windows and cells lie over the frames of a video.

    Attributes:
        spans: Frames of each window.
        cells: Frames where cells begin, and the end of the last one.
    """

    spans: list[range]
    cells: list[int]


def window_edges(times_sec: np.ndarray, window_sec: float, step_sec: float) -> WindowEdges:
    """Lay windows over a video: the first at its beginning, the last one ending with it, none sticking out.

    Windows begin and end at the frame whose time is nearest, and hold at least one frame. Cells lie between all the
    places where a window begins or ends, so every cell is covered wholly by each of its windows.

    Args:
        times_sec: When each frame is shown, and last when the video ends, ascending, axis ``frames + 1``.
        window_sec: Length of a window in seconds.
        step_sec: Distance from one window to the next; shorter steps than from frame to frame give no more windows.
    """
    num_frames = len(times_sec) - 1
    begin, end = float(times_sec[0]), float(times_sec[-1])
    window_sec, step_sec = min(window_sec, end - begin), max(step_sec, (end - begin) / num_frames)
    last = end - window_sec
    starts_sec = np.append(begin + np.arange(int((last - begin) / step_sec + 1e-9) + 1) * step_sec, last)
    frames = np.arange(num_frames + 1)
    starts = np.rint(np.interp(starts_sec, times_sec, frames)).astype(int)
    stops = np.rint(np.interp(starts_sec + window_sec, times_sec, frames)).astype(int)
    starts = np.minimum(starts, num_frames - 1)
    spans = sorted({(first, max(stop, first + 1)) for first, stop in zip(starts.tolist(), stops.tolist(), strict=True)})
    cells = sorted({edge for span in spans for edge in span})
    return WindowEdges([range(*span) for span in spans], cells)


def _per_cell(rows: np.ndarray, edges: WindowEdges) -> np.ndarray:
    """Average the windows over each cell: float32, axes ``cells classes``."""
    cells = np.array(edges.cells[:-1])
    # Windows are in order, so those over a cell are neighbours: from the first that has not ended to the last begun.
    first = np.searchsorted([span.stop for span in edges.spans], cells, side="right")
    stop = np.searchsorted([span.start for span in edges.spans], cells, side="right")
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0, dtype=np.float64)])
    return ((sums[stop] - sums[first]) / (stop - first)[:, None]).astype(np.float32)
