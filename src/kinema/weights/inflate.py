"""Weights of an image network, or of a model of another head or input, fitted into a video model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from kinema.errors import CheckpointError, one_of
from kinema.models.action_model import ActionModel
from kinema.models.build import INFLATIONS
from kinema.weights.state_dicts import refuse_bad_values

_TEMPORAL_PARTS = re.compile(r"(^|\.)(mix\d?|activated\w*|branch_end|after|context_gate)\.")
"""Parts that a temporal module adds; an image network has no weights for them."""

_AUXILIARY = re.compile(r"^aux\d\.")
"""GoogLeNet's auxiliary heads, which a file may have and the model leave out, or the other way round."""


def inflate(weight: Tensor, num_frames: int, *, how: str) -> Tensor:
    """Spread a spatial kernel over time: axes ``out in h w`` to ``out in t h w``.

    Args:
        weight: The kernel.
        num_frames: Length of the new axis; odd.
        how: ``"mean"`` copies the kernel to every frame and divides, so that a still clip gives the image network's
            response (as I3D, arXiv 1705.07750); ``"repeat"`` copies without dividing (as the authors of the deep
            analysis, arXiv 2010.11757; batch norm takes up the factor once it has seen data); ``"centre"`` puts the
            kernel on the middle frame, zeros elsewhere.
    """
    one_of("inflation", how, INFLATIONS)
    if how == "centre":
        inflated = weight.new_zeros((*weight.shape[:2], num_frames, *weight.shape[2:]))
        inflated[:, :, num_frames // 2] = weight
        return inflated
    copies = weight.unsqueeze(2).repeat(1, 1, num_frames, 1, 1)
    return copies / num_frames if how == "mean" else copies


def adapt_input(weight: Tensor, in_channels: int) -> Tensor:
    """Fit a first convolution to another number of channels: the average over its own, copied to each.

    Nothing is rescaled. Source: "Towards Good Practices for Very Deep Two-Stream ConvNets" (arXiv 1507.02159).
    """
    if weight.shape[1] == in_channels:
        return weight
    mean = weight.mean(dim=1, keepdim=True)
    return mean.repeat(1, in_channels, *[1] * (weight.ndim - 2))


def load_inflated(
    model: ActionModel, state: Mapping[str, Tensor], *, inflation: str = "mean", source: str = ""
) -> None:
    """Load image or video weights; every tensor must find its counterpart, and only what is new may stay as it is.

    New may be: the head, where the number of classes differs, auxiliary heads, and the temporal module's own parts,
    where the weights are an image network's.

    Args:
        model: The model.
        state: Tensors under the model's keys; EfficientNet-Lite's published underscores are known as well.
        inflation: One of ``INFLATIONS``, for kernels without a time axis where the model has one.
        source: Where they come from, for messages.

    Raises:
        CheckpointError: Keys or shapes do not fit, or values are none of a trained network; the message lists them.
    """
    own = model.state_dict()
    given = {tidy_key(key): value for key, value in state.items() if key in own or not _AUXILIARY.match(key)}
    head = model.classifier_keys()
    if any(key in given and given[key].shape[:1] != own[key].shape[:1] for key in head):
        given = {key: value for key, value in given.items() if key not in head}
    from_image = not any(_TEMPORAL_PARTS.search(key) for key in given)
    first = model.input_keys()
    fitted, misshapen = {}, []
    for key in own.keys() & given.keys():
        fitted[key] = _fit(given[key], own[key], is_first=key in first, how=inflation)
        if fitted[key].shape != own[key].shape:
            misshapen.append(f"{key} {tuple(given[key].shape)} for {tuple(own[key].shape)}")
    missing = [key for key in own.keys() - given.keys() if key not in head and not _may_miss(key, from_image)]
    unknown = given.keys() - own.keys()
    if misshapen or missing or unknown:
        lists = [("of another shape", misshapen), ("missing", missing), ("unknown", unknown)]
        listed = "; ".join(f"{len(keys)} {what}: {_first_few(keys)}" for what, keys in lists if keys)
        raise CheckpointError(f"{source or 'the weights'} do not fit {model.name}: {listed}")
    refuse_bad_values(fitted, source=source or "the weights")
    model.load_state_dict(fitted, strict=False)


def added_parts(model: ActionModel) -> list[str]:
    """Names of the parameters that the temporal module adds, for which image networks have no weights."""
    return [name for name, _ in model.named_parameters() if _TEMPORAL_PARTS.search(name)]


def added_modules(model: ActionModel) -> dict[str, nn.Module]:
    """The parts with parameters that the temporal module adds, by name: taps, blocks, temporal convolutions, gates."""
    found: dict[str, nn.Module] = {}
    for name in added_parts(model):
        match = _TEMPORAL_PARTS.search(name)
        assert match is not None
        part = name[: match.end() - 1]
        found[part] = model.get_submodule(part)
    return found


def tidy_key(key: str) -> str:
    """The model's key for a key of the published EfficientNet-Lite file, whose parts begin with underscores."""
    return re.sub(r"(^|\.)_", r"\1", key)


def _fit(weight: Tensor, own: Tensor, *, is_first: bool, how: str) -> Tensor:
    if is_first:
        weight = adapt_input(weight, own.shape[1])
    if weight.ndim == 4 and own.ndim == 5:
        return weight.unsqueeze(2) if own.shape[2] == 1 else inflate(weight, own.shape[2], how=how)
    if weight.ndim == 5 and own.ndim == 4 and weight.shape[2] == 1:
        return weight.squeeze(2)
    if weight.ndim == 5 and own.ndim == 2 and weight.shape[2:].numel() == 1:  # a classifier written as a convolution
        return weight.flatten(1)
    return weight


def _may_miss(key: str, from_image: bool) -> bool:
    return (
        key.endswith("num_batches_tracked")  # files written before 2018 lack them
        or _AUXILIARY.match(key) is not None
        or (from_image and _TEMPORAL_PARTS.search(key) is not None)
    )


def _first_few(keys: Iterable[str]) -> str:
    ordered = sorted(keys)
    return ", ".join(ordered[:5]) + (", ..." if len(ordered) > 5 else "")
