#!/usr/bin/env bash
# PyAV shows columns that an H.264 stream crops away on its left, and says another width than its pictures have.
#
# A stream may crop any number of columns on its left. FFmpeg moves the start of the rows only by steps that keep them
# aligned in memory, unless the program asks otherwise; PyAV does not, and 16 columns on the left stay in: the stream
# says 160, the frame is 176 wide. FFmpeg's own program gives 160. Exits with 1 when that has changed.
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
from av.bitstream import BitStreamFilterContext

print(f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}")
with av.open("full.mp4", "w") as output:
    stream = output.add_stream("libx264", rate=25, options={"crf": "5", "threads": "1"})
    stream.width, stream.height, stream.pix_fmt = 176, 128, "yuv420p"
    pixels = np.full((128, 176, 3), 200, np.uint8)
    pixels[:, :16] = 0  # what is to be cropped
    for number in range(25):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = number
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
with av.open("full.mp4") as source, av.open("a.mp4", "w") as output:
    stream = source.streams.video[0]
    copy = output.add_stream_from_template(stream)
    crop = BitStreamFilterContext("h264_metadata=crop_left=16", stream, copy)
    for packet in source.demux(stream):
        for changed in crop.filter(packet if packet.size else None):
            changed.stream = copy
            output.mux(changed)
with av.open("a.mp4") as container:
    stream = container.streams.video[0]
    picture = next(container.decode(stream)).to_ndarray(format="rgb24")
    black = int((picture[64, :, 0] < 30).sum())
    print(f"stream.width {stream.width}, picture {picture.shape[1]} wide, {black} black columns")
raise SystemExit(stream.width != 160 or picture.shape[1] != 176 or black != 16)
PYTHON
