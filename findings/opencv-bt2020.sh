#!/usr/bin/env bash
# OpenCV 5 changes the colours of video that is marked BT.2020, by up to a hundred levels, and says nothing.
#
# Its FFmpeg 8 converts between colour spaces when it makes RGB of YUV: the picture is graded from BT.2020 with PQ to
# BT.709. Other readers (PyAV, torchcodec, decord2) undo the matrix only, so the same clip gives a network other colours
# in OpenCV 5 than anywhere else. The same stream without the marks is read alike. Exits with 1 when that has changed.
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
import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace

COLOURS = [(45, 67, 171), (58, 162, 97), (198, 50, 50), (128, 128, 128)]


def write(path: str, marks: str) -> None:
    """A second of HEVC with 10 bits, four columns of colour."""
    with av.open(path, "w") as output:
        quiet = "log-level=none:pools=none:frame-threads=1"
        stream = output.add_stream("libx265", rate=25, options={"x265-params": f"{quiet}{marks}", "crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 256, 64, "yuv420p10le"
        row = np.repeat(np.array(COLOURS, np.uint8), 64, axis=0)
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.broadcast_to(row, (64, 256, 3))), format="rgb24")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace=Colorspace.BT2020 if marks else Colorspace.ITU601)
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def pyav(path: str) -> np.ndarray:
    """The first picture of PyAV."""
    with av.open(path) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def opencv(path: str) -> np.ndarray:
    """The first picture of OpenCV."""
    return cv2.cvtColor(cv2.VideoCapture(path).read()[1], cv2.COLOR_BGR2RGB)


print(f"OpenCV {cv2.__version__}, PyAV {av.__version__}")
off = {}
for name, marks in {"unmarked": "", "BT.2020 PQ": ":colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"}.items():
    write("a.mp4", marks)
    for reader in (pyav, opencv):
        colours = reader("a.mp4")[32, 32::64].astype(int)
        off[name, reader.__name__] = int(np.abs(colours - np.array(COLOURS)).max())
        print(f"{name}, {reader.__name__}:", *map(tuple, colours.tolist()))
print("as encoded:", *COLOURS)
raise SystemExit(off["BT.2020 PQ", "opencv"] < 30 or max(off["unmarked", "opencv"], off["BT.2020 PQ", "pyav"]) > 6)
PYTHON
