"""A network with everything needed to use it: classes, preprocessing, recipe and scores, from one checkpoint file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kinema.errors import CheckpointError
from kinema.models import checkpoint_file
from kinema.models.build import build_model
from kinema.models.published import PublishedWeights
from kinema.models.tags import find_tagged
from kinema.models.weights import Preprocessing

if TYPE_CHECKING:
    from kinema.models.action_model import ActionModel


@dataclass
class TrainedModel:
    """A network in evaluation mode and what it was trained for.

    Attributes:
        model: The network.
        classes: Class names; position is the index of a logit.
        preprocessing: How frames must be chosen, scaled and normalised.
        recipe: The training recipe as JSON types.
        scores: What training measured, such as ``{"val/top1": 0.91, "epoch": 12}``.
        weights_sha256: Hash of the weights in use, the same for a full and an exported file.
        path: Where it was loaded from.
    """

    model: ActionModel
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    recipe: dict[str, Any]
    scores: dict[str, Any]
    weights_sha256: str
    path: str


def load(checkpoint: str | Path, *, device: str | torch.device = "cpu") -> TrainedModel:
    """Load a trained network; the averaged (EMA) weights where the file has them.

    Args:
        checkpoint: A checkpoint file, a run directory (its ``best.ckpt``), or published weights by ``model.tag``, such
            as ``"i3d-resnet50.k400-f32"``.
        device: Where the network goes.

    Raises:
        CheckpointError: When the file cannot be read or its weights do not fit the network it names.
        UserError: When the model has no weights of that tag, or they cannot be downloaded.
    """
    record = None if Path(checkpoint).exists() else find_tagged(str(checkpoint))
    if record is not None:
        return _load_published(record, device)
    path = checkpoint_path(checkpoint)
    payload = checkpoint_file.read(path, device="cpu")
    weights = payload["ema"] or payload["state_dict"]
    model = build_model(
        payload["model"],
        num_classes=payload["num_classes"],
        in_channels=payload["in_channels"],
        options=payload["options"],
    )
    load_weights(model, weights, source=str(path))
    return TrainedModel(
        model=model.to(device).eval(),
        classes=tuple(payload["classes"]),
        preprocessing=Preprocessing.from_dict(payload["preprocessing"]),
        recipe=payload["recipe"],
        scores=payload["scores"],
        weights_sha256=weights_digest(weights),
        path=str(path),
    )


def _load_published(record: PublishedWeights, device: str | torch.device) -> TrainedModel:
    from kinema.models.convert.download import read_published

    imported = read_published(record)
    return TrainedModel(
        model=imported.model.to(device),
        classes=imported.classes,
        preprocessing=imported.preprocessing,
        recipe={},
        scores={f"published_{name}": value for name, value in imported.scores.items()},
        weights_sha256=weights_digest(imported.model.state_dict()),
        path=str(record),
    )


def checkpoint_path(checkpoint: str | Path) -> Path:
    """Find the file that ``checkpoint`` means: itself, or the best (else the last) one of a run directory.

    Raises:
        CheckpointError: When there is none; the message says what would do.
    """
    path = Path(checkpoint)
    if path.is_file():
        return path
    if path.is_dir():
        for name in ("best.ckpt", "last.ckpt"):
            if (path / name).is_file():
                return path / name
        raise CheckpointError(
            f"{path} holds neither best.ckpt nor last.ckpt; give a run directory or a checkpoint file"
        )
    raise CheckpointError(f"{checkpoint}: no such checkpoint file or run directory")


def load_weights(model: ActionModel, weights: dict[str, torch.Tensor], *, source: str) -> None:
    """Copy weights into a network that must have exactly their names and shapes.

    Raises:
        CheckpointError: Listing the first missing, unknown and differently shaped entries.
    """
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in weights]
    unknown = [name for name in weights if name not in wanted]
    shapes = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in weights and weights[name].shape != wanted[name].shape
    ]
    faults = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for names, what in ((missing, "missing"), (unknown, "unknown"), (shapes, "of another shape"))
        if names
    ]
    if faults:
        raise CheckpointError(f"the weights of {source} do not fit {model.name}: {'; '.join(faults)}")
    model.load_state_dict(weights)


def weights_digest(weights: dict[str, torch.Tensor]) -> str:
    """Hash names and bytes of the weights, whatever file or device they came from (SHA-256, hexadecimal)."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
