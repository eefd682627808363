"""``kinema predict``: name the action in video files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tyro.conf import Positional

from kinema.cli.answers import AnswerFile, AnswerOutput
from kinema.cli.argument_kinds import check_trained
from kinema.cli.waiting import loading
from kinema.compute.progress import progress_bar
from kinema.errors import UserError
from kinema.specs.compute import Compute
from kinema.specs.loading import Loading


def predict(
    checkpoint: Positional[str],
    videos: Positional[tuple[str, ...]],
    *,
    top: int = 5,
    protocol: str = "clip",
    json: bool = False,
    csv: bool = False,
    out: Path | None = None,
    window: float | None = None,
    step: float | None = None,
    strip: Path | None = None,
    plot: Path | None = None,
    device: str = "auto",
    precision: str = "fp32",
    backend: str = "auto",
    batch_views: int | None = None,
    num_workers: int = 0,
    optimize: bool = True,
) -> None:
    """Name the action in videos. One that cannot be read is reported, and the rest are still predicted.

    Args:
        checkpoint: Checkpoint file, run directory, or published weights such as tsm-resnet50.k400-f8.
        videos: Files, folders of videos, folders of images, or manifest CSVs.
        top: How many classes to name.
        protocol: clip is fastest; uniform-10x3 and others as for "kinema evaluate" are steadier.
        json: Print JSON, one object a line.
        csv: Print CSV.
        out: Write the answers to this .csv, .json or .jsonl file instead of printing them.
        window: Slide a window of this many seconds over each video and print what happens when.
        step: Seconds that the window moves; half of it when not given.
        strip: Draw the frames with the answer as a PNG here; for several videos a folder.
        plot: Draw the timeline of --window as a PNG here; for several videos a folder.
        device: auto, cpu, cuda or cuda:N.
        precision: fp32, bf16 or fp16.
        backend: auto, pyav, torchcodec or frames.
        batch_views: Views in a batch; fitted to the memory when not given.
        num_workers: Processes that decode; worth their start for many videos.
        optimize: On a CPU, run an optimised copy of the network where that pays; the scores are the same to 1e-4.
    """
    check_trained(checkpoint, videos, verb="predict")
    _check_combination(json and csv, window=window, step=step, strip=strip, plot=plot)
    form = "json" if json else "csv" if csv else "text" if out is None else ""
    answer_file = None if out is None else AnswerFile(out)
    with loading():
        from kinema.evaluation.predict import find_videos, predictions
        from kinema.evaluation.timeline import SlidingWindow, timelines

    paths, compute = find_videos(videos), Compute(device=device, precision=precision)
    reading = Loading(num_workers=num_workers, backend=backend, batch_views=batch_views)
    how: dict[str, Any] = {"protocol": protocol, "optimize": optimize}
    how |= {"top": top} if window is None else {"window": SlidingWindow(window, step)}
    answers = (predictions if window is None else timelines)(checkpoint, paths, compute, reading, **how)
    output = AnswerOutput(paths, form, answer_file, pictures=strip or plot)
    with progress_bar(len(paths), "Predicting", shown=not form) as advance:
        for answer in answers:
            advance()
            output.add(answer)
    output.finish()


def _check_combination(
    both_forms: bool, *, window: float | None, step: float | None, strip: Path | None, plot: Path | None
) -> None:
    if both_forms:
        raise UserError("--json and --csv exclude each other; give one of them.")
    if window is None and (step is not None or plot is not None):
        raise UserError("--step and --plot belong to a timeline; add --window SECONDS.")
    if window is not None and strip is not None:
        raise UserError("--strip shows the answer for a whole video; with --window use --plot.")
