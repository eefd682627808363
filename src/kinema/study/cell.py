"""One cell of a study: train it, or go on, test it, and write what it reached. Runs in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.errors import UserError, VideoError
from kinema.files import write_text
from kinema.specs.compute import Compute
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import protocol as find_protocol
from kinema.study.folder import FAILURE, RESULT, StudyFolder
from kinema.study.grid import Cell

if TYPE_CHECKING:
    from kinema.models.action_model import ActionModel

STOPPED = 130
"""Exit status of a cell that was stopped and saved."""
FAILED = 3
"""Exit status of a cell that cannot be finished; ``failed.json`` says why."""


def do_cell(folder: StudyFolder, cell: Cell, *, compute: Compute, num_workers: int | None, quiet: bool = True) -> None:
    """Train a cell from where it stands, test it under every protocol, and write ``cell.json``.

    Raises:
        UserError: It cannot be trained or tested.
        TrainingStopped: After SIGTERM or Ctrl-C, when the state is saved.
    """
    from kinema.evaluation.run import evaluate
    from kinema.training.directory import LAST
    from kinema.training.resuming import where_it_stands
    from kinema.training.run import train
    from kinema.weights.trained import load

    path = folder.cell_path(cell)
    if (path / RESULT).exists():
        return
    (path / FAILURE).unlink(missing_ok=True)
    shared: dict[str, Any] = {"device": compute.device, "num_workers": num_workers, "quiet": quiet}
    if not (path / LAST).is_file():
        shutil.rmtree(path, ignore_errors=True)  # it was stopped before anything was worth saving
        start = (folder.path / cell.after).resolve() if cell.after else None
        train(data=folder.manifest_path(cell.dataset), recipe=cell.recipe, weights=start, out=path, **shared)
    elif not where_it_stands(path).is_finished:
        train(resume=path, **shared)
    training_peak = _peak_bytes()
    trained = load(path)
    scores: dict[str, dict[str, Any]] = {}
    for protocol in folder.protocols:
        began = time.monotonic()
        table = evaluate(
            trained,
            folder.manifest_path(cell.dataset),
            protocol=protocol,
            device=compute.device,
            precision=compute.precision,
            num_workers=cell.recipe.data.num_workers if num_workers is None else num_workers,
        )
        table.save(folder.scores_path(cell, protocol))
        scores[protocol] = {
            **_accuracies(table),
            "test_minutes": (time.monotonic() - began) / 60,
            "protocol_sha256": _protocol_digest(protocol, trained.preprocessing),
        }
    write_text(path / RESULT, json.dumps(_result(folder, cell, trained.model, scores, training_peak), indent=1) + "\n")


def _accuracies(table: Any) -> dict[str, float]:
    """Accuracies in percent, under the names that a study's table gives them."""
    from kinema.evaluation.summary import summary

    names = {"clip_top1": "clip_top1", "clip_top5": "clip_top5", "top1": "video_top1", "top5": "video_top5"}
    names["mean_class"] = "mean_class_accuracy"
    values = summary(table)
    return {name: 100 * values[key] for key, name in names.items() if key in values} | {
        "videos": float(values["num_labelled"])
    }


def _result(
    folder: StudyFolder, cell: Cell, model: ActionModel, scores: dict[str, dict[str, Any]], peak: int
) -> dict[str, Any]:
    from kinema.data.manifest import Manifest
    from kinema.models.cost import cost
    from kinema.training.directory import read_metrics
    from kinema.training.status import read_status

    path, recipe = folder.cell_path(cell), cell.recipe
    manifest = Manifest.read(folder.manifest_path(cell.dataset))
    counted = cost(model, frames=recipe.data.frames, size=recipe.data.crop_size)  # with the recipe's options
    rows = read_metrics(path)
    speeds = sorted(row["clips_per_sec"] for row in rows if row.get("clips_per_sec"))
    return {
        "parameters": counted.parameters,
        "macs": counted.macs,
        "clips_per_sec": speeds[len(speeds) // 2] if speeds else None,
        "peak_memory_mb": round(peak / 2**20, 1),
        "minutes": round(read_status(path).seconds / 60, 3),
        "epochs": len(rows),
        "recipe_sha256": recipe_digest(cell),
        "manifest_sha256": manifest.digest(),
        "scores": scores,
    }


def recipe_digest(cell: Cell) -> str:
    """SHA-256 of what decides a cell's training, without names and citations; equal on every machine and commit."""
    values = cell.recipe.to_dict()
    for name in ("name", "citation", "paper_scores"):
        values.pop(name)
    text = json.dumps({**values, "after": cell.after}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _protocol_digest(protocol: str, preprocessing: Preprocessing) -> str:
    """SHA-256 of what a protocol asks of this network: its frames, sizes, crops and average."""
    return hashlib.sha256(repr(find_protocol(protocol, preprocessing)).encode()).hexdigest()


def _peak_bytes() -> int:
    """Most memory of this process so far: on the GPU where it has used one, else resident."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(words: list[str]) -> int:
    """``python -m kinema.study.cell FOLDER CELL DEVICE NUM_WORKERS``: what ``run_study`` starts for each cell.

    Returns:
        The exit status: 0, ``STOPPED`` or ``FAILED``.
    """
    from kinema.training.status import write_status
    from kinema.training.stopping import TrainingStopped

    end_with_starter()
    root, name, device, num_workers = words
    folder = StudyFolder.read(root)
    cell = folder.cells[name]
    process = folder.process_path(cell)
    write_status(process, "running", seconds=0.0)
    try:
        do_cell(folder, cell, compute=Compute(device=device), num_workers=int(num_workers) if num_workers else None)
    except TrainingStopped:
        write_status(process, "stopped", seconds=0.0)
        return STOPPED
    except (UserError, VideoError) as error:
        note_failure(folder.cell_path(cell), str(error))
        write_status(process, "failed", str(error), seconds=0.0)
        print(error, file=sys.stderr)
        return FAILED
    write_status(process, "finished", seconds=0.0)
    return 0


def end_with_starter() -> None:
    """Ask this process to stop, as SIGTERM does, when the one that started it is gone: its end of stdin closes then."""

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # not through the buffer, whose lock would be held at the end
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def note_failure(path: Path, reason: str) -> None:
    """Write why a cell failed; the next run of the study tries it again."""
    path.mkdir(parents=True, exist_ok=True)
    write_text(path / FAILURE, json.dumps({"reason": reason}) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
