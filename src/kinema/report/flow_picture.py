"""Pictures of flow: frames beside their flow in colours, as a PNG or an MP4."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kinema.errors import VideoError
from kinema.files import whole_file
from kinema.flow.methods import FlowMethod
from kinema.report.colour_wheel import flow_colours, wheel
from kinema.shapes import Pixels
from kinema.video.open import open_video

MARGIN, GAP, TITLE, CAPTION, WHEEL = 16, 6, 34, 18, 132
"""Pixels of the PNG: border, between pictures, line of the title, line of frame numbers, side of the legend."""

DPI = 100
INK, FAINT = "#1f2328", "#6e7781"

SMALLEST_LARGEST = 0.5
"""Full colour never stands for less than this many px, or the noise of a still video would look like motion."""

BATCH = 8


class FlowFields(NamedTuple):
    """Frames of a video and the flow from each to a later one.

    Attributes:
        name: Of the video.
        method: That computed the flow, in words.
        pixels: Axes ``t h w c``, uint8 RGB.
        flow: Axes ``t h w c``, c = x, y, in px.
        frames: Position of each frame in the video.
        fps: Of the video, divided by the step.
    """

    name: str
    method: str
    pixels: Pixels
    flow: np.ndarray
    frames: np.ndarray
    fps: float


def flow_of(
    path: Path,
    method: FlowMethod,
    *,
    count: int | None,
    step: int = 1,
    spread: bool = False,
    short_side: int = 0,
    device: str | torch.device = "cpu",
) -> FlowFields:
    """Compute flow of a video.

    Args:
        path: A video file or a folder of images.
        method: From ``find_method``.
        count: The most fields; None computes all.
        step: Frames from the first to the second frame of a pair.
        spread: Take the fields from all over the video instead of its beginning.
        short_side: Shorter side of the frames in px; 0 keeps the video's.
        device: Where the torch backend computes.

    Raises:
        VideoError: The video cannot be read, is stored flow, or has no second frame.
    """
    with open_video(path, short_side=short_side or None) as video:
        if video.holds_flow:
            raise VideoError(path, "is stored flow already; give the video that it was computed from")
        num_frames = len(video)
        if num_frames <= step:
            frames = "one frame" if num_frames == 1 else f"{num_frames} frames"
            raise VideoError(path, f"has {frames}; flow with step {step} needs at least {step + 1}")
        if spread:
            starts = np.linspace(0, num_frames - 1 - step, min(count or num_frames, num_frames - step)).astype(np.int64)
        else:
            starts = np.arange(0, num_frames - step, step)[:count]
        pixels, flow = [], []
        for start in range(0, len(starts), BATCH):
            part = starts[start : start + BATCH]
            both = video.frames_at(np.concatenate([part, part + step])).pixels
            first, second = torch.from_numpy(both).permute(0, 3, 1, 2).chunk(2)
            flow.append(method.compute(first, second, device=device).permute(0, 2, 3, 1).cpu().numpy())
            pixels.append(both[: len(part)])
        words = f"{method.name} ({method.backend}), step {step}"
        return FlowFields(path.name, words, np.concatenate(pixels), np.concatenate(flow), starts, video.fps / step)


def full_colour(flow: np.ndarray) -> float:
    """The length, in px, below which 99 % of the flow lies; at least ``SMALLEST_LARGEST``."""
    return max(SMALLEST_LARGEST, float(np.percentile(np.hypot(flow[..., 0], flow[..., 1]), 99)))


def save_picture(path: Path, fields: FlowFields, *, largest: float = 0.0) -> float:
    """Draw fields into a PNG: two to a row, each frame left of its flow, the wheel on the right.

    Args:
        path: The file to write.
        fields: From ``flow_of``.
        largest: Length with full colour, in px; 0 takes ``full_colour``.

    Returns:
        The length with full colour.
    """
    largest = largest or full_colour(fields.flow)
    num, high, wide = fields.pixels.shape[:3]
    across = 2 if num > 1 else 1
    pair = 2 * wide + GAP
    grid_width = across * pair + (across - 1) * 2 * GAP
    width = max(2 * MARGIN + grid_width + MARGIN + WHEEL, 480)
    height = 2 * MARGIN + TITLE + max(-(-num // across) * (high + CAPTION + GAP), WHEEL + 60)
    canvas = np.full((height, width, 3), 255, np.uint8)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)

    def write(x: float, y: float, text: str, *, size: float = 8, color: str = INK, ha: str = "left") -> None:
        corner = x / width, 1 - y / height
        weight = "bold" if size > 8 else "normal"
        figure.text(*corner, text, size=size, color=color, weight=weight, ha=ha, va="top", parse_math=False)

    write(MARGIN, MARGIN, f"{fields.name}: {fields.method}", size=10)
    for index, (frame, flow) in enumerate(zip(fields.pixels, fields.flow, strict=True)):
        top = MARGIN + TITLE + index // across * (high + CAPTION + GAP)
        left = MARGIN + index % across * (pair + 2 * GAP)
        canvas[top : top + high, left : left + wide] = frame
        canvas[top : top + high, left + wide + GAP : left + pair] = flow_colours(flow, largest=largest)
        mean = float(np.hypot(flow[..., 0], flow[..., 1]).mean())
        write(left + 1, top + high + 3, f"frame {int(fields.frames[index])}", size=7, color=FAINT)
        write(left + wide + GAP + 1, top + high + 3, f"mean length {mean:.1f} px", size=7, color=FAINT)
    top, left = MARGIN + TITLE, width - MARGIN - WHEEL
    canvas[top : top + WHEEL, left : left + WHEEL] = wheel(WHEEL)
    write(left + WHEEL / 2, top + WHEEL + 6, f"rim: {largest:.1f} px", ha="center")
    write(left + WHEEL / 2, top + WHEEL + 22, "white stands still", size=7, color=FAINT, ha="center")
    figure.figimage(canvas, zorder=-1)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    with whole_file(path) as part:
        part.write_bytes(stream.getvalue())
    return largest


def save_video(path: Path, fields: FlowFields, *, largest: float = 0.0) -> float:
    """Write fields as an H.264 MP4: the frame, its flow, and the wheel in the corner of the flow.

    Args:
        path: The file to write.
        fields: From ``flow_of``.
        largest: Length with full colour, in px; 0 takes ``full_colour``.

    Returns:
        The length with full colour.
    """
    largest = largest or full_colour(fields.flow)
    high, wide = fields.pixels.shape[1:3]
    side = max(16, min(high, wide) // 5)
    legend = wheel(side)
    with whole_file(path) as part, av.open(str(part), "w", format="mp4") as output:
        rate = Fraction(fields.fps or 25).limit_denominator(1001)
        stream = output.add_stream("libx264", rate=rate, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 2 * wide + 2 * wide % 2, high + high % 2, "yuv420p"
        for frame, flow in zip(fields.pixels, fields.flow, strict=True):
            colours = flow_colours(flow, largest=largest)
            colours[-side:, -side:] = legend
            picture = np.zeros((stream.height, stream.width, 3), np.uint8)
            picture[:high, : 2 * wide] = np.concatenate([frame, colours], 1)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return largest
