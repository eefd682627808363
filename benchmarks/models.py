"""How fast networks run and what a training step holds: ours, optimised, and torchvision's with the same weights.

    OMP_NUM_THREADS=1 python benchmarks/models.py TABLE ... [--rounds 15] [--device cuda]

Tables: ``torchvision``, ``temporal`` (tam beside i3d and tsn), ``mfnet``, ``families`` (with the peak memory of a
training step), ``forms`` (each way to compute a convolution) and ``cuda`` (precision and memory format).
In each row everything takes turns in one process; figures are medians of the rounds, ratios medians of the ratios of
a round, so that a slow minute of the machine hits both. On one thread of a CPU, seconds of computing are counted, not
those of waiting for a core. Random weights: the time does not depend on them.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
import torchvision
from memory import training_memory
from torch import Tensor, nn

from kinema import build_model
from kinema.compute.allocation import keep_freed_memory
from kinema.models.action_model import ActionModel
from kinema.models.conv_forms import conv_ways
from kinema.models.cost import cost
from kinema.models.layers import ClipConv3d, to_layout
from kinema.models.names import ModelName
from kinema.models.optimize import OptimizedModel, optimize_for_inference
from kinema.models.sites import ConvSpec
from kinema.models.timing import fastest, synchronise
from kinema.weights.importing import torchvision_models

TORCHVISION = {
    "r3d_18": (8, 112),
    "mc3_18": (8, 112),
    "r2plus1d_18": (8, 112),
    "s3d": (16, 224),
}
"""Torchvision's networks with the frames and side of their clips; its S3D takes none smaller."""

FAMILIES = {
    **dict.fromkeys((f"{module}-resnet50" for module in ("tsn", "tsm", "tam", "nl", "s3d", "i3d", "slow")), 8),
    "slowfast-resnet50": 32,
    **dict.fromkeys(("tam-blresnet50", "tsn-vresnet18", "mc3-vresnet18", "r3d-vresnet18", "r2plus1d-vresnet18"), 8),
    **dict.fromkeys(("r2plus1d-vresnet34", "i3d-inceptionv1", "i3d-inceptioni3d", "s3dg-inceptioni3d"), 8),
    **dict.fromkeys(("tsn-mfnet", "i3d-mfnet", "i3d-resnext26", "tam-mobilenetv2", "tam-efficientnetlite0"), 8),
    **dict.fromkeys(("tsn-googlenet", "tsn-vgg16", "tsn-clarifainet"), 8),
}
"""One network or more of each family, with the frames of its clips, 112 x 112."""

CONVOLUTIONS = {
    "3 x 7 x 7 stem of RGB, 112": (3, 64, 7, 3, 2, 1, 112),
    "3 x 3 x 3, 64 channels, 56": (64, 64, 3, 3, 1, 1, 56),
    "3 x 3 x 3, 256 channels, 14": (256, 256, 3, 3, 1, 1, 14),
    "1 x 3 x 3, 64 to 144, 56": (64, 144, 3, 1, 1, 1, 56),
    "1 x 3 x 3, 256 channels, 14": (256, 256, 3, 1, 1, 1, 14),
    "3 x 1 x 1, 144 to 64, 56": (144, 64, 1, 3, 1, 1, 56),
    "1 x 1 x 1, 256 to 64, 56": (256, 64, 1, 1, 1, 1, 56),
    "3 x 3 x 3, 96 channels, 16 groups, 56": (96, 96, 3, 3, 1, 16, 56),
    "3 x 3 x 3, 384 channels, 16 groups, 14": (384, 384, 3, 3, 1, 16, 14),
}
"""Channels in and out, kernel, its frames, stride, groups, side of the map."""


