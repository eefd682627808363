"""Synthetic videos whose labels are visible only in the order of the frames.

Eight classes come in four pairs that are each other's time reversal. Every rendered scene is written twice: once as it
was rendered and once with its frames in reverse, so the two videos of a scene hold bit for bit the same pictures. A
network that ignores the order of frames can name the pair and must guess the member; one that sees order can name both,
and names the other member when the frames are reversed. The idea follows the arrow-of-time test in "Rethinking
Spatiotemporal Feature Learning" (S3D-G, arXiv 1712.04851, Table 1).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import av
import cv2
import numpy as np

from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError

if TYPE_CHECKING:
    from kinema.shapes import Pixels

PAIRS = (
    ("moving right", "moving left"),
    ("moving down", "moving up"),
    ("growing", "shrinking"),
    ("turning clockwise", "turning anticlockwise"),
)
"""The classes, pair by pair; the second of a pair is the first played backwards."""

CLASSES = tuple(name for pair in PAIRS for name in pair)

NO_FLIP = frozenset(name for pair in (PAIRS[0], PAIRS[3]) for name in pair)
"""Classes that a horizontal flip turns into another class: a mirrored clockwise turn is an anticlockwise one."""

# Each pair has a shape of its own, so that a single frame shows the pair (and nothing about the member).
_SHAPES = ("disc", "triangle", "star", "bar")
_SPLITS = (("train", 0.6), ("val", 0.1), ("test", 0.3))
_SPRITE = 64  # side of a drawn shape in pixels before it is scaled into a frame
_FORMAT = 1  # raised whenever the pictures change, so that files of an older version are written anew


@dataclass(frozen=True)
class _Plan:
    """Everything that decides the written files; kept beside them, so that equal requests reuse them."""

    num_videos: int
    size: int
    num_frames: int
    fps: int
    seed: int
    format: int = _FORMAT


class _Scene(NamedTuple):
    """One rendered scene: its place among the pairs and splits, and the two videos that show it."""

    number: int
    pair: int
    split: str

    def video_ids(self) -> tuple[str, str]:
        forward, backward = (name.replace(" ", "_") for name in PAIRS[self.pair])
        return f"{forward}/scene_{self.number:05d}", f"{backward}/scene_{self.number:05d}"


def opposite(name: str) -> str:
    """Name of the class that ``name`` becomes when its frames are played in reverse.

    Raises:
        UserError: ``name`` is not one of ``CLASSES``.
    """
    for first, second in PAIRS:
        if name in (first, second):
            return second if name == first else first
    raise UserError(f"{name!r} is not a class of the synthetic set; allowed: {', '.join(CLASSES)}")


def make_reversible_shapes(
    out: str | Path,
    *,
    num_videos: int = 480,
    size: int = 64,
    num_frames: int = 24,
    fps: int = 12,
    seed: int = 0,
    num_workers: int | None = None,
    on_written: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Write H.264 videos of textured shapes that move, grow or turn, in time-reversed pairs.

    Both videos of a scene are in the same split and share a ``group``; 60 % of the scenes are for training, 10 % for
    validation, 30 % for testing. Files that an equal request has written before are kept as they are, and no file of
    anyone else is touched.

    Args:
        out: Folder to fill with ``manifest.csv``, ``manifest.classes.csv`` and ``videos/<class>/scene_<number>.mp4``.
        num_videos: Videos in all, a multiple of 8 (one scene of each pair) and at least 80 (so that every split has
            every class).
        size: Side of the square frames in pixels; even, at least 32.
        num_frames: Frames of each video, at least 2. An odd multiple of the clip length lets uniform test sampling
            take the same frames of both videos of a scene; otherwise the choice itself tells a little of the order.
        fps: Frames per second that the files declare.
        seed: Fixes every picture.
        num_workers: Threads that render and encode; all cores by default.
        on_written: Called with the number of videos written so far and ``num_videos``.

    Raises:
        UserError: A number is out of its range.
    """
    _check_numbers(num_videos, size, num_frames, fps)
    out = Path(out)
    plan = _Plan(num_videos, size, num_frames, fps, seed)
    scenes = _plan_scenes(num_videos)
    marker, csv = out / "synthetic.json", out / "manifest.csv"
    if _already_written(plan, marker, csv, scenes):
        return Manifest.read(csv)
    marker.unlink(missing_ok=True)
    for name in CLASSES:
        (out / "videos" / name.replace(" ", "_")).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(num_workers or os.cpu_count() or 1) as pool:
        jobs = [pool.submit(_write_scene, out, scene, plan) for scene in scenes]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            if on_written is not None:
                on_written(2 * done, num_videos)
    manifest = Manifest.from_records(_records(scenes, plan), classes=CLASSES, root=out, no_flip=NO_FLIP)
    manifest.write(csv)
    marker.write_text(json.dumps(asdict(plan)))
    return Manifest.read(csv)


