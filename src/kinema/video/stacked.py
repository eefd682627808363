"""Shows neighbouring frames of a video as one frame with more channels, so that samplers and crops need not know."""

from __future__ import annotations

import numpy as np

from kinema.video.decoder import Decoder
from kinema.video.frames import Frames


class StackedDecoder(Decoder):
    """A video whose frame i holds the frames i, i + 1, … of another one, channel after channel.

    There are ``count - 1`` frames fewer than in the other video, so no stack goes over its end. A video too short for
    one stack has a single one, which repeats the last frame.

    Args:
        decoder: The other video; closed together with this one.
        count: Frames in a stack.
    """

    def __init__(self, decoder: Decoder, count: int) -> None:
        assert count >= 1
        self._decoder, self._count = decoder, count
        self.path = decoder.path
        self.scaling = decoder.scaling
        self.holds_flow = decoder.holds_flow

    @property
    def fps(self) -> float:
        """See ``Decoder``."""
        return self._decoder.fps

    @property
    def size(self) -> tuple[int, int]:
        """See ``Decoder``."""
        return self._decoder.size

    @property
    def num_channels(self) -> int:
        """See ``Decoder``."""
        return self._count * self._decoder.num_channels

    @property
    def duration_sec(self) -> float:
        """See ``Decoder``."""
        return self._decoder.duration_sec

    def __len__(self) -> int:
        return max(1, len(self._decoder) - self._count + 1)

    def count_frames(self) -> int:
        """See ``Decoder``."""
        return max(1, self._decoder.count_frames() - self._count + 1)

    @property
    def num_damaged(self) -> int:
        """See ``Decoder``."""
        return self._decoder.num_damaged

    def frame_times(self) -> np.ndarray:
        """See ``Decoder``; a stack is shown when its first frame is."""
        return self._decoder.frame_times()[: len(self)]

    def close(self) -> None:
        """See ``Decoder``."""
        self._decoder.close()

    def _decode(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._decoder.scaling = self.scaling
        wanted = positions[:, None] + np.arange(self._count)
        if positions[-1] < len(self):  # beyond the end the other video says so itself
            wanted = np.minimum(wanted, len(self._decoder) - 1)
        distinct, inverse = np.unique(wanted, return_inverse=True)
        frames: Frames = self._decoder.frames_at(distinct)
        stacks = frames.pixels[inverse.reshape(wanted.shape)]  # t, place in the stack, h, w, c
        t, count, height, width, channels = stacks.shape
        pixels = np.ascontiguousarray(stacks.transpose(0, 2, 3, 1, 4)).reshape(t, height, width, count * channels)
        return pixels, frames.times_sec[inverse.reshape(wanted.shape)[:, 0]]
