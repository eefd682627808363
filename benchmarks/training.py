"""What the training loop costs over the bare step, and what bf16 gains.

    OMP_NUM_THREADS=1 python benchmarks/training.py [--models tsn-resnettiny tsn-resnet18] [--precisions fp32 bf16]

The bare step is forward, cross-entropy, backward and optimiser on clips that lie ready and normalised on the device.
The loop adds the move to the device, normalisation, the schedule, gradient clipping, sums, display and the look for a
stop; its batches are ready, so decoding does not count. Both train the same network in one process and take turns; on
a CPU, seconds are those of computing. Printed are medians over the rounds, the ratio being that of a round. On a
terminal the progress bar is drawn and counts. A busy machine blurs such ratios by more than the loop costs, so its two
largest parts, normalising and clipping, are also measured alone (the fastest of 30).
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
import tyro
from torch.nn import functional

from kinema.compute.engine import Engine
from kinema.compute.launch import launch
from kinema.data.loader import Batch, to_clip
from kinema.data.network_input import network_input
from kinema.demo.synthetic import make_reversible_shapes
from kinema.specs.compute import Compute
from kinema.specs.recipe import Recipe
from kinema.training.assemble import assemble
from kinema.training.display import Display
from kinema.training.loop import train_epoch
from kinema.training.parameters import build_optimizer, training_mode
from kinema.training.state import Run


def measure(engine: Engine, recipe: Recipe, steps: int, rounds: int) -> tuple[list[tuple[float, float]], float]:
    """Seconds of a step of each round, bare and in the loop, and of the loop's largest parts alone."""
    side, frames, batch = recipe.data.crop_size, recipe.data.frames, recipe.train.batch_size
    with tempfile.TemporaryDirectory() as folder:
        videos = make_reversible_shapes(Path(folder) / "videos", num_videos=80, size=32, num_frames=2).select("train")
        display = Display(Path(folder), main=True)
        run = assemble(engine, recipe, folder=Path(folder), training=videos, validation=None, display=display)
        run.steps_per_epoch = steps + 2  # no step is the last, which may be short
        pixels = torch.randint(256, (batch, frames, side, side, 3), dtype=torch.uint8).permute(0, 4, 1, 2, 3)
        labels = torch.arange(batch) % len(videos.classes)
        optimizer = build_optimizer(run.model, recipe.optim)
        ready = to_clip(pixels, run.task.preprocessing, engine.device), labels.to(engine.device)
        clock = time.perf_counter if engine.device.type == "cuda" else time.process_time  # not what others compute here
        times = []
        with display.running(
            recipe, run.position, steps_per_epoch=run.steps_per_epoch, score_names=run.task.train_scores
        ):
            for number in range(rounds + 1):
                seconds = {}
                for kind in ("bare", "loop") if number % 2 else ("loop", "bare"):
                    start = clock()
                    if kind == "bare":
                        bare_steps(run, optimizer, *ready, steps=steps)
                    else:
                        loop_steps(run, Batch(pixels, labels, labels), steps=steps)
                    seconds[kind] = (clock() - start) / steps
                times.append((seconds["bare"], seconds["loop"]))
        own = fastest(lambda: network_input(pixels, run.task.preprocessing, engine.device), engine.device, clock)
        for parameter in run.model.parameters():
            parameter.grad = torch.ones_like(parameter)
        own += fastest(lambda: engine.clip_gradients(run.optimizer, 5.0), engine.device, clock)
    return times[1:], own  # the first warms up


def fastest(part: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    times = []
    for _ in range(30):
        start = clock()
        part()
        synchronise(device)
        times.append(clock() - start)
    return min(times)


def bare_steps(
    run: Run, optimizer: torch.optim.Optimizer, clips: torch.Tensor, labels: torch.Tensor, *, steps: int
) -> None:
    training_mode(run.model, run.recipe)
    for _ in range(steps):
        with run.engine.autocast():
            loss = functional.cross_entropy(run.model(clips), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    synchronise(run.engine.device)


class RoundOverError(Exception):
    """Ends a round from inside the loop; a stop or the end of an epoch would check the weights, which is rare."""


def loop_steps(run: Run, batch: Batch, *, steps: int) -> None:
    run.position.epoch, run.position.step_in_epoch, run.position.sums = 0, 0, [0.0, 0.0, 0.0]

    def batches() -> Iterator[Batch]:
        yield from [batch] * steps
        raise RoundOverError

    with suppress(RoundOverError):
        train_epoch(run, batches())
    synchronise(run.engine.device)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main(
    models: tuple[str, ...] = ("tsn-resnettiny", "tsn-resnet18"),
    precisions: tuple[str, ...] = ("fp32",),
    frames: int = 8,
    size: int = 112,
    batch: int = 8,
    steps: int = 2,
    rounds: int = 15,
) -> None:
    """Print one line per model and precision.

    Args:
        models: Model names.
        precisions: fp32, bf16 or fp16.
        frames: Frames of a clip.
        size: Height and width of a clip.
        batch: Clips of a step.
        steps: Steps of a round.
        rounds: Rounds, after one that warms up.
    """
    for model in models:
        for precision in precisions:
            recipe = Recipe(name="benchmark", model=model).with_fields(
                {
                    "data.frames": frames,
                    "data.crop_size": size,
                    "data.short_side": [size, size],
                    "train.batch_size": batch,
                    "train.precision": precision,
                    "optim.clip_norm": 5.0,
                }
            )
            times, own = launch(Engine, Compute(precision=precision), measure, recipe, steps, rounds)
            bare, loop = (1000 * statistics.median(column) for column in zip(*times, strict=True))
            ratios = sorted(loop / bare for bare, loop in times)
            least = [1000 * min(column) for column in zip(*times, strict=True)]
            low, middle, high = (100 * (ratios[round(share * (rounds - 1))] - 1) for share in (0.25, 0.5, 0.75))
            print(
                f"{model} {precision}: bare {bare:.1f} ms, loop {loop:.1f} ms a step of {batch} clips; the loop costs "
                f"{middle:+.1f} % (quartiles {low:+.1f} and {high:+.1f} %), between the fastest rounds {least[0]:.1f} "
                f"and {least[1]:.1f} ms {100 * (least[1] / least[0] - 1):+.1f} %; its parts alone {1000 * own:.1f} ms "
                f"({100_000 * own / least[0]:.1f} % of the fastest bare step)"
            )


if __name__ == "__main__":
    tyro.cli(main)
