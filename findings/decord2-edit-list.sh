#!/usr/bin/env bash
# decord2 gives two different frames for one index of an MP4 with an edit list, depending on what was read before.
#
# A cut by stream copy hides the frames before the cut with an edit list. Read in order, decord2 leaves them out; after a
# seek it counts some or all of them. So index i is another frame in a shuffled batch than in a loop, and the length counts frames that
# are never shown. Exits with 1 when that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" decord2==3.4.0 av==18.1.0 numpy==2.4.6
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet decord2==3.4.0 av==18.1.0 numpy==2.4.6
fi
cd "$folder"
venv/bin/python - <<'PYTHON'
from fractions import Fraction

import av
import decord
import numpy as np

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


print(f"decord2 {decord.__version__}, PyAV {av.__version__}")
times = list(range(-15, 60))  # the first 15 frames lie before the start of the film
write("a.mp4", "libx264", 75, times, {"avoid_negative_ts": "disabled"}, g="25", bf="2")
expected = in_order("a.mp4")
print(f"in order, PyAV:    {len(expected)} frames, {expected[0]} to {expected[-1]}")
video = decord.VideoReader("a.mp4", num_threads=1)
loop = [number_of(video[index].asnumpy()) for index in range(60)]
print(f"in order, decord2: {len(video)} frames, {loop[0]} to {loop[-1]}")
jumps = {index: number_of(decord.VideoReader("a.mp4", num_threads=1)[index].asnumpy()) for index in range(60)}
other = [index for index in range(60) if jumps[index] != loop[index]]
for index in other[:3]:
    print(f"index {index}: picture {loop[index]} in a loop, {jumps[index]} as the first that is asked for")
print(f"{len(other)} of 60 indices give two different frames")
raise SystemExit(expected != list(range(15, 75)) or loop != expected or not other)
PYTHON
