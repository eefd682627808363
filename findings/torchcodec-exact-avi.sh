#!/usr/bin/env bash
# torchcodec's exact mode gives other frames for MPEG-4 with B-frames in AVI as soon as it has to seek.
#
# AVI stores no presentation times, and those that FFmpeg makes up for packets are not those of the frames that come out.
# Asked for its frames in order, torchcodec gives them; asked in any other order it gives neighbours of most of them, and
# nothing fails. DivX and Xvid files, such as those of UCF101 and HMDB51, are like that. Exits with 1 when that has changed.
#
# Needs the shared libraries of FFmpeg (4 to 8) for torchcodec, such as Debian's libavdevice59.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" torch==2.15.0 torchcodec==0.17.0 av==18.1.0 numpy==2.4.6
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet torch==2.15.0 torchcodec==0.17.0 av==18.1.0 numpy==2.4.6
fi
cd "$folder"
venv/bin/python - <<'PYTHON'
from fractions import Fraction

import av
import numpy as np
import torchcodec
from torchcodec.decoders import VideoDecoder

HEIGHT, WIDTH, BITS = 64, 128, 8


def picture(number: int) -> np.ndarray:
    """Eight black or white bars: the number in binary."""
    bars = [235 if number >> bit & 1 else 20 for bit in reversed(range(BITS))]
    return np.ascontiguousarray(np.broadcast_to(np.repeat(bars, WIDTH // BITS)[None, :, None], (HEIGHT, WIDTH, 3)), np.uint8)


def number_of(pixels: np.ndarray) -> int:
    """Read the bars of a picture h w c."""
    bars = pixels[HEIGHT // 2, WIDTH // BITS // 2 :: WIDTH // BITS, 0] > 127
    return int("".join(str(int(bar)) for bar in bars), 2)


def write(path: str, codec: str, count: int, times=None, container=None, **options: str) -> None:
    """Encode numbered pictures, 25 a second."""
    with av.open(path, "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=25, options={"threads": "1", **options})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = times[number] if times else number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def in_order(path: str) -> list[int]:
    """What PyAV gives from the first frame to the last."""
    with av.open(path) as container:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


print(f"torchcodec {torchcodec.__version__} with FFmpeg {torchcodec.ffmpeg_major_version}, PyAV {av.__version__}")
write("a.avi", "mpeg4", 50, bf="2", g="12", qscale="2", flags="+qscale", global_quality="236")
expected = in_order("a.avi")
print("PyAV, in order:                      ", *expected)


def read(order: list[int]) -> list[int | None]:
    """The pictures by index, asked for in this order; None for an error."""
    video, found = VideoDecoder("a.avi", dimension_order="NHWC", seek_mode="exact"), [None] * 50
    for index in order:
        try:
            found[index] = number_of(video.get_frame_at(index).data.numpy())
        except RuntimeError:
            continue
    return found


def shown(found: list[int | None]) -> str:
    return " ".join("-" if number is None else str(number) for number in found)


forward, backward = read(list(range(50))), read(list(reversed(range(50))))
print("torchcodec, asked from first to last:", shown(forward))
print("torchcodec, asked from last to first:", shown(backward))
wrong = sum(b not in (a, None) for a, b in zip(expected, backward, strict=True))
print(f"from last to first, {wrong} of 50 indices give another frame, {backward.count(None)} give an error")
raise SystemExit(expected != list(range(50)) or wrong < 10)
PYTHON