def _check_numbers(num_videos: int, size: int, num_frames: int, fps: int) -> None:
    if num_videos < 80 or num_videos % 8:
        raise UserError(f"num_videos is {num_videos}; give a multiple of 8, at least 80")
    if size < 32 or size % 2:
        raise UserError(f"size is {size} pixels; give an even number, at least 32")
    if num_frames < 2:
        raise UserError(f"num_frames is {num_frames}; give at least 2, since the label is in the order of frames")
    if fps < 1:
        raise UserError(f"fps is {fps}; give at least 1 frame per second")


def _plan_scenes(num_videos: int) -> list[_Scene]:
    per_pair = num_videos // 8
    bounds = np.round(np.cumsum([fraction for _, fraction in _SPLITS]) * per_pair)
    scenes = []
    for number in range(per_pair * len(PAIRS)):
        position = number // len(PAIRS)
        split = _SPLITS[int(np.searchsorted(bounds, position, side="right"))][0]
        scenes.append(_Scene(number, number % len(PAIRS), split))
    return scenes


def _already_written(plan: _Plan, marker: Path, csv: Path, scenes: list[_Scene]) -> bool:
    if not marker.is_file() or not csv.is_file() or marker.read_text() != json.dumps(asdict(plan)):
        return False
    return all((csv.parent / f"videos/{video_id}.mp4").is_file() for s in scenes for video_id in s.video_ids())


def _records(scenes: list[_Scene], plan: _Plan) -> list[Record]:
    return [
        Record(
            video_id=video_id,
            path=f"videos/{video_id}.mp4",
            label=label,
            split=scene.split,
            num_frames=plan.num_frames,
            fps=float(plan.fps),
            group=f"scene_{scene.number:05d}",
        )
        for scene in scenes
        for video_id, label in zip(scene.video_ids(), PAIRS[scene.pair], strict=True)
    ]


def _write_scene(out: Path, scene: _Scene, plan: _Plan) -> None:
    pixels = render_scene(scene.pair, np.random.default_rng([plan.seed, scene.number]), plan.size, plan.num_frames)
    forward, backward = scene.video_ids()
    _encode(out / f"videos/{forward}.mp4", pixels, plan.fps)
    _encode(out / f"videos/{backward}.mp4", pixels[::-1], plan.fps)


