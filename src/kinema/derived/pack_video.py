"""Re-encodes one video so that any of its frames is found by decoding a few: small, densely key-framed H.264."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from kinema.data.dataset import frame_range, has_own_rate, open_record, times_of
from kinema.data.manifest import Record
from kinema.errors import UserError, VideoError
from kinema.video.clock import ROUNDING_SEC, frame_rate
from kinema.video.cursor import FrameCursor
from kinema.video.decoder import Decoder
from kinema.video.location import ffmpeg_name
from kinema.video.scaling import Scaling
from kinema.video.storage import find_video

CHUNK = 16
"""Frames decoded at once; few stay in the processor's cache."""

ASSUMED_FPS = 25
"""Of videos that do not say their rate."""

TICKS = 10_000
"""Least ticks per second of a packed video's clock, so that uneven times are kept to a tenth of a millisecond."""

_CHROMA = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How videos are packed.

    Attributes:
        short_side: Largest shorter side in pixels, an even number; smaller videos keep theirs, and with 0 all do.
        key_every: At most this many frames from one key frame to the next; reading one frame decodes at most so many.
        crf: x264's constant rate factor, 0 (lossless) to 51; 20 is hard to tell from the original.

    Raises:
        UserError: A value is out of range.
    """

    short_side: int = 256
    key_every: int = 8
    crf: int = 20

    def __post_init__(self) -> None:
        if self.short_side < 0 or self.short_side % 2 or self.key_every < 1 or not 0 <= self.crf <= 51:
            raise UserError(
                "--short-side must be 0 or an even number, --key-every at least 1 and --crf 0 to 51; "
                f"given {self.short_side}, {self.key_every} and {self.crf}"
            )

    def describe(self, record: Record) -> dict[str, object]:
        """What is written into the packed file of a video, so that a later run knows how it was made."""
        segment = [None if np.isnan(second) else second for second in (record.start, record.end)]
        return {**asdict(self), "source": record.video_id, "segment": segment}


@dataclass(frozen=True)
class Packed:
    """What the head of a packed file says.

    Attributes:
        num_frames: Its frames.
        fps: Frames per second.
        made: How it was made; empty when it was not made by packing.
    """

    num_frames: int
    fps: float
    made: dict[str, object]


def pack_video(
    record: Record,
    target: Path | BinaryIO,
    packing: Packing,
    *,
    advance: Callable[[int], object] = lambda count: None,
) -> int:
    """Pack one video, or the segment that its row names.

    The packed video has the frames that a sequential decode of the original yields, in that order, set upright, at
    their times, counted from the first one. Sound is left out. H.264 in 4:2:0 needs even sides: of a video that keeps
    its size, an odd side loses its last line of pixels.

    Args:
        record: The row of the manifest.
        target: The .mp4 to write, a path or something open for writing and seeking.
        packing: Size, key frames, quality.
        advance: Told the number of frames after each few.

    Returns:
        The number of frames.

    Raises:
        VideoError: The video cannot be read to its end, or is stored flow.
        OSError: The file cannot be written, such as on a full disk.
    """
    with open_record(record) as decoder:
        if decoder.holds_flow:
            raise VideoError(record.path, "is stored flow, which the eyes of a video codec would spoil; pack videos")
        span = frame_range(record, decoder)
        # What a reader's conversion takes away is then taken once, when the packed video is read.
        decoder.scaling = Scaling(size=scaled_size(decoder.size, packing.short_side), exact_color=True)
        where = target if not isinstance(target, Path) else ffmpeg_name(target)
        options = {"movflags": "+faststart"} if isinstance(target, Path) else {}
        with av.open(where, "w", format="mp4", container_options=options) as output:
            says = record.fps if has_own_rate(record) else decoder.fps
            rate = Fraction(says or ASSUMED_FPS).limit_denominator(1001)
            times_sec = times_of(record, decoder)[span.start : span.stop]
            made = {**packing.describe(record), "fps": frame_rate(times_sec, float(rate))}
            output.metadata["comment"] = json.dumps(made)
            _encode(decoder, span, output, packing, advance, rate=rate, times_sec=times_sec)
    return len(span)


def read_packed(path: str | Path) -> Packed:
    """Read the head of a packed file, without decoding.

    Raises:
        VideoError: The file is missing, damaged or empty.
    """
    cursor = FrameCursor(find_video(path), 1)
    try:
        rate, num_frames = cursor.stream.average_rate, cursor.stream.frames
        try:
            made = json.loads(cursor.container.metadata.get("comment", "{}"))
        except ValueError:
            made = {}
    finally:
        cursor.close()
    if not num_frames:
        raise VideoError(path, "has no frames; pack it again")
    made = made if isinstance(made, dict) else {}
    # The header counts how long the last frame is shown, which in uneven videos is a guess.
    measured = made.get("fps")
    return Packed(num_frames, float(measured if isinstance(measured, float) else rate or 0), made)


def refuse_difference(path: Path, packed: Packed, packing: Packing, record: Record) -> None:
    """Make sure that a packed video is what a run would write now.

    Raises:
        UserError: It was made otherwise; the message has both values.
    """
    for name, value in packing.describe(record).items():
        if packed.made.get(name) != value:
            raise UserError(
                f"{path} was made with {name.replace('_', ' ')} {packed.made.get(name)!r}, not {value!r}; "
                "give another --out, or delete what is there"
            )


def scaled_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Find the size at which a video of ``size`` (height, width) is decoded for packing.

    A scaled video has even sides, the longer one rounded to the nearest; one that keeps its size may have odd ones.
    """
    height, width = (max(2, side) for side in size)
    if not 0 < short_side < min(size):
        return height, width
    long = 2 * round(max(size) * short_side / min(size) / 2)
    return (short_side, long) if height <= width else (long, short_side)


