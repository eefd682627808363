"""Networks that the user built, taken where a checkpoint would do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, cast

from torch import Tensor, nn

from kinema.compute.process import Process
from kinema.errors import UserError
from kinema.models.action_model import ActionModel
from kinema.shapes import Clip
from kinema.specs.preprocessing import Preprocessing
from kinema.weights.imagenet import TAGS
from kinema.weights.state_dicts import weights_digest
from kinema.weights.trained import VIDEO_FRAMES, TrainedModel, load, require_classes

log = logging.getLogger("kinema")

Network: TypeAlias = str | Path | TrainedModel | nn.Module
"""A checkpoint file, a run directory, weights by ``model.tag``, what ``kinema.load`` returned, or a network itself."""


def as_trained(
    network: Network,
    *,
    classes: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    must_name: bool = False,
) -> str | Path | TrainedModel:
    """Wrap a network of the user's own in what comes with a checkpoint; leave everything else as it is.

    Args:
        network: See ``Network``. A network maps clips, axes ``b c t h w``, to logits, axes ``b classes``.
        classes: Names in the order of the logits.
        preprocessing: How frames are chosen, scaled and normalised; by default what the weights want that
            ``build_model`` has loaded, else 8 frames spread evenly, crops of 224 pixels, ImageNet's normalisation.
        must_name: Whether the classes have to be given.

    Raises:
        UserError: Classes or preprocessing are given for a checkpoint, which has its own; or they do not fit.
    """
    if not isinstance(network, nn.Module):
        if classes is not None or preprocessing is not None:
            raise UserError("classes and preprocessing go with a network object; a checkpoint brings its own")
        return network
    names = tuple(classes or ())
    if len(set(names)) < len(names):
        raise UserError(f"class names must differ, got {len(names)} of which {len(set(names))} differ")
    if must_name and not names:
        raise UserError(f"classes=[...] has to name the classes of {name_of(network)}, in the order of its logits")
    num_logits = getattr(network, "num_classes", None)
    if isinstance(network, ActionModel) and names and len(names) != num_logits:
        raise UserError(f"{network.name} gives {num_logits} logits, and {len(names)} class names are given")
    return TrainedModel(
        model=cast("ActionModel", network),
        classes=names,
        preprocessing=preprocessing or _preprocessing_of(network),
        recipe={},
        scores={},
        weights_sha256=weights_digest(network.state_dict()),
        path=name_of(network),
    )


def load_on(network: str | Path | TrainedModel, process: Process, *, needs_classes: bool = True) -> TrainedModel:
    """Load a checkpoint onto a process's device; a model in memory is moved there.

    Raises:
        UserError: It has no action classes, and they are needed; or it cannot be loaded.
    """
    if needs_classes:
        require_classes(network)
    trained = network if isinstance(network, TrainedModel) else load(network, device=process.device)
    trained.model.to(process.device)
    for note in trained.notes if process.rank == 0 else ():
        log.warning("%s: %s", trained.path, note)
    return trained


def require_logits(rows: Any, clip: Clip, model: nn.Module, num_classes: int) -> None:
    """Refuse what a network answers unless it is one logit for each class.

    Args:
        rows: The answer.
        clip: What it answers, axes ``b c t h w``.
        model: The network.
        num_classes: Classes.

    Raises:
        UserError: The answer has other axes than ``b classes``.
    """
    wanted = len(clip), num_classes
    if not isinstance(rows, Tensor) or rows.shape != wanted:
        shape = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
        raise UserError(
            f"{name_of(model)} answers clips of shape {tuple(clip.shape)} with {shape}; wanted are logits with "
            f"axes b classes, here {wanted}; classes=[...] names them in the order of the logits"
        )


def last_map(model: nn.Module) -> Callable[[Clip], Tensor]:
    """The network as a function from clips to its last feature map, axes ``b d t' h' w'``.

    Raises:
        UserError: It has no method ``features``, or, on the first clip, that answers something else.
    """
    features: Any = getattr(model, "features", None)
    wanted = "features(clip) with its last map, axes b d t h w"
    if not callable(features):
        raise UserError(f"features are taken from networks with a method {wanted}; {name_of(model)} has none")

    def checked(clip: Clip) -> Tensor:
        answer = features(clip)
        if not isinstance(answer, Tensor) or answer.ndim != 5 or len(answer) != len(clip):
            shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise UserError(f"{name_of(model)}.features answers {shape}; wanted is {wanted}")
        return answer

    return checked


def name_of(model: nn.Module) -> str:
    """What results call a network: its name with the weights' tag where it is an ``ActionModel``, else its class."""
    return str(getattr(model, "tag", "") or type(model).__name__)


def _preprocessing_of(network: nn.Module) -> Preprocessing:
    known = getattr(network, "preprocessing", None)
    if not isinstance(known, Preprocessing):
        channels = getattr(network, "in_channels", 3)
        if channels != 3 and isinstance(network, ActionModel):
            raise UserError(
                f"{network.name} takes {channels} channels: say by preprocessing=Preprocessing(...) how they are made, "
                "with modality and flow (kinema.specs.preprocessing)"
            )
        known = Preprocessing()
    elif getattr(network, "weights", "") in TAGS:
        known = replace(known, frames=VIDEO_FRAMES)
    length = network.num_frames if isinstance(network, ActionModel) else 0
    return replace(known, frames=length) if length else known