def alternate(models: Mapping[str, nn.Module], clip: Tensor, rounds: int) -> dict[str, list[float]]:
    """Seconds that each model takes for the clip in every round, taking turns, each round beginning with the next."""
    names, spent = list(models), {name: [] for name in models}
    alone = clip.device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter  # not what others compute here
    for number in range(-1, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            synchronise(clip.device)
            start = clock()
            models[name](clip)
            synchronise(clip.device)
            if number >= 0:  # the first round warms up
                spent[name].append(clock() - start)
    return spent


def ratio(spent: Mapping[str, Sequence[float]], base: str, name: str) -> float:
    """How many times faster ``name`` is than ``base``: the median over the rounds."""
    return statistics.median(slow / fast for slow, fast in zip(spent[base], spent[name], strict=True))


def header(*columns: str) -> None:
    """Begin a markdown table; its rows are printed as they come."""
    print(f"\n| {' | '.join(columns)} |\n|---{'|---:' * (len(columns) - 1)}|", flush=True)


def print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def ms(spent: Sequence[float]) -> str:
    return f"{1000 * statistics.median(spent):.0f}"


def twins(name: str) -> tuple[nn.Module, ActionModel]:
    """Torchvision's network and ours with its weights."""
    theirs = getattr(torchvision.models.video, name)(weights=None).eval()
    keys_of = torchvision_models.s3d_keys if name == "s3d" else torchvision_models.video_keys
    ours_name, options = torchvision_models.VIDEO_NETWORKS.get(name, ("s3d2-inceptioni3d", {}))
    ours = build_model(ours_name, num_classes=400, options=options).eval()
    source, own = theirs.state_dict(), ours.state_dict()
    keys = keys_of(ours)
    ours.load_state_dict({key: source[keys[key]].view(value.shape) for key, value in own.items()})
    return theirs, ours


def clips(batch: int, frames: int, side: int, options: argparse.Namespace) -> Tensor:
    return torch.randn(batch, 3, frames, side, side, device=options.device)


def optimised(model: ActionModel, clip: Tensor, options: argparse.Namespace) -> OptimizedModel:
    return optimize_for_inference(model, clip=clip, try_compile=options.compile)


def against_torchvision(options: argparse.Namespace) -> None:
    """Torchvision's four video networks, eager and optimised."""
    header("network", "batch", "clip", "torchvision, ms", "ours, ms", "ratio", "optimised, ms", "ratio")
    for batch in options.batches:
        for name in options.only or TORCHVISION:
            frames, side = TORCHVISION[name]
            theirs, ours = (net.to(options.device) for net in twins(name))
            clip = clips(batch, frames, side, options)
            fast = optimised(ours, clip, options)
            off = (fast(clip) - theirs(clip)).abs().max() / theirs(clip).abs().max()
            assert off < 1e-3, f"{name} answers differently: {off}"
            spent = alternate({"theirs": theirs, "ours": ours, "fast": fast}, clip, options.rounds)
            eager, best = (f"{ratio(spent, 'theirs', each):.2f}" for each in ("ours", "fast"))
            size = f"{frames} x {side} x {side}"
            print_row(name, str(batch), size, ms(spent["theirs"]), ms(spent["ours"]), eager, ms(spent["fast"]), best)


def beside_each_other(names: Sequence[str], frames: int, side: int, options: argparse.Namespace) -> None:
    """Several networks on the same clip; ratios are over the first."""
    clip = clips(1, frames, side, options)
    models: dict[str, nn.Module] = {}
    macs = {name: cost(name, frames=frames, size=side).macs for name in names}
    for name in names:
        models[name] = model = build_model(name, num_classes=400).to(options.device).eval()
        models[f"{name} optimised"] = optimised(model, clip, options)
    spent = alternate(models, clip, options.rounds)
    first = names[0]
    print(f"\nOne clip of {frames} x {side} x {side}; ratios are clips/s over those of {first} in the same form.")
    header("network", "multiply-adds", "their ratio", "eager, ms", "ratio", "optimised, ms", "ratio")
    for name in names:
        fast, base = f"{name} optimised", f"{first} optimised"
        print_row(
            f"`{name}`",
            f"{macs[name] / 1e9:.1f} G",
            f"{macs[first] / macs[name]:.2f}",
            ms(spent[name]),
            f"{ratio(spent, first, name):.2f}",
            ms(spent[fast]),
            f"{ratio(spent, base, fast):.2f}",
        )


def families(options: argparse.Namespace) -> None:
    """Each family: cost, time and what a training step holds."""
    header(
        "network", "frames", "parameters", "multiply-adds", "eager, ms", "optimised, ms", "ratio", "training, MB a clip"
    )
    for name, frames in FAMILIES.items():
        if options.only and name not in options.only:
            continue
        needed = ModelName.parse(name).needed_options(frames=frames)
        counted = cost(name, frames=frames, size=112)
        memory = training_memory(name, frames=frames, side=112, device=options.device)
        model = build_model(name, num_classes=400, options=needed).to(options.device).eval()
        clip = clips(1, frames, 112, options)
        fast = optimised(model, clip, options)
        spent = alternate({"eager": model, "fast": fast}, clip, options.rounds)
        print_row(
            f"`{name}`",
            str(frames),
            f"{counted.parameters / 1e6:.1f} M",
            f"{counted.macs / 1e9:.1f} G",
            ms(spent["eager"]),
            ms(spent["fast"]),
            f"{ratio(spent, 'eager', 'fast'):.2f}",
            f"{memory / 2**20:.0f}",
        )
        del model, fast
        gc.collect()


def forms(options: argparse.Namespace) -> None:
    """Each way to compute a convolution, on 8 frames."""
    header("convolution", "milliseconds, fastest first")
    kinds = (torch.float32, torch.bfloat16) if options.device.type == "cuda" else (torch.float32,)
    for kind in kinds:
        for said, (channels, out, kernel, kernel_time, stride, groups, side) in CONVOLUTIONS.items():
            spec = ConvSpec(
                in_channels=channels, out_channels=out, kernel=kernel, stride=stride, groups=groups, role="spatial"
            )
            conv = ClipConv3d(spec, kernel_time=kernel_time).to(options.device, kind)
            clip = to_layout(torch.randn(1, channels, 8, side, side, device=options.device, dtype=kind))
            seconds = fastest({form: make() for form, make in conv_ways(conv).items()}, clip)[1]
            times = sorted(seconds.items(), key=lambda item: item[1])
            print_row(f"{said}, {kind}", ", ".join(f"{form} {1000 * sec:.2f}" for form, sec in times))


def on_cuda(options: argparse.Namespace) -> None:
    """Precision and memory format on a GPU: torchvision in both formats, ours, and ours optimised; batch 8."""
    if options.device.type != "cuda":
        print("\nno GPU: the table cuda is left out (--device cuda)")
        return
    header("network", "precision", "contiguous, ms", "channels-last, ms", "ours, ms", "optimised, ms")
    for name, (_, (frames, side)) in TORCHVISION.items():
        for kind in (torch.float32, torch.bfloat16):
            theirs, ours = (net.to(options.device, kind) for net in twins(name))
            clip = clips(8, frames, side, options).to(kind)
            fast = optimised(ours, clip, options)
            spent = alternate({"contiguous": theirs, "ours": ours, "fast": fast}, clip, options.rounds)
            theirs.to(memory_format=torch.channels_last_3d)
            spent |= alternate({"last": theirs}, to_layout(clip), options.rounds)
            cells = (ms(spent[each]) for each in ("contiguous", "last", "ours", "fast"))
            print_row(name, str(kind).removeprefix("torch."), *cells)


TABLES: dict[str, Callable[[argparse.Namespace], None]] = {
    "torchvision": against_torchvision,
    "temporal": lambda options: beside_each_other(("i3d-resnet50", "tam-resnet50", "tsn-resnet50"), 8, 224, options),
    "mfnet": lambda options: beside_each_other(("r2plus1d-vresnet34", "i3d-mfnet"), 16, 112, options),
    "families": families,
    "forms": forms,
    "cuda": on_cuda,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; all by default")
    parser.add_argument("--rounds", type=int, default=15, help="pairs per row")
    parser.add_argument("--only", nargs="*", help="networks of the tables torchvision and families")
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 4], help="of the table torchvision")
    parser.add_argument("--compile", action="store_true", help="let the optimised copies be compiled too")
    parser.add_argument("--kept", action="store_true", help="keep freed memory, as the commands do")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.kept:
        keep_freed_memory()
    cpu = torch.backends.cpu.get_cpu_capability()
    threads = f"{torch.get_num_threads()} thread(s)"
    print(f"torch {torch.__version__} on {cpu}, {options.device}, {threads}, {options.rounds} rounds")
    with torch.no_grad():
        for name in options.tables or TABLES:
            TABLES[name](options)


if __name__ == "__main__":
    main()
