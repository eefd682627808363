"""A picture of what a network will see: one row per clip, one column per frame."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kinema.data.bad_video import BadVideo
from kinema.data.dataset import ClipDataset
from kinema.data.manifest import Manifest
from kinema.data.transforms import make_augmentation
from kinema.inference.views import ViewDataset
from kinema.shapes import Pixels
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import protocol as find_protocol
from kinema.specs.recipe import Recipe
from kinema.specs.sampling import make_sampler
from kinema.training.initial import preprocessing_of

MAX_COLUMNS = 16
"""Longer clips show this many of their frames, evenly chosen."""

MAX_CELL, MIN_CELL = 160, 48
"""Largest and smallest side of a picture on the sheet, in pixels."""

HEADER, MARGIN, GAP, CAPTION, TITLE = 200, 16, 4, 18, 34
"""Pixels of the sheet: column of labels, border, between pictures, line of frame numbers, title."""

DPI = 100
INK, FAINT = "#1f2328", "#6e7781"


class SheetRow(NamedTuple):
    """One clip on the sheet.

    Attributes:
        label: Class name, "" when unlabelled.
        video_id: Of the manifest.
        note: What else to say, such as the view's number.
        pixels: Axes ``t h w c``, uint8 RGB: the network's input before it is normalised.
        frames: Position of each frame in the video, axis ``t``.
    """

    label: str
    video_id: str
    note: str
    pixels: Pixels
    frames: np.ndarray


def training_rows(manifest: Manifest, recipe: Recipe, *, count: int, seed: int) -> list[SheetRow]:
    """Cut clips out of some videos as the first epoch of a recipe's training does.

    Args:
        manifest: The videos; classes take turns.
        recipe: Says which frames and crops.
        count: Clips, one of a video.
        seed: Of the random crops and offsets.
    """
    dataset = ClipDataset(
        manifest,
        sampler=make_sampler(recipe.data),
        augmentation=make_augmentation(recipe.data),
        seed=seed,
        backend=recipe.data.backend,
    )
    rows = []
    for index in spread_labels(manifest, count):
        sample = dataset[0, index]
        record = manifest[index]
        pixels = sample.clip.permute(1, 2, 3, 0).numpy()
        rows.append(SheetRow(record.label, record.video_id, "", pixels, sample.frames))
    return rows


def protocol_rows(manifest: Manifest, recipe: Recipe, protocol: str, *, count: int) -> list[SheetRow]:
    """Cut the views of some videos as a test protocol does.

    Args:
        manifest: The videos; classes take turns.
        recipe: Gives the protocol its frames and crop size.
        protocol: Its name, such as ``uniform-10x3``.
        count: Views, all of a video before those of the next.

    Raises:
        UserError: The protocol is unknown.
    """
    resolved = find_protocol(protocol, preprocessing_of(recipe.data, Preprocessing()))
    dataset = ViewDataset(manifest, resolved, backend=recipe.data.backend)
    rows: list[SheetRow] = []
    for index in spread_labels(manifest, count):
        views = dataset[index]
        if isinstance(views, BadVideo):
            raise views.error()
        pixels = views.clips(0, count - len(rows)).permute(0, 2, 3, 4, 1).numpy()
        for view, clip in enumerate(pixels):
            note = f"clip {view // views.num_crops + 1}, {resolved.crops[view % views.num_crops]} crop"
            frames = views.frames[view // views.num_crops]
            rows.append(SheetRow(manifest[index].label, views.video_id, note, clip, frames))
        if len(rows) == count:
            break
    return rows


def spread_labels(manifest: Manifest, count: int) -> list[int]:
    """Choose rows of a manifest so that classes take turns, each with videos from all over its list."""
    labels = manifest.labels
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    turns = -(-count // len(members))
    chosen = [int(rows[index]) for rows in members for index in spread(len(rows), turns)]
    return [chosen[index] for index in spread(len(chosen), count)]


def spread(total: int, count: int) -> list[int]:
    """Choose up to ``count`` of ``total`` places, evenly: the middles of equal parts."""
    count = min(total, count)
    return [(2 * index + 1) * total // (2 * count) for index in range(count)]


def draw_sheet(rows: Sequence[SheetRow], *, title: str) -> bytes:
    """Draw the sheet.

    Args:
        rows: The clips, at least one.
        title: A line above them.

    Returns:
        The bytes of a PNG.
    """
    assert rows, "a sheet needs at least one clip"
    columns = max(min(len(row.pixels), MAX_COLUMNS) for row in rows)
    cell = max(MIN_CELL, min(MAX_CELL, max(row.pixels.shape[1] for row in rows)))
    width = 2 * MARGIN + HEADER + columns * (cell + GAP)
    height = 2 * MARGIN + TITLE + len(rows) * (cell + CAPTION + GAP)
    canvas = np.full((height, width, 3), 255, np.uint8)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)

    def write(x: int, y: int, text: str, *, size: float = 8, color: str = INK, weight: str = "normal") -> None:
        figure.text(x / width, 1 - y / height, text, size=size, color=color, weight=weight, va="top", parse_math=False)

    write(MARGIN, MARGIN, _fitted(title, width - 2 * MARGIN, 10), size=10, weight="bold")
    for index, row in enumerate(rows):
        top = MARGIN + TITLE + index * (cell + CAPTION + GAP)
        write(MARGIN, top, _fitted(row.label or "(unlabelled)", HEADER, 9), size=9, weight="bold")
        write(MARGIN, top + 18, _fitted(row.video_id.removeprefix(f"{row.label}/"), HEADER, 7), size=7, color=FAINT)
        write(MARGIN, top + 32, row.note, size=7, color=FAINT)
        for column, frame in enumerate(spread(len(row.pixels), MAX_COLUMNS)):
            left = MARGIN + HEADER + column * (cell + GAP)
            canvas[top : top + cell, left : left + cell] = _picture(row.pixels[frame], cell)
            write(left + 1, top + cell + 3, str(int(row.frames[frame])), size=7, color=FAINT)
    figure.figimage(canvas, zorder=-1)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


def save_sheet(path: Path, rows: Sequence[SheetRow], *, title: str) -> None:
    """Draw the sheet into a PNG file, making its folder where needed."""
    picture = draw_sheet(rows, title=title)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture)


def _picture(frame: np.ndarray, cell: int) -> np.ndarray:
    if frame.shape[:2] == (cell, cell):
        return frame
    shrinks = frame.shape[0] > cell
    return cv2.resize(frame, (cell, cell), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)


def _fitted(text: str, width: int, size: float) -> str:
    """Cut the front of a text so that it fits, at about 0.62 of the font size per letter: ends tell videos apart."""
    letters = max(8, int(width / (0.62 * size * DPI / 72)))
    return text if len(text) <= letters else f"…{text[1 - letters :]}"