def _encode(
    decoder: Decoder,
    span: range,
    output: av.container.OutputContainer,
    packing: Packing,
    advance: Callable[[int], object],
    *,
    rate: Fraction,
    times_sec: np.ndarray,
) -> None:
    """Encode the frames of a stretch at their times, counted from its first frame."""
    refined = -(-TICKS // rate.numerator)  # ticks of the clock for one of the rate's own
    clock = Fraction(1, rate.numerator * refined)
    height, width = (side - side % 2 for side in decoder.scaling.target(decoder.size))
    stream = output.add_stream("libx264", rate=rate, options=_options(packing))
    stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
    context = stream.codec_context
    context.thread_count, context.time_base = 1, clock
    context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
    ticks = iter(_ticks(times_sec, rate, clock))
    for frames in decoder.iter_frames(span.start, span.stop, chunk=CHUNK):
        for pixels in frames.pixels:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
            picture = picture.reformat(
                format="yuv420p",
                interpolation=_CHROMA,
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
            picture.pts, picture.time_base = next(ticks), clock
            output.mux(stream.encode(picture))
        advance(len(frames.pixels))
    output.mux(stream.encode(None))


def _ticks(times_sec: np.ndarray, rate: Fraction, clock: Fraction) -> list[int]:
    """Times on the clock from the first one on: exact for steady videos, whose containers may have rounded them."""
    since = times_sec - times_sec[0]
    frame_numbers = np.rint(since * float(rate))
    if np.all(np.abs(since - frame_numbers / float(rate)) < ROUNDING_SEC):
        ticks = [int(number / rate / clock) for number in frame_numbers.astype(int).tolist()]
    else:
        ticks = np.rint(since / float(clock)).astype(int).tolist()
    later = np.arange(len(ticks))  # no two frames may have one time
    return (np.maximum.accumulate(np.array(ticks, np.int64) - later) + later).tolist()


def _options(packing: Packing) -> dict[str, str]:
    return {
        "preset": "veryfast",
        "tune": "fastdecode",  # no arithmetic coding, no deblocking: decoded nearly twice as fast, a fifth larger
        "crf": str(packing.crf),
        "g": str(packing.key_every),
        "keyint_min": "1",  # whatever begins a new scene can be decoded alone
        # Three of four frames carry no other, so a reader need not decode those it does not want. Whole blocks and
        # small transforms alone take a twentieth more bytes and some less time.
        "bf": "3",
        "x264-params": "open-gop=0:b-adapt=0:b-pyramid=none:weightb=0:8x8dct=0:partitions=none",
    }
