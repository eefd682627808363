#!/usr/bin/env bash
# torchcodec's exact mode gives frames up to a second away, or an error, for H.264 with periodic intra refresh.
#
# Such a file (x264's intra-refresh, cameras, conferences) has few key frames: columns are refreshed in turn. After a seek
# into it the decoder shows nothing before a whole round; torchcodec takes the first picture that comes for the one that was
# asked for, although its time is another. In order the same object gives every frame. Exits with 1 when that has changed.
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
write("a.mp4", "libx264", 50, g="12", **{"x264-params": "intra-refresh=1:bframes=3:threads=1"})
assert in_order("a.mp4") == list(range(50))
video = VideoDecoder("a.mp4", dimension_order="NHWC", seek_mode="exact")
assert [number_of(video.get_frame_at(index).data.numpy()) for index in range(50)] == list(range(50))
print("in order: right")
wrong = refused = 0
for index in reversed(range(50)):
    video = VideoDecoder("a.mp4", dimension_order="NHWC", seek_mode="exact")
    try:
        frame = video.get_frame_at(index)
    except RuntimeError as error:
        refused += 1
        print(f"frame {index}: {str(error).splitlines()[0]}")
        continue
    if (found := number_of(frame.data.numpy())) != index:
        wrong += 1
        print(f"frame {index}: picture {found}, said to be shown at {frame.pts_seconds:.2f} s")
print(f"each frame from a fresh decoder: {wrong} of 50 are others, {refused} of 50 are refused")
raise SystemExit(wrong == 0 or refused == 0)
PYTHON
