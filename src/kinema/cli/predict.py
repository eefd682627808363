"""``kinema predict``: name the action in video files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from kinema.cli.answers import AnswerFile, picture_names, print_answer
from kinema.cli.argument_kinds import check_trained
from kinema.cli.waiting import loading
from kinema.compute.progress import progress_bar
from kinema.errors import UserError, VideoError
from kinema.specs.compute import Compute
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.evaluation.predict import Prediction
    from kinema.evaluation.timeline import Timeline


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
    """
    check_trained(checkpoint, videos, verb="predict")
    _check_combination(json and csv, window=window, step=step, strip=strip, plot=plot)
    file = None if out is None else AnswerFile(out)
    with loading():
        from kinema.compute.process import Process
        from kinema.evaluation.predict import find_videos, predictions
        from kinema.evaluation.run import load_on

    paths = find_videos(videos)
    process = Process.alone(Compute(device=device, precision=precision))
    trained = load_on(checkpoint, process)
    options: dict[str, Any] = {"protocol": protocol, "backend": backend, "batch_views": batch_views}
    if window is None:
        answers = predictions(trained, paths, process, top=top, num_workers=num_workers, **options)
    else:
        options |= {"window_sec": window, "step_sec": step, "device": device, "precision": precision}
        answers = _timelines(trained, paths, options)
    form = "json" if json else "csv" if csv else "text" if file is None else ""
    with progress_bar(len(paths), "Predicting", shown=not form) as advance:
        bad = _hand_out(answers, paths, form, file, picture=strip or plot, advance=advance)
    _finish(file, paths, bad)


def _finish(file: AnswerFile | None, paths: Sequence[str], bad: Sequence[str]) -> None:
    """Write the file of answers, and end with an error where videos have none."""
    if file is not None:
        print(file.write(paths), file=sys.stderr)
    if bad:
        raise UserError(f"{len(bad)} of {counted(len(paths), 'video')} gave no answer: {', '.join(bad)}")


def _check_combination(
    both_forms: bool, *, window: float | None, step: float | None, strip: Path | None, plot: Path | None
) -> None:
    if both_forms:
        raise UserError("--json and --csv exclude each other; give one of them.")
    if window is None and (step is not None or plot is not None):
        raise UserError("--step and --plot belong to a timeline; add --window SECONDS.")
    if window is not None and strip is not None:
        raise UserError("--strip shows the answer for a whole video; with --window use --plot.")


def _timelines(trained: Any, paths: Iterable[str], options: dict[str, Any]) -> Iterator[Timeline | VideoError]:
    """Follow one video after the other; one that cannot be read gives its error."""
    from kinema.evaluation.timeline import timeline

    for path in paths:
        try:
            yield timeline(trained, path, **options)
        except VideoError as error:
            yield error


def _hand_out(
    answers: Iterable[Prediction | Timeline | VideoError],
    paths: Sequence[str],
    form: str,
    file: AnswerFile | None,
    *,
    picture: Path | None,
    advance: Callable[..., None],
) -> list[str]:
    """Print, collect and draw answers as they come; gives the paths of the videos that have none."""
    bad: list[str] = []
    names = picture_names(paths)
    num_printed = 0
    for answer in answers:
        advance()
        if file is not None and (len(paths) > 1 or not isinstance(answer, VideoError)):
            file.add(answer)
        if isinstance(answer, VideoError):
            if len(paths) == 1:
                raise answer
            print(f"error: {answer}", file=sys.stderr, flush=True)
            bad.append(answer.path)
            continue
        print_answer(answer, form, is_first=num_printed == 0)
        num_printed += 1
        if picture is not None:
            is_file = len(paths) == 1 and picture.suffix
            path = picture if is_file else picture / names[answer.path]
            print(f"picture: {_draw(answer, path)}", file=sys.stderr)
    return bad


def _draw(answer: Prediction | Timeline, path: Path) -> Path:
    from kinema.evaluation.predict import Prediction
    from kinema.report.answers import plot_strip, plot_timeline

    return plot_strip(answer, path) if isinstance(answer, Prediction) else plot_timeline(answer, path)
