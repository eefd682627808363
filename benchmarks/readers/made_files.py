"""The kinds of file of the comparison, each made so that the right answer is known: which frame, when, how large."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import file_surgery
import numpy as np
from marked_frames import HEIGHT, WIDTH, marked_frames

from make_videos import write_video  # isort: skip  (marked_frames says where it lies)

FPS, NUM_FRAMES = 25, 50


@dataclass(frozen=True, slots=True)
class Made:
    """A file and what a reader should find in it.

    Attributes:
        path: The file.
        numbers: The frames that are shown, in order.
        times_sec: When each is shown, from the file's beginning; None where the file does not say it.
        size: Height and width as shown.
        has_color: Whether the strip's colours are to be compared.
        damaged: Frames of which nobody can say what they show: they have to be the same however reached.
    """

    path: Path
    numbers: list[int]
    times_sec: list[float] | None
    size: tuple[int, int] = (HEIGHT, WIDTH)
    has_color: bool = True
    damaged: range = field(default=range(0))


Maker = Callable[[Path], Made]


def ffmpeg(*words: str | Path, pictures: np.ndarray | None = None) -> None:
    """Run the command line program."""
    words = tuple(str(word) for word in words)
    command = ["ffmpeg", "-nostdin", "-y", "-v", "error", "-threads", "1", *words]
    if pictures is not None:
        command.remove("-nostdin")
    done = subprocess.run(command, input=None if pictures is None else pictures.tobytes(), capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr.decode(errors='replace')}")


def encode(
    path: Path, options: str, pictures: np.ndarray | None = None, *, numbers: Sequence[int] = range(NUM_FRAMES)
) -> Path:
    """Encode frames with these numbers, 25 a second; ``options`` are ffmpeg's between the input and the file."""
    pictures = marked_frames(numbers) if pictures is None else pictures
    height, width = pictures.shape[1:3]
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {FPS} -i -".split()
    ffmpeg(*source, *["-map_metadata", "-1", "-fflags", "+bitexact"], *options.split(), path, pictures=pictures)
    return path


def evenly(numbers: Sequence[int], start: float = 0.0) -> list[float]:
    """Times of consecutive frames at 25 frames per second."""
    return [start + place / FPS for place in range(len(numbers))]


def plain(suffix: str, options: str, **truth: object) -> Maker:
    """A kind that one call of ffmpeg makes, with all its frames evenly spaced."""

    def make(folder: Path) -> Made:
        numbers = list(range(NUM_FRAMES))
        path = encode(folder / f"video.{suffix}", options)
        return Made(path, numbers, evenly(numbers), **truth)  # type: ignore[arg-type]

    return make


X264 = "-c:v libx264 -preset fast -crf 12 -pix_fmt yuv420p -g 12 -bf 3 -x264-params threads=1:scenecut=0"
X265 = "-c:v libx265 -preset fast -crf 12 -pix_fmt yuv420p -tag:v hvc1 -x265-params "
X265_QUIET = "log-level=none:pools=none:frame-threads=1:keyint=12:min-keyint=12:scenecut=0:bframes=3"
MPEG4 = "-c:v mpeg4 -qscale:v 2 -g 12"
MPEG2 = "-c:v mpeg2video -qscale:v 2 -g 12 -bf 2"


# Cuts, and where the picture starts


def cut_by_copy(folder: Path) -> Made:
    numbers = list(range(75))
    full = encode(folder / "full.mp4", f"{X264} -g 25", numbers=numbers)
    ffmpeg("-ss", "0.6", "-i", full, "-c", "copy", folder / "video.mp4")
    return Made(folder / "video.mp4", numbers[15:], evenly(numbers[15:]))


def late_picture(suffix: str, sound: str) -> Maker:
    def make(folder: Path) -> Made:
        numbers = list(range(NUM_FRAMES))
        picture = encode(folder / "picture.mp4", X264)
        tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=3"]
        path = folder / f"video.{suffix}"
        ffmpeg(*tone, "-itsoffset", "1", "-i", picture, *f"-map 1:v -map 0:a -c:v copy -c:a {sound}".split(), path)
        return Made(path, numbers, evenly(numbers, 1.0))

    return make


