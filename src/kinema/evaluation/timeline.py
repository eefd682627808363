"""What happens when in a long video: a window slides over it, and stretches of one answer become segments."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinema.data.flow_view import seen_as
from kinema.errors import UserError, VideoError
from kinema.evaluation.batching import BadVideo, compute_views
from kinema.evaluation.predict import probabilities_of
from kinema.evaluation.processes import ScoringProcess, find_device
from kinema.evaluation.protocol import protocol as find_protocol
from kinema.evaluation.run import load_on
from kinema.evaluation.sharing import compute_on, evaluating
from kinema.evaluation.views import VideoViews, read_views
from kinema.models.trained import TrainedModel
from kinema.video.decoder import open_video


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
    checkpoint: str | Path | TrainedModel,
    video: str | Path,
    *,
    window_sec: float,
    step_sec: float | None = None,
    protocol: str = "clip",
    device: str = "auto",
    precision: str = "fp32",
    backend: str = "auto",
    batch_views: int | None = None,
) -> Timeline:
    """Slide a window over a video and predict each stretch; only the frames of a few windows are in memory at once.

    Args:
        checkpoint: A checkpoint file, a run directory, or what ``kinema.load`` returned.
        video: A video file, or a folder of images.
        window_sec: Length of the window in seconds; what training clips lasted is a good choice.
        step_sec: How far the window moves; half its length by default.
        protocol: Name of the protocol, applied to each window as to a video.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32``, ``bf16`` or ``fp16`` inside the network.
        backend: Decoder, see ``kinema.open_video``.
        batch_views: Views of a batch; None fits it to the memory.

    Raises:
        VideoError: The video cannot be read, or does not know its frame rate.
        UserError: Window or step are not positive, or the step is longer than the window.
    """
    step_sec = window_sec / 2 if step_sec is None else step_sec
    if not (math.isfinite(window_sec) and 0 < step_sec <= window_sec):
        raise UserError(
            f"window {window_sec:g} s and step {step_sec:g} s: the window must be longer than 0, "
            "and the step longer than 0 and no longer than the window."
        )
    process = ScoringProcess(find_device(device), precision=precision)
    trained = load_on(checkpoint, process)
    resolved = find_protocol(protocol, trained.preprocessing)
    compute = compute_on(process, trained.model, trained.model, trained.preprocessing)
    with seen_as(open_video(video, backend=backend), resolved.flow) as decoder, evaluating(trained.model):
        if decoder.fps <= 0:
            raise VideoError(video, "does not say its frame rate, so a window in seconds means nothing")
        edges = window_edges(len(decoder), decoder.fps, window_sec, step_sec)

        def windows() -> Iterator[VideoViews]:
            for span in edges.spans:
                yield read_views(decoder, span, resolved)

        answers = compute_views(windows(), compute, batch_views=batch_views, device=process.device)
        rows = [probabilities_of(a.rows, resolved.averages) for a in answers if not isinstance(a, BadVideo)]
        edges_sec = np.array(edges.cells, np.float64) / decoder.fps
    return Timeline(str(video), edges_sec, _per_cell(np.stack(rows), edges), trained.classes)


class WindowEdges(NamedTuple):
    """How windows and cells lie over the frames of a video.

    Attributes:
        spans: Frames of each window.
        cells: Frames where cells begin, and the end of the last one.
    """

    spans: list[range]
    cells: list[int]


def window_edges(num_frames: int, fps: float, window_sec: float, step_sec: float) -> WindowEdges:
    """Lay windows over a video: the first at its beginning, the last one ending with it, none sticking out.

    Frame i is taken to be shown at ``i / fps``, as in a manifest's segments. Cells lie between all the places where a
    window begins or ends, so every cell is covered wholly by each of its windows.
    """
    length = min(num_frames, max(1, round(window_sec * fps)))
    step = max(step_sec * fps, 1.0)
    last = num_frames - length
    starts = sorted({*(round(place * step) for place in range(int(last / step) + 1)), last})
    spans = [range(start, start + length) for start in starts if start <= last]
    cells = sorted({edge for span in spans for edge in (span.start, span.stop)})
    return WindowEdges(spans, cells)


def _per_cell(rows: np.ndarray, edges: WindowEdges) -> np.ndarray:
    """Average the windows over each cell: float32, axes ``cells classes``."""
    cells = np.array(edges.cells[:-1])
    # Windows are in order, so those over a cell are neighbours: from the first that has not ended to the last begun.
    first = np.searchsorted([span.stop for span in edges.spans], cells, side="right")
    stop = np.searchsorted([span.start for span in edges.spans], cells, side="right")
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0, dtype=np.float64)])
    return ((sums[stop] - sums[first]) / (stop - first)[:, None]).astype(np.float32)
