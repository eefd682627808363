"""What gathering the inputs of the fully connected layers saves beside exchanging their gradients.

    python benchmarks/fc_gather.py [--model tsn-vgg16 --size 224 --batches 8 16 --devices 2 --steps 2 --rounds 1]

Both ways run in turn, each time in fresh processes, so that neither inherits the other's memory. Bytes are those that a
process sends in one step: by the formula for a ring, and, on Linux without an accelerator, as the system counted them
at the sockets. Seconds are of computing on a CPU, where other programs may run meanwhile, and wall-clock on a GPU.
"""

import ctypes
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import torch
import tyro
from torch.nn import functional

from kinema import build_model
from kinema.compute.engine import Engine
from kinema.compute.launch import launch
from kinema.models.action_model import ActionModel
from kinema.models.fully_connected import FullyConnectedHead
from kinema.specs.compute import Compute
from kinema.training.fc_gather import GatheringEngine

CLASSES = 101


class Cost(NamedTuple):
    """What one step costs a process.

    Attributes:
        sent: Bytes that the formula says it sends.
        counted: Bytes that the system counted; 0 where it cannot.
        peak: Most bytes of memory in use.
        seconds: Of computing (CPU) or wall-clock (GPU).
    """

    sent: int
    counted: int
    peak: int
    seconds: float


def measure(engine: Engine, name: str, size: int, batch: int, steps: int) -> Cost:
    """Train on random clips of one frame; the first step warms up."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build_model(name, num_classes=CLASSES)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    network = engine.prepare(model, compile=False)
    own = len(torch.arange(batch).tensor_split(engine.world)[engine.rank])
    clips = torch.randn(own, 3, 1, size, size, device=engine.device)
    labels = torch.randint(CLASSES, (own,), device=engine.device)
    ctypes.CDLL(None).malloc_trim(0)
    clock = time.perf_counter if engine.device.type == "cuda" else time.process_time
    seconds, counted = [], []
    for step in range(steps + 1):
        if step == 1:
            reset_peak(engine.device)
        engine.gather(None)  # all begin together
        sent, start = bytes_written(), clock()
        loss = functional.cross_entropy(network(clips), labels, reduction="sum")
        engine.backward(loss * engine.world / batch)
        engine.step(optimizer)
        optimizer.zero_grad()
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(clock() - start)
        counted.append(bytes_written() - sent)
    mine = Cost(
        bytes_to_send(model, engine, batch), min(counted[1:]), peak(engine.device), statistics.median(seconds[1:])
    )
    return Cost(*(max(values) for values in zip(*engine.gather(tuple(mine)), strict=True)))


def bytes_to_send(model: ActionModel, engine: Engine, batch: int) -> int:
    """Bytes of fp32 that a process sends in a step: 2 (w - 1) / w of what is summed, (w - 1) times what is gathered."""
    head, others = model.head, engine.world - 1
    assert isinstance(head, FullyConnectedHead)
    summed = sum(parameter.numel() for parameter in model.parameters())
    rows = -(-batch // engine.world)
    gathered = 0
    if engine.gathers:
        summed -= sum(parameter.numel() for parameter in head.parameters())
        gathered = rows * (model.num_features * head.map_size**2 + CLASSES)
    return 4 * (2 * others * summed // engine.world + others * gathered)


def bytes_written() -> int:
    """Bytes that this process has handed to the system so far, sockets included."""
    counts = Path("/proc/self/io")
    return int(counts.read_text().split("wchar: ")[1].split()[0]) if counts.is_file() else 0


def reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5")


def peak(device: torch.device) -> int:
    """Most bytes since ``reset_peak``: allocated on a GPU, resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def main(
    model: str = "tsn-vgg16",
    size: int = 224,
    batches: tuple[int, ...] = (8, 16),
    devices: int = 2,
    steps: int = 2,
    rounds: int = 1,
    device: str = "cpu",
) -> None:
    """Print a row for every batch and way.

    Args:
        model: Model name.
        size: Height and width of a frame.
        batches: Clips of a step over all processes.
        devices: Processes.
        steps: Steps of a round that are timed.
        rounds: How often both ways are run; medians are shown.
        device: cpu or cuda.
    """
    for batch in batches:
        costs: dict[bool, list[Cost]] = {False: [], True: []}
        for _ in range(rounds):
            for gathers, own in costs.items():
                kind = GatheringEngine if gathers else Engine
                own.append(launch(kind, Compute(devices=devices, device=device), measure, model, size, batch, steps))
        plain, gathered = (Cost(*map(statistics.median, zip(*own, strict=True))) for own in costs.values())
        for way, cost in (("exchanged", plain), ("gathered", gathered)):
            print(
                f"batch {batch}, {way}: {cost.sent / 1e6:.1f} MB sent by the formula, {cost.counted / 1e6:.1f} MB "
                f"counted, peak {cost.peak / 1e9:.2f} GB, {cost.seconds:.2f} s a step"
            )
        ratios = (f"{before / max(after, 1e-9):.2f}" for before, after in zip(plain, gathered, strict=True))
        print("  exchanged / gathered: {} {} of bytes, {} of memory, {} of seconds".format(*ratios), flush=True)


if __name__ == "__main__":
    tyro.cli(main)
