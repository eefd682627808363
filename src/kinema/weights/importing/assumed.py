"""What an import takes for granted because the file does not show it, and what looks odd in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from kinema.errors import CheckpointError
from kinema.models.names import ModelName

if TYPE_CHECKING:
    from kinema.models.action_model import ActionModel
    from kinema.specs.preprocessing import Preprocessing
    from kinema.weights.importing.choosing import Choice
    from kinema.weights.importing.family import Description

_IMAGENET_CLASSES = 1000
_TRIAL_SIZE = 64


class Evidence(NamedTuple):
    """What is known beside the tensors.

    Attributes:
        options: Options that the user gave.
        described: What the file says of itself.
        names_by_count: Whether class names were taken from the number of classes alone.
        input_given: Whether the user said what the network wants to be fed.
    """

    options: Mapping[str, Any]
    described: Description | None
    names_by_count: bool
    input_given: bool


def assumptions(chosen: Choice, wanted: Preprocessing, known: Evidence) -> dict[str, str]:
    """List what neither the tensors nor anybody said, by subject.

    Args:
        chosen: The network that the file was taken for.
        wanted: What it will be fed.
        known: What is known beside the tensors.
    """
    name, found = ModelName.parse(chosen.shell.name), {}
    described = known.described
    if known.names_by_count:
        found["class names"] = "Kinetics-400 in alphabetical order, from the number of classes alone"
    if chosen.network.of_images and chosen.shell.num_classes != _IMAGENET_CLASSES:
        found["temporal pooling"] = (
            "none, an image network; a network of videos may have the same tensors and pool time (those of the deep "
            f"analysis: --from ibm --model {name} or {name}-tp)"
        )
    elif described is not None and described.temporal_pooling != name.temporal_pooling:
        found["temporal pooling"] = f"as in {name}, which was asked for; the file calls itself {described.text}"
    found |= {option: text for option, text in chosen.network.assumed.items() if option not in known.options}
    if not known.input_given:
        count = "" if described is None else " (as the file says)"
        found["input"] = f"{wanted.frames} frames{count}, {wanted.sampling}, stride {wanted.stride}"
    return found


def silent_parts(model: ActionModel, *, num_frames: int, source: str, names: Mapping[str, str]) -> dict[str, str]:
    """Look at tensors that are zero throughout: a part may be silent (pruned, never trained), the network may not.

    Biases, means and a norm's offsets may well be zero. A kernel or a norm's factor of zero lets nothing pass: in a
    residual branch that is a block pruned away or not begun to learn, elsewhere nothing of the clip reaches the scores.

    Args:
        model: The network with its weights, in evaluation mode.
        num_frames: Frames that it wants.
        source: What the message calls the file.
        names: What the file calls each tensor, by our key.

    Returns:
        The silent tensors by their subject; empty where there are none.

    Raises:
        CheckpointError: The scores do not depend on the clip.
    """
    factors = {key for key, value in model.state_dict().items() if key.endswith(("weight", "taps")) and not value.any()}
    if not factors:
        return {}
    listed = ", ".join(names.get(key, key) for key in sorted(factors))
    if not _reacts(model, model.num_frames or num_frames):
        raise CheckpointError(
            f"{source}: the scores do not depend on the clip, for these tensors are zero throughout: {listed}"
        )
    return {"silent parts": f"meant to be so; zero throughout: {listed}"}


def _reacts(model: ActionModel, num_frames: int) -> bool:
    noise = torch.Generator().manual_seed(0)
    clips = torch.randn(2, model.in_channels, num_frames, _TRIAL_SIZE, _TRIAL_SIZE, generator=noise)
    with torch.inference_mode():
        first, second = model(clips)
    return not torch.equal(first, second)


def file_names(keys: Mapping[str, str | tuple[str, ...]]) -> dict[str, str]:
    """What a file calls each of our tensors, for messages."""
    return {own: name if isinstance(name, str) else " + ".join(name) for own, name in keys.items() if name}