def _encode(path: Path, pixels: Pixels, fps: int) -> None:
    """Write frames as H.264 so that encoding commutes with reversal.

    Every frame is a key frame at one quantiser. With predicted frames the first picture of a file would be the
    sharpest, and a network could read the direction of time from the codec instead of the motion.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "g": "1", "qp": "22"})
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for image in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())


def render_scene(pair: int, rng: np.random.Generator, size: int, num_frames: int) -> Pixels:
    """Draw one scene as the first class of a pair shows it.

    The shape sits at a random place with a random texture, size and angle; only the property of the pair changes
    over time. A textured background drifts in a direction that has nothing to do with the label, and every frame has
    noise of its own.

    Args:
        pair: Position in ``PAIRS``.
        rng: Source of everything random.
        size: Side of the square frames in pixels.
        num_frames: Frames to draw.

    Returns:
        Axes ``t h w c``.
    """
    sprite = _texture(rng, _SPRITE, grain=_SPRITE / 5, mean=(140, 215), contrast=45.0)
    mask = _shape_mask(_SHAPES[pair])
    drift = rng.uniform(-0.15, 0.15, 2) * size  # pixels between the middle and the last frame
    backdrop = _texture(rng, 2 * size, grain=size / 6, mean=(40, 110), contrast=20.0)
    x, y = rng.uniform(0.38, 0.62, 2) * size
    side = rng.uniform(0.36, 0.52) * size * (1.4 if _SHAPES[pair] == "bar" else 1.0)  # a bar covers little
    angle = rng.uniform(0, 360)
    reach = rng.uniform(0.20, 0.32) * size
    growth = rng.uniform(0.35, 0.55)
    turn = rng.uniform(60, 110)
    frames = np.empty((num_frames, size, size, 3), np.uint8)
    for index, t in enumerate(np.linspace(-1, 1, num_frames)):
        placed = _placement(
            x + reach * t * (pair == 0),
            y + reach * t * (pair == 1),
            side * np.exp(growth * t * (pair == 2)),
            angle + turn * t * (pair == 3),
        )
        shift = np.array([[1, 0, drift[0] * t - size / 2], [0, 1, drift[1] * t - size / 2]])
        image = cv2.warpAffine(backdrop, shift, (size, size), borderMode=cv2.BORDER_REFLECT)
        alpha = cv2.warpAffine(mask, placed, (size, size))[..., None]
        shape = cv2.warpAffine(sprite, placed, (size, size), borderMode=cv2.BORDER_REFLECT)
        image = image + alpha * (shape - image) + rng.normal(0, 3, image.shape)
        frames[index] = np.clip(np.rint(image), 0, 255)
    return frames


def _placement(x: float, y: float, side: float, angle: float) -> np.ndarray:
    """Affine map that puts a sprite's centre at ``x, y``, ``side`` pixels large, turned clockwise by ``angle``."""
    matrix = cv2.getRotationMatrix2D((_SPRITE / 2, _SPRITE / 2), -angle, side / _SPRITE)
    matrix[:, 2] += (x - _SPRITE / 2, y - _SPRITE / 2)
    return matrix


def _texture(
    rng: np.random.Generator, side: int, *, grain: float, mean: tuple[float, float], contrast: float
) -> np.ndarray:
    """Smooth random colours in patches of ``grain`` pixels that deviate by ``contrast`` from a mean within bounds."""
    cells = max(2, round(side / grain))
    coarse = rng.normal(0, 1, (cells, cells, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(rng.uniform(*mean, 3) + contrast * smooth, 0, 255).astype(np.float32)


def _shape_mask(shape: str) -> np.ndarray:
    """Opacity of a shape, 0 to 1, that fills a sprite."""
    middle, radius = _SPRITE / 2, _SPRITE / 2 - 2
    mask = np.zeros((_SPRITE, _SPRITE), np.uint8)
    if shape == "disc":
        radii, angles = np.full(48, 0.8), np.linspace(0, 2 * np.pi, 48, endpoint=False)
    elif shape == "triangle":
        radii, angles = np.ones(3), np.linspace(0, 2 * np.pi, 3, endpoint=False)
    elif shape == "star":
        radii, angles = np.tile([1.0, 0.42], 5), np.linspace(0, 2 * np.pi, 10, endpoint=False)
    else:
        radii, angles = np.ones(4), np.array([-0.3, 0.3, np.pi - 0.3, np.pi + 0.3])
    corners = middle + radius * radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cv2.fillPoly(mask, [np.rint(corners * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(mask, (3, 3), 0).astype(np.float32) / 255