def starts_open(folder: Path) -> Made:
    """HEVC that starts at a key frame of an open group: the frames stored after it but shown before it have no past."""
    full = encode(folder / "full.mkv", f"{X265}{X265_QUIET}:open-gop=1")
    keys: list[int] = []

    def from_second_key(number: int, packet) -> bytes | None:
        if packet.is_keyframe:
            keys.append(number)
        return bytes(packet) if len(keys) > 1 else None

    file_surgery.rewrite_packets(full, folder / "video.mkv", from_second_key)
    numbers = list(range(12, NUM_FRAMES))
    return Made(folder / "video.mkv", numbers, evenly(numbers))


# Frame times

UNEVEN_MS = [
    *[40 * n + 9 * (n % 2) for n in range(20)],
    *[1800 + 20 * n for n in range(20)],
    *[2400 + 130 * n for n in range(10)],
]
"""Half a second of an even rate with jitter, a still second, then fast, then slow."""


def uneven(suffix: str, codec: str = "libx264", **options: object) -> Maker:
    def make(folder: Path) -> Made:
        numbers = list(range(NUM_FRAMES))
        path = write_video(
            folder / f"video.{suffix}",
            marked_frames(numbers),
            codec=codec,
            gop=12,
            times=UNEVEN_MS,
            time_base=Fraction(1, 1000),
            **options,  # type: ignore[arg-type]
        )
        return Made(path, numbers, [ms / 1000 for ms in UNEVEN_MS])

    return make


def browser_recording(folder: Path) -> Made:
    options = "-c:v libvpx -b:v 2M -deadline realtime -cpu-used 8 -g 25 -live 1"
    made = plain("webm", options)(folder)
    file_surgery.remove_default_duration(made.path)
    return made


def avi_with_gaps(folder: Path) -> Made:
    pictures = marked_frames(range(100))
    kept = [n for n in range(100) if n < 25 or n % 4 == 0]
    choose = ["-vf", "select='lt(n,25)+not(mod(n,4))'", "-fps_mode", "vfr"]
    path = encode(folder / "video.avi", " ".join([*choose, MPEG4]), pictures)
    return Made(path, kept, [n / FPS for n in kept])


def joined(suffix: str, options: str) -> Maker:
    """Two files of which the second starts its clock anew, one after the other."""

    def make(folder: Path) -> Made:
        parts = [
            encode(folder / f"{n}.{suffix}", options, numbers=range(n * NUM_FRAMES, (n + 1) * NUM_FRAMES))
            for n in (0, 1)
        ]
        path = folder / f"video.{suffix}"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        numbers = list(range(2 * NUM_FRAMES))
        return Made(path, numbers, evenly(numbers))

    return make


def copied(first: str, second: str, options: str, *, hidden: int = 0) -> Maker:
    """A file whose packets were copied into another container; an edit list may hide the first few."""

    def make(folder: Path) -> Made:
        numbers = list(range(hidden, NUM_FRAMES))
        source = encode(folder / f"source.{first}", options)
        path = folder / f"video.{second}"
        ffmpeg("-r", str(FPS), "-i", source, "-c", "copy", path)
        return Made(path, numbers, None if hidden else evenly(numbers))

    return make


def packed_b_frames(folder: Path) -> Made:
    """Xvid stores a B-frame in the chunk of the frame it follows, and a frame that is not coded where it would be."""
    full = encode(folder / "full.avi", "-c:v libxvid -qscale:v 2 -g 12 -bf 2", numbers=range(NUM_FRAMES + 12))
    chunks = file_surgery.packet_places(full)
    # The encoder loses frames at its end; after a frame that is not coded none is pending.
    last = next(place for place, (_, length) in enumerate(chunks) if place >= NUM_FRAMES - 6 and length < 8)
    # It also leaves two empty chunks at the beginning, where it waits for B-frames.
    evened = ["-bsf:v", "setts=pts=N:dts=N"]
    ffmpeg("-i", full, "-c", "copy", *evened, "-frames:v", str(last + 1), folder / "video.avi")
    numbers = list(range(last + 1))
    return Made(folder / "video.avi", numbers, evenly(numbers))


