"""The peak memory of a training step, for one clip more."""

from __future__ import annotations

import ctypes
import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch.nn import functional

from kinema import build_model
from kinema.models.action_model import TrainingScores
from kinema.models.names import ModelName

_FEW, _MANY = 1, 3
"""Clips of the two steps that are compared."""


def training_memory(name: str, *, frames: int, side: int, device: torch.device) -> float:
    """Bytes that one clip more adds to the peak of a forward and backward pass in fp32.

    On a GPU, of allocated memory; on a CPU (Linux), of the resident memory of a forked process.
    """
    few, many = (_peak(name, (batch, 3, frames, side, side), device) for batch in (_FEW, _MANY))
    return (many - few) / (_MANY - _FEW)


def _peak(name: str, shape: tuple[int, int, int, int, int], device: torch.device) -> int:
    if device.type == "cuda":
        return _peak_on_gpu(name, shape, device)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_peak_on_cpu, args=(name, shape, sender))
    child.start()
    sender.close()
    peak = receiver.recv()
    child.join()
    return peak


def _peak_on_cpu(name: str, shape: tuple[int, int, int, int, int], sender: Connection) -> None:
    step = _Step(name, shape, torch.device("cpu"))
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    step.run()
    status = Path("/proc/self/status").read_text().splitlines()
    sender.send(next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")))


def _peak_on_gpu(name: str, shape: tuple[int, int, int, int, int], device: torch.device) -> int:
    step = _Step(name, shape, device)
    torch.cuda.reset_peak_memory_stats(device)
    step.run()
    return torch.cuda.max_memory_allocated(device)


class _Step:
    def __init__(self, name: str, shape: tuple[int, int, int, int, int], device: torch.device) -> None:
        options = ModelName.parse(name).needed_options(frames=shape[2])
        self.model = build_model(name, num_classes=400, options=options).to(device).train()
        self.clip = torch.randn(shape, device=device)
        self.labels = torch.zeros(shape[0], dtype=torch.int64, device=device)

    def run(self) -> None:
        with torch.enable_grad():
            answer = TrainingScores.of(self.model(self.clip))
            functional.cross_entropy(answer.logits, self.labels).backward()
