"""Published weights by ``model.tag``, such as ``tsm-resnet50.k400-f8``. Loads no torch."""

from __future__ import annotations

from typing import Final

from kinema.errors import UserError, unknown_name
from kinema.models.names import ModelName
from kinema.weights.imagenet import IMAGENET, TAGS
from kinema.weights.published import PUBLISHED, PublishedWeights

_FILES: Final = ("ckpt", "pth", "pt", "pkl", "pyth", "npz", "safetensors", "tar")
"""Endings of files, which are not tags."""


def tags_of(model: str | ModelName) -> list[str]:
    """Tags of the published weights of a network."""
    return [record.tag for record in PUBLISHED if ModelName.parse(record.model) == _parsed(model)]


def find_weights(model: str | ModelName, tag: str) -> PublishedWeights:
    """The published weights of a network by their tag; the network's own name may stand before it.

    Raises:
        UserError: There are none of that tag.
    """
    wanted = _parsed(model)
    own, dot, last = tag.rpartition(".")
    if dot and _is_model(own) and _parsed(own) != wanted:
        raise UserError(f"{tag} are weights of {own}, not of {model}")
    for record in PUBLISHED:
        if record.tag == (last if dot else tag) and ModelName.parse(record.model) == wanted:
            return record
    raise unknown_name(f"weights of {model}", tag, [*TAGS, *tags_of(wanted)], "Or give the path of a file.")


def find_tagged(text: str) -> PublishedWeights | None:
    """The published weights that ``model.tag`` names; None where the text has not that form.

    Raises:
        UserError: It has, and there are none of that tag.
    """
    model, dot, tag = text.rpartition(".")
    is_tag = dot and "/" not in text and tag not in _FILES and _is_model(model)
    return find_weights(model, tag) if is_tag else None


def imagenet_tagged(text: str) -> ModelName | None:
    """The network that ``model.imagenet`` names, with the ImageNet weights of its backbone; None for other texts.

    Raises:
        UserError: There is no such model.
    """
    model, dot, tag = text.rpartition(".")
    return ModelName.parse(model) if dot and tag in TAGS else None


def model_tags(text: str) -> list[str]:
    """Every tag that the network of this name has weights of; none where the text names no network."""
    if not _is_model(text):
        return []
    name = ModelName.parse(text)
    has_image_weights = name.backbone in IMAGENET and not name.no_image_weights
    return [*tags_of(name), *(TAGS if has_image_weights else ())]


def published_as(file: str, family: str) -> PublishedWeights | None:
    """The published weights of a family whose file has this name."""
    return next((record for record in PUBLISHED if record.file == file and record.family == family), None)


def _parsed(model: str | ModelName) -> ModelName:
    return model if isinstance(model, ModelName) else ModelName.parse(model)


def _is_model(text: str) -> bool:
    try:
        ModelName.parse(text)
    except UserError:
        return False
    return True