# Shape


def oriented(name: str) -> Maker:
    def make(folder: Path) -> Made:
        a, b, c, d = matrix = file_surgery.ORIENTATIONS[name]
        shown = marked_frames(range(NUM_FRAMES))
        stored = shown.swapaxes(1, 2) if a == 0 else shown
        # With the axes swapped it is b and c that say which axis of the stored picture runs backwards.
        if (b if a == 0 else a) < 0:
            stored = stored[:, :, ::-1]
        if (c if a == 0 else d) < 0:
            stored = stored[:, ::-1]
        path = encode(folder / "video.mp4", X264, np.ascontiguousarray(stored))
        file_surgery.set_display_matrix(path, matrix, stored.shape[1:3])
        numbers = list(range(NUM_FRAMES))
        return Made(path, numbers, evenly(numbers))

    return make


def cropped(options: str, side: str, filter_name: str) -> Maker:
    """A stream that is larger than what it shows by 16 pixels of noise on one side."""

    def make(folder: Path) -> Made:
        shown, wide = marked_frames(range(NUM_FRAMES)), side in ("left", "right")
        noise_size = (NUM_FRAMES, HEIGHT, 16, 3) if wide else (NUM_FRAMES, 16, WIDTH, 3)
        noise = np.random.default_rng(0).integers(0, 256, noise_size, np.uint8)
        parts = [noise, shown] if side in ("left", "top") else [shown, noise]
        full = encode(folder / "full.mp4", options, np.concatenate(parts, axis=2 if wide else 1))
        ffmpeg("-i", full, "-c", "copy", "-bsf:v", f"{filter_name}=crop_{side}=16", folder / "video.mp4")
        numbers = list(range(NUM_FRAMES))
        return Made(folder / "video.mp4", numbers, evenly(numbers))

    return make


def sized(suffix: str, options: str, height: int, width: int) -> Maker:
    def make(folder: Path) -> Made:
        numbers = list(range(NUM_FRAMES))
        path = encode(folder / f"video.{suffix}", options, marked_frames(numbers, height, width))
        return Made(path, numbers, evenly(numbers), size=(height, width))

    return make


# Damage


def damaged_file(path: Path, damaged: range) -> Made:
    """A file with all frames but the damaged ones in their places."""
    numbers = list(range(NUM_FRAMES))
    return Made(path, numbers, evenly(numbers), damaged=damaged)


def frame_lost(options: str, *, disposable: bool, damaged: range) -> Maker:
    """Matroska without one frame of its second group: the first one that others need, or do not need."""

    def make(folder: Path) -> Made:
        full = encode(folder / "full.mkv", options)
        lost: list[int] = []

        def change(number: int, packet) -> bytes | None:
            data = bytes(packet)
            if not lost and number > 12 and file_surgery.is_needed(data) != disposable:
                lost.append(number)
                return None
            return data

        file_surgery.rewrite_packets(full, folder / "video.mkv", change)
        return damaged_file(folder / "video.mkv", damaged)

    return make


def bits_flipped(suffix: str, options: str, packet: int, damaged: range) -> Maker:
    def make(folder: Path) -> Made:
        path = encode(folder / f"video.{suffix}", options)
        file_surgery.flip_bits(path, packet)
        return damaged_file(path, damaged)

    return make


def tail_lost(suffix: str, options: str, packet: int) -> Maker:
    def make(folder: Path) -> Made:
        path = encode(folder / f"video.{suffix}", options)
        file_surgery.cut_inside(path, packet)
        return damaged_file(path, range(packet - 4, NUM_FRAMES))

    return make
