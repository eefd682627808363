"""What the training loop costs over the bare step, and what bf16 gains.

    python benchmarks/training.py [--model tsm-resnet18 --frames 8 --size 112 --batch 8 --steps 12]

The bare step is forward, cross-entropy, backward and optimiser on clips that lie ready on the device; the loop adds
the move to the device, normalisation, the schedule, gradient clipping, sums, display and the look for a stop.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import tyro
from torch.nn import functional

from kinema.data.loader import Batch, to_clip
from kinema.data.synthetic import make_reversible_shapes
from kinema.training.assemble import assemble
from kinema.training.display import Display
from kinema.training.engine import Engine, Hardware, launch
from kinema.training.loop import train_epoch
from kinema.training.recipe import Recipe
from kinema.training.state import Run


def measure(engine: Engine, recipe: Recipe, steps: int) -> tuple[float, float]:
    """Seconds of a step, bare and in the loop, each the fastest of three rounds; on a CPU, seconds of computing."""
    side, frames, batch = recipe.data.crop_size, recipe.data.frames, recipe.train.batch_size
    with tempfile.TemporaryDirectory() as folder:
        videos = make_reversible_shapes(Path(folder) / "videos", num_videos=80, size=32, num_frames=2).select("train")
        display = Display(Path(folder), main=True, quiet=True)
        run = assemble(engine, recipe, folder=Path(folder), training=videos, validation=None, display=display)
    run.steps_per_epoch = steps + 1  # only the last step may be short, and it is left out
    pixels = torch.randint(256, (batch, frames, side, side, 3), dtype=torch.uint8).permute(0, 4, 1, 2, 3)
    labels = torch.arange(batch) % len(videos.classes)
    clock = time.perf_counter if engine.device.type == "cuda" else time.process_time  # not what others compute here
    bare, loop = [], []
    for _ in range(4):  # in turn, so that a slow minute of the machine hits both
        start = clock()
        bare_steps(run, pixels, labels, steps)
        middle = clock()
        loop_steps(run, Batch(pixels, labels, labels), steps)
        bare.append((middle - start) / steps)
        loop.append((clock() - middle) / steps)
    return min(bare[1:]), min(loop[1:])  # the first warms up


def bare_steps(run: Run, pixels: torch.Tensor, labels: torch.Tensor, steps: int) -> None:
    clips, labels = to_clip(pixels, run.preprocessing, run.engine.device), labels.to(run.engine.device)
    run.model.train()
    for _ in range(steps):
        run.engine.backward(functional.cross_entropy(run.network(clips), labels))
        run.optimizer.step()
        run.optimizer.zero_grad()
    synchronise(run.engine.device)


def loop_steps(run: Run, batch: Batch, steps: int) -> None:
    run.position.epoch, run.position.step_in_epoch, run.position.sums = 0, 0, [0.0, 0.0, 0.0]

    def batches() -> Iterator[Batch]:
        for _ in range(steps - 1):
            yield batch
        run.stop.signal = 15  # ends the loop after the step that follows
        yield batch

    train_epoch(run, batches())
    run.stop.signal = 0
    synchronise(run.engine.device)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main(model: str = "tsm-resnet18", frames: int = 8, size: int = 112, batch: int = 8, steps: int = 12) -> None:
    """Print one line per precision.

    Args:
        model: Model name.
        frames: Frames of a clip.
        size: Height and width of a clip.
        batch: Clips of a step.
        steps: Steps of a round.
    """
    for precision in ("fp32", "bf16"):
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
        bare, loop = launch(Hardware(precision=precision), measure, recipe, steps)
        over = 100 * (loop / bare - 1)
        print(f"{precision}: bare {1000 * bare:.1f} ms, loop {1000 * loop:.1f} ms a step ({over:+.1f} %)")


if __name__ == "__main__":
    tyro.cli(main)
