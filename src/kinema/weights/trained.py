"""A network with everything needed to use it: classes, preprocessing, recipe and scores, from one checkpoint file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from kinema.errors import CheckpointError, UserError
from kinema.models.action_model import ActionModel
from kinema.models.build import build_network
from kinema.models.names import ModelName
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.checkpoint import Checkpoint, Provenance
from kinema.weights.imagenet import imagenet_record
from kinema.weights.inflate import added_parts
from kinema.weights.pretrained import build_model
from kinema.weights.published import PublishedWeights
from kinema.weights.state_dicts import load_exact, weights_digest
from kinema.weights.tags import find_tagged, imagenet_tagged, model_tags

if TYPE_CHECKING:
    from collections.abc import Callable

VIDEO_FRAMES = Preprocessing().frames
"""Frames, spread evenly over a video, that a network with the weights of an image network sees of it."""

IMAGE_SCORE = "published_image_top1"
"""Score of ``model.imagenet``, on images; what is trained from it has none of this name."""


@dataclass
class TrainedModel:
    """A network in evaluation mode and what it was trained for.

    Attributes:
        model: The network.
        classes: Class names; position is the index of a logit. Empty for ImageNet weights, which name no action.
        preprocessing: How frames must be chosen, scaled and normalised.
        recipe: The training recipe as JSON types.
        scores: What training measured, such as ``{"val/top1": 0.91, "epoch": 12}``.
        weights_sha256: Hash of the weights in use, the same for a full and an exported file.
        path: Where it was loaded from.
        notes: What whoever uses it should know.
    """

    model: ActionModel
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    recipe: dict[str, Any]
    scores: dict[str, Any]
    weights_sha256: str
    path: str
    notes: tuple[str, ...] = ()


def load(
    checkpoint: str | Path,
    *,
    model: ActionModel | Callable[[int], ActionModel] | None = None,
    device: str | torch.device = "cpu",
) -> TrainedModel:
    """Load a trained network; the averaged (EMA) weights where the file has them.

    Args:
        checkpoint: A checkpoint file, a run directory (its ``best.ckpt``), or published weights by ``model.tag``, such
            as ``"i3d-resnet50.k400-f32"``. ``model.imagenet`` means the ImageNet weights of the model's backbone, for
            features; it has no classes.
        model: The network of a run that was given one as an object, or a function from the number of classes to it; it
            is filled with the weights. A checkpoint holds no code, so it cannot build such a network itself.
        device: Where the network goes.

    Raises:
        CheckpointError: When the file cannot be read or its weights do not fit the network it names.
        UserError: When the model has no weights of that tag, or they cannot be downloaded.
    """
    if not Path(checkpoint).exists() and model is not None:
        raise CheckpointError(f"{checkpoint}: no such checkpoint file or run directory to fill the given model from")
    image_network = None if Path(checkpoint).exists() else imagenet_tagged(str(checkpoint))
    if image_network is not None:
        return _load_imagenet(image_network, device)
    record = None if Path(checkpoint).exists() else find_tagged(str(checkpoint))
    if record is not None:
        return _load_published(record, device)
    path = checkpoint_path(checkpoint)
    saved = Checkpoint.read(path)
    weights = saved.weights_in_use
    if model is None:
        require_buildable(saved, path, instead=f"kinema.load({str(path)!r}, model=...)")
        network = build_network(
            saved.model, num_classes=saved.num_classes, in_channels=saved.in_channels, options=saved.options
        )
    else:
        network = built_for(model, saved.num_classes)
    load_exact(network, weights, source=str(path))
    return TrainedModel(
        model=network.to(device).eval(),
        classes=saved.classes,
        preprocessing=saved.preprocessing,
        recipe=saved.recipe,
        scores=saved.scores,
        weights_sha256=weights_digest(weights),
        path=str(path),
        notes=_assumed_at_import(saved.imported),
    )


def _assumed_at_import(imported: Provenance | None) -> tuple[str, ...]:
    """What was taken for granted when a checkpoint of another project was imported."""
    if imported is None or not imported.assumed:
        return ()
    assumptions = "; ".join(f"{subject}: {text}" for subject, text in imported.assumed.items())
    return (f"assumed when {imported.file} was imported: {assumptions}",)


def built_for(model: ActionModel | Callable[[int], ActionModel], num_classes: int) -> ActionModel:
    """A network that the user gave, as an object or as a function from the number of classes to one.

    Raises:
        UserError: It is no ``ActionModel``, or has another number of classes.
    """
    function = not isinstance(model, nn.Module)
    if function and not callable(model):
        raise UserError(
            f"model is a {type(model).__name__}; give an ActionModel, or a function from a number of classes"
        )
    network = model(num_classes) if function else model
    if not isinstance(network, ActionModel):
        raise UserError(
            f"{'the function gave' if function else 'the model is'} a {type(network).__name__}; trained and loaded are "
            "ActionModels, whose stages and classifier are known: kinema.ActionModel.compose(backbone, module, ...) or "
            "ActionModel(body, head), see docs/own.md. kinema.evaluate and features take any network"
        )
    if network.num_classes != num_classes:
        raise UserError(
            f"{network.name} has {network.num_classes} classes and {num_classes} are needed; give a function instead, "
            "which builds it for a number of classes: lambda num_classes: ..."
        )
    return network


def require_buildable(checkpoint: Checkpoint, path: Path, *, instead: str) -> None:
    """Refuse the checkpoint of a network that its name does not build here.

    Args:
        checkpoint: What was read.
        path: Where it was read from.
        instead: The call that takes the network as an object.

    Raises:
        CheckpointError: The run was given an object, or the name has words that are not known here.
    """
    if not checkpoint.named:
        raise CheckpointError(
            f"{path} was trained from a model object, {checkpoint.model}, and holds its weights but no code to build "
            f"it: give the object, {instead}; runs of registered parts (kinema.register_module) need none"
        )
    try:
        ModelName.parse(checkpoint.model)
    except UserError as error:
        raise CheckpointError(
            f"{path} holds {checkpoint.model}, which cannot be built here: {error} If the part is your own, register "
            "it first: kinema.register_module or register_backbone in Python, --plugin FILE.py on the command line."
        ) from error


def _load_published(record: PublishedWeights, device: str | torch.device) -> TrainedModel:
    from kinema.weights.download import read_published

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


def _load_imagenet(name: ModelName, device: str | torch.device) -> TrainedModel:
    """A network with its backbone's ImageNet weights, which sees a few frames spread over a video."""
    record = imagenet_record(name.backbone)
    options = name.needed_options(frames=VIDEO_FRAMES)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # parts that no image network has are drawn at random: the same on every call
        model = build_model(name, num_classes=record.num_classes, options=options, weights="imagenet")
    model.preprocessing = replace(record.preprocessing, frames=VIDEO_FRAMES)
    parameters = dict(model.named_parameters())
    added = sum(parameters[part].numel() for part in added_parts(model))
    untrained = f"{'+'.join(name.modules)} adds {added:,} parameters that ImageNet weights lack; they are untrained"
    return TrainedModel(
        model=model.to(device).eval(),
        classes=(),
        preprocessing=model.preprocessing,
        recipe={},
        scores={IMAGE_SCORE: record.top1},
        weights_sha256=weights_digest(model.state_dict()),
        path=model.tag,
        notes=(untrained,) if added else (),
    )


def require_classes(network: str | Path | TrainedModel) -> None:
    """Refuse, before anything is read, ImageNet weights where action classes are asked for.

    Raises:
        UserError: They have none; the message says what to do with them.
    """
    if isinstance(network, TrainedModel):
        tag = network.path if IMAGE_SCORE in network.scores else ""
    else:
        tag = "" if Path(network).exists() or imagenet_tagged(str(network)) is None else str(network)
    if tag:
        name = tag.rpartition(".")[0]
        raise UserError(
            f"{tag} tells objects in images apart and knows no action; train it on videos first (kinema train {name} "
            f"--weights imagenet --data ...), or take its features (kinema features {tag} --data ...)"
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
    tags = ", ".join(f"{checkpoint}.{tag}" for tag in model_tags(str(checkpoint)))
    hint = f"; weights of this model: {tags}" if tags else ""
    raise CheckpointError(f"{checkpoint}: no such checkpoint file or run directory{hint}")
