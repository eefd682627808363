"""Eager networks and training steps, beside torchvision's same network or beside another checkout of this project.

    OMP_NUM_THREADS=1 python benchmarks/steps.py [--kept] torchvision
    OMP_NUM_THREADS=1 python benchmarks/steps.py [--kept] checkout ../earlier [--only tsm-efficientnetlite0]

``torchvision`` trains both R(2+1)D-18 in one process, from the same weights. ``checkout`` runs each row in two
processes, this one's code and that of another folder with an environment of its own in ``.venv``; one computes while
the other waits. Both take turns, the first of a round changing. Seconds are those of computing, one thread; ratios are
medians over the rounds, with the least and the largest. A step is forward, cross-entropy and backward on 8 clips of
8 x 112 x 112. ``--kept`` keeps freed memory, as ``kinema train`` does; peaks are of resident memory and grow by it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from kinema import build_model
from kinema.compute.allocation import keep_freed_memory
from kinema.models.action_model import TrainingScores
from kinema.models.names import ModelName

TRAINING = (8, 8, 112)
"""Clips, frames, and height and width of a training step."""

EAGER = dict.fromkeys(("s3d2-inceptioni3d", "s3dg-inceptioni3d"), (1, 16, 224))
"""Networks whose answer to one clip is timed, with clips, frames, and height and width."""

STEPS = ("r2plus1d-vresnet18", "tsm-efficientnetlite0", "s3dg-inceptioni3d", "tam-resnet50", "i3d-mfnet")
"""Networks whose training step is timed."""


def step_of(model: nn.Module, shape: tuple[int, int, int], *, training: bool) -> Callable[[], None]:
    """One step on a random clip: an answer, or a whole training step but for the optimiser."""
    clips, frames, side = shape
    clip, labels = torch.randn(clips, 3, frames, side, side), torch.zeros(clips, dtype=torch.int64)
    model.train(training)

    def train() -> None:
        functional.cross_entropy(TrainingScores.of(model(clip)).logits, labels).backward()
        model.zero_grad()

    def answer() -> None:
        with torch.no_grad():
            model(clip)

    return train if training else answer


def seconds(step: Callable[[], None]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def in_turn(timers: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round but the first, which warms up."""
    spent: dict[str, list[float]] = {name: [] for name in timers}
    for number in range(rounds + 1):
        for name in list(timers)[:: 1 if number % 2 else -1]:
            second = timers[name]()
            if number:
                spent[name].append(second)
    return spent


def print_row(row: str, spent: Mapping[str, Sequence[float]], peaks: str = "") -> None:
    """Milliseconds of both and how many times faster the second is."""
    (_, slow), (_, fast) = spent.items()
    ratios = sorted(before / now for before, now in zip(slow, fast, strict=True))
    both = " | ".join(f"{1000 * statistics.median(times):.0f}" for times in (slow, fast))
    print(f"| {row} | {both} | {statistics.median(ratios):.2f} [{ratios[0]:.2f}-{ratios[-1]:.2f}] |{peaks}", flush=True)


def beside_torchvision(options: argparse.Namespace) -> None:
    """The training step of R(2+1)D-18."""
    from models import twins  # its other libraries are no concern of another checkout

    steps = [step_of(model, TRAINING, training=True) for model in twins("r2plus1d_18")]
    theirs, ours = (lambda step=step: seconds(step) for step in steps)
    print("| network | torchvision, ms | ours, ms | ratio |\n|---|---:|---:|---:|")
    print_row("r2plus1d_18, training step", in_turn({"theirs": theirs, "ours": ours}, options.rounds))


def beside_checkout(options: argparse.Namespace) -> None:
    """Every row here and in the other folder."""
    rows = [(name, False) for name in EAGER] + [(name, True) for name in STEPS]
    print("| network | before, ms | now, ms | ratio | peak before, MB | now, MB |\n|---|---:|---:|---:|---:|---:|")
    for name, training in rows:
        if options.only and name not in options.only:
            continue
        given = json.dumps([name, training, options.kept])
        pythons = {"before": options.folder / ".venv" / "bin" / "python", "now": Path(sys.executable)}
        workers = {
            label: subprocess.Popen(
                [python, __file__, "worker", given], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for label, python in pythons.items()
        }
        timers = {label: lambda worker=worker: float(ask(worker)) for label, worker in workers.items()}
        spent = in_turn(timers, options.rounds)
        peaks = " | ".join(ask(worker, "peak") for worker in workers.values())
        for worker in workers.values():
            worker.communicate()
        print_row(f"`{name}`, {'training step' if training else 'one clip'}", spent, f" {peaks} |")


def ask(worker: subprocess.Popen[str], question: str = "step") -> str:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(f"{question}\n")
    worker.stdin.flush()
    return worker.stdout.readline().strip()


def work(options: argparse.Namespace) -> None:
    """Answer each line that comes in: the seconds of a step, or the peak of resident memory in MB."""
    name, training, kept = json.loads(options.given)
    if kept:
        keep_freed_memory()
    shape = TRAINING if training else EAGER[name]
    needed = ModelName.parse(name).needed_options(frames=shape[1])
    step = step_of(build_model(name, num_classes=400, options=needed), shape, training=training)
    for question in sys.stdin:
        if question.strip() == "peak":
            status = Path("/proc/self/status").read_text().splitlines()
            print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:")), flush=True)
        else:
            print(seconds(step), flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="pairs per row")
    parser.add_argument("--kept", action="store_true", help="keep freed memory")
    tables = parser.add_subparsers(required=True, metavar="TABLE")
    tables.add_parser("torchvision").set_defaults(run=beside_torchvision)
    checkout = tables.add_parser("checkout")
    checkout.add_argument("folder", type=Path, help="the other checkout")
    checkout.add_argument("--only", nargs="*", help="networks")
    checkout.set_defaults(run=beside_checkout)
    worker = tables.add_parser("worker", help="answer on standard input; the table checkout starts these")
    worker.add_argument("given")
    worker.set_defaults(run=work)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if options.run is not work:
        print(
            f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, freed memory kept: {options.kept}\n"
        )
    if options.run is beside_torchvision and options.kept:
        keep_freed_memory()
    options.run(options)


if __name__ == "__main__":
    main()
