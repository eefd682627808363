#!/usr/bin/env bash
# A single clip in channels-last order, flattened over height and width, counts as channels-last, and conv2d still
# answers in contiguous order.
#
# clip.flatten(3) of axes b c t h w is a view. With one clip the stride of the batch is then that of a channel's row
# instead of the whole clip's. is_contiguous(memory_format=channels_last) does not look at axes of length 1 and says
# yes; conv2d, with weights in the usual order, chooses by the strides, and every layer behind works in the slow order.
# With two clips, or with the two axes joined by movedim and flatten, the order stays. Exits with 1 when that has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
packages="torch==2.15.0 numpy==2.4.6"
if command -v uv > /dev/null; then
    uv venv --quiet "$folder/venv"
    uv pip install --quiet --python "$folder/venv/bin/python" $packages
else
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet $packages
fi
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from torch.nn.functional import conv2d

print(f"torch {torch.__version__}")
weight = torch.randn(32, 16, 3, 1)  # over time alone


def orders(lines):
    answer = conv2d(lines, weight, padding=(1, 0))
    last = torch.channels_last
    return lines.stride(), lines.is_contiguous(memory_format=last), answer.is_contiguous(memory_format=last)


found = {}
for batch in (1, 2):
    clip = torch.randn(batch, 16, 8, 28, 28).contiguous(memory_format=torch.channels_last_3d)
    found[f"{batch} clips, flatten(3)"] = orders(clip.flatten(3))
    joined = clip.movedim(1, -1).flatten(2, 3).movedim(-1, 1)
    found[f"{batch} clips, moved, joined, moved back"] = orders(joined)
for name, (stride, given, answered) in found.items():
    print(f"{name}: stride {stride}, channels-last {given}, the answer {answered}")
answers = [row[1:] for row in found.values()]
raise SystemExit(answers != [(True, False), (True, True), (True, True), (True, True)])
PYTHON
