"""TV-L1 in torch against OpenCV's, Farneback and DIS on one core, and on a GPU where there is one; how flows differ.

    python benchmarks/flow.py [--data DIR] [--size 340 256] [--pairs 8] [--rounds 3] [--gpu-pairs 64]

All compute the same pairs with their default parameters, in turn and in one process with one thread. Times are
processor seconds (wall seconds on the GPU), medians over the rounds. Without ``--data`` the pairs are noise of several
scales, shifted and turned; with it, frames 20 and 21 of videos spread over the folder.
"""

import argparse
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from kinema.errors import VideoError
from kinema.flow.methods import FlowMethod, find_method
from kinema.video.open import open_video

VIDEO_SUFFIXES = {".mp4", ".avi", ".mkv", ".webm", ".mov"}


def made_pairs(count: int, width: int, height: int) -> torch.Tensor:
    """Axes ``2 n c h w``, uint8 grey."""
    rng = np.random.default_rng(0)
    coarse = [cv2.resize(rng.normal(0, 40, (side, side)), (width, height)) for side in (8, 24, 80)]
    first = np.clip(sum(coarse) + 128, 0, 255).astype(np.uint8)
    turns = [cv2.getRotationMatrix2D((width / 2, height / 2), 0.4 * k, 1.0) for k in range(count)]
    for k, matrix in enumerate(turns):
        matrix[:, 2] += k % 5, -(k % 3)
    second = [cv2.warpAffine(first, matrix, (width, height), borderMode=cv2.BORDER_REFLECT) for matrix in turns]
    return torch.from_numpy(np.stack([np.stack([first] * count), np.stack(second)]))[:, :, None]


def real_pairs(folder: Path, count: int, width: int, height: int) -> torch.Tensor:
    """Axes ``2 n c h w``, uint8 RGB."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in VIDEO_SUFFIXES]
    pairs = []
    for path in files[:: max(1, len(files) // count)]:
        try:
            with open_video(path, size=(height, width)) as video:
                pairs.append(video.frames_at([20, 21]).pixels)
        except VideoError as error:
            print(f"left out: {error}")
    return torch.from_numpy(np.stack(pairs[:count], 1)).permute(0, 1, 4, 2, 3)


def turn_about(pairs: torch.Tensor, rounds: int) -> None:
    """Print seconds per pair, their ratio and the differences of the flow."""
    methods = {
        "torch": find_method("tvl1"),
        "opencv": find_method("tvl1", "opencv"),
        "farneback": find_method("farneback"),
        "dis": find_method("dis"),
    }
    methods["torch"].compute(pairs[0, :1], pairs[1, :1])
    spent: dict[str, list[list[float]]] = {name: [[] for _ in pairs[0]] for name in methods}
    flows: dict[str, list[torch.Tensor]] = {name: [] for name in methods}
    for number in range(rounds):
        for place in range(pairs.shape[1]):
            for name, method in methods.items():
                start = time.process_time()
                flow = method.compute(pairs[0, place : place + 1], pairs[1, place : place + 1])
                spent[name][place].append(time.process_time() - start)
                if number == 0:
                    flows[name].append(flow)
    seconds = {name: [statistics.median(times) for times in rows] for name, rows in spent.items()}
    ratios = [theirs / ours for ours, theirs in zip(seconds["torch"], seconds["opencv"], strict=True)]
    for name, values in seconds.items():
        print(f"{name:9} {statistics.mean(values):.3f} s/pair and core, {1 / statistics.mean(values):.2f} pairs/s")
    total = sum(seconds["opencv"]) / sum(seconds["torch"])
    print(f"OpenCV's time / ours: {total:.2f} over all, by pair {min(ratios):.2f} to {max(ratios):.2f}")
    show_difference("ours from OpenCV's TV-L1", torch.cat(flows["torch"]), torch.cat(flows["opencv"]))
    for name in ("farneback", "dis"):
        show_difference(f"{name} from our TV-L1", torch.cat(flows[name]), torch.cat(flows["torch"]))


def show_difference(label: str, flow: torch.Tensor, reference: torch.Tensor) -> None:
    """Print the end-point difference of flows ``n 2 h w`` where the reference is under 20 px."""
    apart = (flow - reference).norm(dim=1)
    below = reference.norm(dim=1) < 20
    means = [float(one[keep].mean()) for one, keep in zip(apart, below, strict=True)]
    marks = ", ".join(f"{q} % {np.percentile(apart[below].numpy(), q):.3f}" for q in (50, 90, 95, 99))
    share = float((apart[below] > 1).float().mean())
    mean, worst = float(apart[below].mean()), max(means)
    print(f"{label}, difference in px, flow under 20 px: mean {mean:.4f}, worst pair {worst:.4f}")
    print(f"  quantiles {marks}; over 1 px {100 * share:.2f} %")


def on_gpu(method: FlowMethod, pairs: torch.Tensor, count: int, rounds: int) -> None:
    """Print pairs per second and memory on the GPU."""
    repeats = -(-count // pairs.shape[1])
    first, second = (part.repeat(repeats, 1, 1, 1)[:count].cuda() for part in pairs)
    method.compute(first, second, device="cuda")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        method.compute(first, second, device="cuda")
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    memory = torch.cuda.max_memory_allocated() / count / 2**20
    print(f"{torch.cuda.get_device_name()}: {count / statistics.median(times):.0f} pairs/s, {memory:.0f} MiB a pair")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of videos")
    parser.add_argument("--size", type=int, nargs=2, default=(340, 256), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpu-pairs", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    width, height = options.size
    if options.data:
        pairs = real_pairs(options.data, options.pairs, width, height)
    else:
        pairs = made_pairs(options.pairs, width, height)
    print(f"{pairs.shape[1]} pairs of {width}x{height} px, torch {torch.__version__}, OpenCV {cv2.__version__}")
    turn_about(pairs, options.rounds)
    if torch.cuda.is_available():
        on_gpu(find_method("tvl1"), pairs, options.gpu_pairs, options.rounds)
    else:
        print("no CUDA device here")


if __name__ == "__main__":
    main()
