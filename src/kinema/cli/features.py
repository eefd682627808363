"""``kinema features``: pooled features of videos."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from kinema.cli.argument_kinds import check_trained
from kinema.wording import counted


def features(
    checkpoint: Positional[str],
    *,
    data: str,
    out: Path,
    protocol: str = "clip",
    split: str = "all",
    device: str = "auto",
    precision: str = "fp32",
    backend: str = "auto",
    batch_views: int | None = None,
    num_workers: int = 2,
    skip_bad: bool = False,
    optimize: bool = True,
) -> None:
    """Write the pooled features of videos to an npz file: ids, features, labels and classes.

    Networks with ImageNet weights, such as tsn-resnet50.imagenet, need no training. They see 8 frames spread evenly
    over a video, short side 256 pixels, centre crop 224.

    Args:
        checkpoint: Checkpoint file, run directory, or published weights such as tsm-resnet50.k400-f8; MODEL.imagenet
            for the ImageNet weights of a model.
        data: Manifest CSV or folder; labels are not needed.
        out: The npz file.
        protocol: The features of a video's views are averaged; names as for "kinema evaluate".
        split: train, val, test or all.
        device: auto, cpu, cuda or cuda:N.
        precision: fp32, bf16 or fp16.
        backend: auto, pyav, torchcodec or frames.
        batch_views: Views in a batch; fitted to the memory when not given.
        num_workers: Processes that decode.
        skip_bad: Leave out videos that cannot be read, instead of stopping.
        optimize: On a CPU, run an optimised copy of the network where that pays; the scores are the same to 1e-4.
    """
    check_trained(checkpoint, [data], verb="features", option="--data")
    from kinema.compute.environment import is_first_process
    from kinema.errors import UserError
    from kinema.evaluation.features import features as compute

    if out.suffix != ".npz":
        raise UserError(f"--out is {out}; features are written as .npz, so name it {out.with_suffix('.npz').name}.")
    reading: dict[str, Any] = {"backend": backend, "batch_views": batch_views, "num_workers": num_workers}
    table = compute(
        checkpoint,
        data,
        protocol=protocol,
        split=split,
        device=device,
        precision=precision,
        skip_bad=skip_bad,
        **reading,
        optimize=optimize,
        progress=True,
    )
    if is_first_process():
        table.save(out)
        print(f"{out}: {counted(len(table), 'video')} x {counted(table.features.shape[1], 'feature')}")
        print(f"of each video: {table.meta['seen']}", file=sys.stderr)
        print(f"labelled: {(table.labels >= 0).sum()} of {len(table)}", file=sys.stderr)
