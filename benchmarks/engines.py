"""How fast our networks run beside ONNX Runtime, OpenVINO and torch.compile, on one thread of a CPU.

    OMP_NUM_THREADS=1 python benchmarks/engines.py [NETWORK ...] [--batch 1] [--rounds 15] [--store FOLDER]

Needs the dependency group ``engines`` (``uv sync --group engines``). Every engine is given the same network as built
(ONNX Runtime and OpenVINO by way of ``torch.onnx.export``), is held to its answers before it is timed, and has one
thread; freed memory is kept, as the commands keep it. In each round everything takes turns; figures are medians of the
processor time, ratios medians of the ratios of a round. ``--store`` keeps the exported files, whose writing takes
minutes, for the next run. The instruction set can be limited for torch and OpenVINO, not for ONNX Runtime:
``ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import torch
from models import TORCHVISION, alternate, header, ms, print_row, ratio, twins
from torch import Tensor, nn

from kinema import build_model
from kinema.compute.allocation import keep_freed_memory
from kinema.models.optimize import optimize_for_inference

NETWORKS = {
    **{name: TORCHVISION[name] for name in ("r3d_18", "r2plus1d_18", "s3d")},
    **dict.fromkeys(("tsm-resnet50", "tam-resnet50", "i3d-resnet50", "i3d-mfnet"), (8, 224)),
    **dict.fromkeys(("s3dg-inceptioni3d", "tsn-efficientnetlite0"), (8, 224)),
}
"""The networks with the frames and side of their clips."""

ENGINES = ("onnxruntime", "openvino", "compiled")
TOLERANCE = 1e-3
"""How far an engine's answers may be off, of the largest score."""


def needed(name: str) -> ModuleType:
    """A module of the dependency group ``engines``."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SystemExit(f"{name} is not installed; uv sync --group engines installs it ({error})") from error


def network(name: str, clip: Tensor) -> nn.Module:
    """A network with random weights and norms that fit what they are given, as those of a trained network do."""
    torch.manual_seed(0)
    model = twins(name)[1] if name in TORCHVISION else build_model(name, num_classes=400)
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    model.train()(torch.randn(2, *clip.shape[1:]))
    return model.eval()


def onnx_file(model: nn.Module, clip: Tensor, path: Path) -> Path:
    """The network for clips of this shape; written where it is not there yet."""
    if not path.exists():
        needed("onnxscript")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(model, (clip,), dynamo=True, verbose=False)
        assert program is not None
        program.save(path)
    return path


def in_onnxruntime(path: Path, model: nn.Module, clip: Tensor) -> Callable[[Tensor], Tensor]:
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(onnx_file(model, clip, path), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda clip: torch.from_numpy(session.run(None, {given.name: clip.numpy()})[0])


def in_openvino(path: Path, model: nn.Module, clip: Tensor) -> Callable[[Tensor], Tensor]:
    openvino = needed("openvino")
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(onnx_file(model, clip, path), "CPU", settings)
    return lambda clip: torch.from_numpy(compiled([clip.numpy()])[0])


def in_compiled(path: Path, model: nn.Module, clip: Tensor) -> Callable[[Tensor], Tensor]:
    return torch.compile(model, options={"freezing": True}, dynamic=False)


MAKERS = {"onnxruntime": in_onnxruntime, "openvino": in_openvino, "compiled": in_compiled}


def compare(name: str, store: Path, options: argparse.Namespace) -> float:
    """Print a row; how many times faster ours is than the best engine."""
    frames, side = NETWORKS[name]
    clip = torch.randn(options.batch, 3, frames, side, side)
    model = network(name, clip)
    expected = model(clip)
    path = store / f"{name}-{'x'.join(str(size) for size in clip.shape)}.onnx"
    runs: dict[str, Callable[[Tensor], Tensor]] = {"eager": model}
    runs["ours"] = optimize_for_inference(model, clip=clip)
    if options.compile:
        runs["ours compiled"] = optimize_for_inference(model, clip=clip, try_compile=True)
    for engine in options.engines:
        runs[engine] = MAKERS[engine](path, model, clip)
    for run, answer in runs.items():
        off = ((answer(clip) - expected).abs().max() / expected.abs().max()).item()
        if not off < TOLERANCE:
            raise SystemExit(f"{run} answers {name} differently: off by {off:.1g} of the largest score")
    spent = alternate(runs, clip, options.rounds)
    best = min(options.engines, key=lambda engine: statistics.median(spent[engine]))
    ratios = {engine: ratio(spent, engine, "ours") for engine in options.engines}
    cells = [ms(spent[run]) for run in runs] + [f"{ratios[engine]:.2f}" for engine in options.engines]
    if options.compile:
        cells.append(f"{ratio(spent, best, 'ours compiled'):.2f}")
    print_row(f"`{name}`", str(options.batch), f"{frames} x {side} x {side}", *cells, f"{ratios[best]:.2f}")
    return ratios[best]


def versions(engines: Sequence[str]) -> str:
    """What was measured, and the instruction set that torch has found or was limited to."""
    found = [f"torch {torch.__version__} on {torch.backends.cpu.get_cpu_capability()}"]
    found += [f"{name} {needed(name).__version__}" for name in engines if name != "compiled"]
    limits = (
        f"{name}={os.environ[name]}" for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA") if name in os.environ
    )
    return ", ".join([*found, *limits, f"{torch.get_num_threads()} thread(s)"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=ENGINES)
    parser.add_argument("--batch", type=int, default=1, help="clips at a time")
    parser.add_argument("--rounds", type=int, default=15, help="pairs per row")
    parser.add_argument("--compile", action="store_true", help="a row's last ratios: our copy compiled where that pays")
    parser.add_argument("--store", type=Path, help="folder that keeps the exported files")
    options = parser.parse_args()
    if torch.get_num_threads() != 1:
        raise SystemExit("every engine has one thread here; set OMP_NUM_THREADS=1")
    keep_freed_memory()  # as predict and evaluate do, and as the other engines do by themselves
    print(f"{versions(options.engines)}, {options.rounds} rounds")
    runs = ["eager", "ours", *(["ours compiled"] if options.compile else []), *options.engines]
    over = [f"ours over {engine}" for engine in options.engines]
    last = (["ours compiled over the best"] if options.compile else []) + ["ours over the best"]
    header("network", "batch", "clip", *(f"{run}, ms" for run in runs), *over, *last)
    ratios: list[float] = []
    with torch.no_grad(), tempfile.TemporaryDirectory() as temporary:
        store = options.store or Path(temporary)
        store.mkdir(parents=True, exist_ok=True)
        for name in options.networks or NETWORKS:
            ratios.append(compare(name, store, options))
            torch.compiler.reset()
    print(f"\ngeometric mean over the best engine: {statistics.geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
