"""What a word on the command line stands for, so that arguments in the wrong places are recognised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from kinema.errors import UserError

Kind = Literal["run", "checkpoint", "weights", "model", "video", "data", "folder", ""]

_SHOWN = {
    "run": "a run",
    "checkpoint": "a checkpoint",
    "weights": "a set of published weights",
    "model": "a model",
    "video": "a video",
    "data": "a list of videos",
    "folder": "a folder",
}
_TRAINED = ("run", "checkpoint", "weights")
_VIDEOS = ("video", "data", "folder")


def kind_of(word: str) -> Kind:
    """Tell by its name, and by what lies there, what a word stands for; empty where that is anybody's guess."""
    from kinema.data.folder import VIDEO_SUFFIXES

    path, suffix = Path(word), Path(word).suffix.lower()
    if path.is_dir():
        return "run" if any((path / name).is_file() for name in ("best.ckpt", "last.ckpt")) else "folder"
    if suffix in (".ckpt", ".pth", ".pt", ".safetensors"):
        return "checkpoint"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    if suffix == ".csv":
        return "data"
    if path.exists():
        return ""
    model, _, tag = word.partition(".")
    return ("weights" if tag else "model") if _is_model(model) else ""


def _is_model(word: str) -> bool:
    from kinema.models.names import ModelName

    try:
        ModelName.parse(word)
    except UserError:
        return False
    return True


def check_trained(checkpoint: str, others: Sequence[str], *, verb: str, option: str = "") -> None:
    """Refuse videos where the trained network belongs, when the network stands where the videos belong.

    Args:
        checkpoint: What was given as the network.
        others: What was given as videos.
        verb: Of the command line.
        option: The option of the videos; empty where they are arguments.

    Raises:
        UserError: The two are swapped; the message says which is which.
    """
    kind = kind_of(checkpoint)
    trained = next((word for word in others if kind_of(word) in _TRAINED), "")
    if kind in _VIDEOS and trained:
        right = " ".join(["kinema", verb, trained, *([option] if option else []), checkpoint])
        raise UserError(
            f"{checkpoint} is {_SHOWN[kind]} and {trained} is {_SHOWN[kind_of(trained)]}; "
            f"they belong the other way round: {right}"
        )


def check_model(model: str, data: Sequence[str]) -> None:
    """Refuse data or a run where ``kinema train`` takes the name of a model.

    Raises:
        UserError: It stands in the wrong place; the message says where it belongs.
    """
    kind = kind_of(model) if model else ""
    other = next((word for word in data if kind_of(word) == "model"), "")
    if kind in _VIDEOS:
        if other:
            raise UserError(
                f"{model} is {_SHOWN[kind]} and {other} is a model; "
                f"they belong the other way round: kinema train {other} --data {model}"
            )
        rest = "" if data else f" --data {model}"
        raise UserError(
            f"{model} is {_SHOWN[kind]}, no model; name a model first, as in: kinema train tsm-resnet18{rest}"
        )
    if kind in ("run", "checkpoint"):
        raise UserError(
            f"{model} is {_SHOWN[kind]}, no model; to start from its weights: kinema train MODEL --weights {model}"
            + (f"; to go on with it: kinema train --resume {model}" if kind == "run" else "")
        )
