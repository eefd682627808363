"""Which frames of a video make a clip: pure functions from counts to indices.

Every sampler has ``sample(num_frames, fps, rng) -> indices`` with axes ``v t`` (views, frames). ``rng=None`` gives the
deterministic test positions; with a generator the positions of a training clip are drawn. ``n`` below is the number of
frames in the video, ``f`` the frames of a clip, ``s`` the stride. Worked numbers, test positions::

    Uniform(4)               n=10  ->  1 3 6 8          the middles of four segments of 2.5 frames
    Uniform(4, views=3)      n=40  ->  4 14 24 34 | 5 15 25 35 | 6 16 26 36
    Uniform(4)               n=2   ->  0 0 1 1          short videos repeat
    Dense(4, stride=2)       n=20  ->  0 2 4 6
    Dense(4, stride=2)       n=5   ->  0 2 4 1          modulo n
    All(6)                   n=4   ->  0 1 2 3 0 1      looped up to the minimum

Source: "Deep Analysis of CNN-based Spatio-temporal Representations for Action Recognition" (arXiv 2010.11757) and the
code its authors published; the other papers' positions are named at their samplers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kinema.errors import UserError, unknown_name
from kinema.shapes import FrameIndices
from kinema.specs.data import SAMPLINGS


class Sampler(Protocol):
    """What a dataset or a protocol asks of a sampler."""

    def sample(self, num_frames: int, fps: float = 0.0, rng: np.random.Generator | None = None) -> FrameIndices:
        """Choose frames.

        Args:
            num_frames: Frames of the video, at least 1.
            fps: Frames per second, 0 when unknown; samplers that count in frames ignore it.
            rng: Source of the draws of a training clip; None gives the test positions.

        Returns:
            Indices in ``0 .. num_frames - 1``, axes ``v t``, int64.
        """
        ...


@dataclass(frozen=True)
class Uniform:
    """One frame from each of ``frames`` equal segments.

    Test position of segment x in view o: ``int(n/f/2 + o + x*n/f)``, o from ``-views//2 + 1`` to ``views//2``, held
    inside the segment. Training: segments start at ``int(x*n/f)``, and one offset in ``[0, n//f)`` is added to all.
    Videos shorter than the clip repeat frames: ``int((x + 0.5)*n/f)``, in training too.

    Differs from the paper: its section D.1 has offsets from ``-views/2`` up to, without, ``views/2`` (-5 to 4 of ten
    views); the authors' code and this have -4 to 5, so two views are at 0 and 1, not at -1 and 0.
    Differs from the authors' code: their training segments start at ``x*(n//f)``, which never shows the last ``n % f``
    frames (of 15 frames, 8 are seen); short videos are drawn with replacement there.

    Attributes:
        frames: Frames of a clip.
        views: Clips of a video at test time.
        per_segment: Draw one offset per segment, as TSN (arXiv 1608.00859) and TSM (arXiv 1811.08383) do.
    """

    frames: int
    views: int = 1
    per_segment: bool = False

    def sample(self, num_frames: int, fps: float = 0.0, rng: np.random.Generator | None = None) -> FrameIndices:
        """Choose frames; see ``Sampler.sample``."""
        _check_video(num_frames)
        n, f, x = num_frames, self.frames, np.arange(self.frames, dtype=np.int64)
        if n < f:
            return np.tile(_repeated(n, f), (self.views, 1))
        starts = x * n // f
        if rng is not None:
            size = (self.views, f if self.per_segment else 1)
            return starts + rng.integers(0, n // f, size=size)
        # In whole numbers, so that no rounding of n/f moves a frame: (2x + 1) n / 2f is the middle of segment x.
        offsets = np.arange(-self.views // 2 + 1, self.views // 2 + 1, dtype=np.int64)[:, None]
        middles = ((2 * x + 1) * n + 2 * f * offsets) // (2 * f)
        last_inside = -(-(x + 1) * n // f) - 1
        return np.clip(middles, starts, last_inside)


@dataclass(frozen=True)
class Dense:
    """Neighbouring frames, ``stride`` apart; indices run modulo n, so short videos loop.

    Test: ``views`` starts, ``linspace(0, max(0, n - f*s), views)`` truncated. One view is the first clip of the video.
    Training: start drawn from ``[0, n - f*s]``.

    Attributes:
        frames: Frames of a clip.
        stride: Distance of neighbouring frames.
        views: Clips of a video at test time.
        strides: Distances to draw from in training instead of ``stride``, repeats counting as weights
            (Multi-Fiber Networks, arXiv 1807.11195: 1, 2, 2, 3).
    """

    frames: int
    stride: int = 1
    views: int = 1
    strides: tuple[int, ...] = ()

    def sample(self, num_frames: int, fps: float = 0.0, rng: np.random.Generator | None = None) -> FrameIndices:
        """Choose frames; see ``Sampler.sample``."""
        _check_video(num_frames)
        if rng is None:
            starts = np.linspace(0, max(0, num_frames - self.frames * self.stride), self.views).astype(np.int64)
            return _runs(starts, np.array(self.stride), self.frames) % num_frames
        choices = np.array(self.strides or (self.stride,), np.int64)
        strides = choices[rng.integers(0, len(choices), size=self.views)]
        starts = rng.integers(0, np.maximum(0, num_frames - self.frames * strides) + 1)
        return _runs(starts, strides, self.frames) % num_frames


@dataclass(frozen=True)
class RandomStarts:
    """Test clips at random places that are the same on every run.

    Starts are drawn from ``[0, n - f*s]`` with a generator seeded by ``(seed, n)``: videos of one length share their
    places, and neither the order of the videos nor the number of processes matters.

    Attributes:
        frames: Frames of a clip.
        stride: Distance of neighbouring frames.
        views: Clips of a video.
        seed: Names the draw.
    """

    frames: int
    stride: int = 1
    views: int = 10
    seed: int = 0

    def sample(self, num_frames: int, fps: float = 0.0, rng: np.random.Generator | None = None) -> FrameIndices:
        """Choose frames; see ``Sampler.sample``."""
        drawn = rng if rng is not None else np.random.default_rng([self.seed, max(num_frames, 0)])
        return Dense(self.frames, stride=self.stride, views=self.views).sample(num_frames, fps, drawn)


@dataclass(frozen=True)
class Steps:
    """Evenly spaced places, each a clip of its own with a single time step.

    Frames: place i is ``i * ((n - 1) // (views - 1))``. Flow: ``i * (n // views)``, where n counts the places at which
    a stack can begin, ``fields - L + 1`` for stacks of L. Videos with fewer places than views repeat:
    ``int((i + 0.5) * n / views)``.
    Source: "Towards Good Practices for Very Deep Two-Stream ConvNets" (arXiv 1507.02159) and its code.

    Attributes:
        views: Places.
        of_flow: Count as the paper's code does for flow.
    """

    views: int = 25
    of_flow: bool = False

    def sample(self, num_frames: int, fps: float = 0.0, rng: np.random.Generator | None = None) -> FrameIndices:
        """Choose frames; see ``Sampler.sample``. With a generator, one random place for each view."""
        _check_video(num_frames)
        if rng is not None:
            return rng.integers(0, num_frames, size=(self.views, 1))
        if num_frames < self.views:
            return _repeated(num_frames, self.views)[:, None]
        step = num_frames // self.views if self.of_flow else (num_frames - 1) // max(1, self.views - 1)
        return (np.arange(self.views, dtype=np.int64) * step)[:, None]


@dataclass(frozen=True)
class All:
    """Every frame of the video as one clip, looped up to a minimum.

    Source: "Rethinking Spatiotemporal Feature Learning" (S3D-G, arXiv 1712.04851): whole videos at test time, at least
    64 frames on Something-Something and 250 on Mini-Kinetics.

    Attributes:
        minimum: Fewest frames of a clip; 0 for no minimum.
    """

    minimum: int = 0

    def sample(self, num_frames: int, fps: float = 0.0, rng: np.random.Generator | None = None) -> FrameIndices:
        """Choose frames; see ``Sampler.sample``. Nothing is drawn."""
        _check_video(num_frames)
        return (np.arange(max(num_frames, self.minimum), dtype=np.int64) % num_frames)[None]


class SamplingFields(Protocol):
    """Where sampling is described: a recipe's ``DataSpec`` or a checkpoint's ``Preprocessing``."""

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        ...

    @property
    def sampling(self) -> str:
        """``uniform``, ``dense`` or ``all``."""
        ...

    @property
    def stride(self) -> int:
        """Distance of neighbouring frames in dense sampling."""
        ...


def make_sampler(fields: SamplingFields, views: int = 1) -> Sampler:
    """Build the sampler that a recipe's data part or a checkpoint's preprocessing names.

    Args:
        fields: Has ``frames``, ``sampling`` and ``stride``, and optionally ``per_segment`` and ``strides``.
        views: Clips of a video at test time.

    Raises:
        UserError: The sampling has another name than uniform, dense or all.
    """
    if fields.sampling == "uniform":
        return Uniform(fields.frames, views=views, per_segment=getattr(fields, "per_segment", False))
    if fields.sampling == "dense":
        return Dense(fields.frames, stride=fields.stride, views=views, strides=getattr(fields, "strides", ()))
    if fields.sampling == "all":
        return All(minimum=fields.frames)
    raise unknown_name("sampling", fields.sampling, SAMPLINGS)


def _check_video(num_frames: int) -> None:
    if num_frames < 1:
        raise UserError(f"a clip was asked of a video with {num_frames} frames; it needs at least 1")


def _repeated(num_frames: int, count: int) -> np.ndarray:
    """Spread ``count`` places over fewer frames: int((x + 0.5) * n / count), in whole numbers."""
    return (2 * np.arange(count, dtype=np.int64) + 1) * num_frames // (2 * count)


def _runs(starts: np.ndarray, strides: np.ndarray, frames: int) -> np.ndarray:
    """Arithmetic runs from each start, axes ``v t``."""
    return starts[:, None] + np.arange(frames, dtype=np.int64) * strides[..., None]
