#!/usr/bin/env bash
# OpenCV 5 says that it read a frame of interlaced video and hands out whatever lay in memory.
#
# FFmpeg 8's scaler refuses to make a progressive RGB picture of a frame that is marked interlaced. OpenCV logs that, does
# not look at the result, and read() returns True with a picture that was never written: black on a good day, else pieces
# of other pictures. Here all frames are white, and none is. Exits with 1 when that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" opencv-contrib-python-headless==5.0.0.93 av==18.1.0 numpy==2.4.6
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet opencv-contrib-python-headless==5.0.0.93 av==18.1.0 numpy==2.4.6
fi
cd "$folder"
venv/bin/python - <<'PYTHON'
import os

os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # one complaint for each frame is no help here

import av
import cv2
import numpy as np

print(f"OpenCV {cv2.__version__}, PyAV {av.__version__}")
with av.open("a.mp4", "w") as output:
    options = {"flags": "+ilme+ildct", "x264-params": "tff=1", "threads": "1"}
    stream = output.add_stream("libx264", rate=25, options=options)
    stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
    for number in range(25):
        frame = av.VideoFrame.from_ndarray(np.full((128, 160, 3), 255, np.uint8), format="rgb24")
        frame.pts = number
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
with av.open("a.mp4") as container:
    frames = list(container.decode(video=0))
    print(f"PyAV: {len(frames)} frames, interlaced {frames[0].interlaced_frame}, ", end="")
    print(f"darkest level {min(int(frame.to_ndarray(format='rgb24').min()) for frame in frames)}")
video, read, white = cv2.VideoCapture("a.mp4"), 0, 0
while True:
    given, picture = video.read()
    if not given:
        break
    read += 1
    white += int(picture.min() > 250)
print(f"OpenCV: read() returned True {read} times, {white} of the pictures are white")
raise SystemExit(read != 25 or white > 0)
PYTHON
