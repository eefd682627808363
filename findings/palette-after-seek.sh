#!/usr/bin/env bash
# Seeking before the first packet was read loses the palette of a video: every picture is black, without an error.
#
# AVI and MOV hold the palette of 8-bit video once; FFmpeg hands it out with the first packet that it reads. Opening such a
# file and seeking at once, as every reader by frame number does, drops that packet, and the decoder goes on with a palette
# of zeros. Decoding one frame before the seek is enough to keep it. Exits with 1 when that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" av==18.1.0 numpy==2.4.6
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.4.6
fi
cd "$folder"
venv/bin/python - <<'PYTHON'
import av
import numpy as np

print(f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}")
palette = np.zeros((256, 4), np.uint8)
palette[:, 0], palette[:, 1:] = 255, np.arange(256)[::-1, None]  # opaque; ARGB
with av.open("a.avi", "w") as output:
    stream = output.add_stream("rawvideo", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "pal8"
    for number in range(10):
        frame = av.VideoFrame.from_ndarray((np.full((64, 64), number, np.uint8), palette), format="pal8")
        frame.pts = number
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def brightest(*, seek: bool, decode_first: bool) -> list[int]:
    """The brightest level of each frame."""
    with av.open("a.avi") as container:
        if decode_first:
            next(container.decode(video=0))
        if seek:
            container.seek(0)
        return [int(frame.to_ndarray(format="rgb24").max()) for frame in container.decode(video=0)]


plain = brightest(seek=False, decode_first=False)
print("no seek:                      ", *plain)
after = brightest(seek=True, decode_first=False)
print("seek(0) after opening:        ", *after)
kept = brightest(seek=True, decode_first=True)
print("one frame decoded, then seek: ", *kept)
raise SystemExit(min(plain) < 200 or max(after) > 0 or min(kept) < 200)
PYTHON
