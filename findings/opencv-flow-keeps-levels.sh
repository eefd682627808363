#!/usr/bin/env bash
# OpenCV's DIS and TV-L1 objects remember the pyramid that they chose for a small frame.
#
# After a call on a small frame, the flow of a larger frame by the same object is another than that by a new object.
# TV-L1 keeps the lower number of levels. DIS keeps the finest level, which it set to 0 (getFinestScale says so), and
# solves at full size from then on, slower. Extraction with one object for all videos so depends on their order.
# Exits with 1 when that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages="opencv-contrib-python-headless==5.0.0.93 numpy==2.4.6"
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" $packages
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet $packages
fi
cd "$folder"
venv/bin/python - <<'PYTHON'
import cv2
import numpy as np

print(f"OpenCV {cv2.__version__}")
coarse = np.random.default_rng(0).normal(0, 40, (24, 32)).astype(np.float32)
scene = np.clip(cv2.resize(coarse, (352, 256), interpolation=cv2.INTER_CUBIC) + 128, 0, 255).astype(np.uint8)


def flow(method, shift, side=None):
    """Of a scene that moves to the right by some pixels, seen whole or through a small window."""
    first, second = (scene[:side, start : start + (side or 320)].copy() for start in (shift, 0))
    return method.calc(first, second, np.zeros((*first.shape, 2), np.float32))


changed = False
methods = ("DIS", cv2.DISOpticalFlow.create, 24), ("TV-L1", cv2.optflow.DualTVL1OpticalFlow.create, 8)
for name, create, shift in methods:
    used = create()
    flow(used, shift, side=16)
    if name == "DIS":
        print(f"finest scale {create().getFinestScale()} of a new object, {used.getFinestScale()} after a small frame")
    apart = np.linalg.norm(flow(create(), shift) - flow(used, shift), axis=-1)
    print(f"{name}: two objects differ by {apart.mean():.2f} px on average, {apart.max():.1f} at most")
    changed |= apart.max() < 1
raise SystemExit(int(changed))
PYTHON
