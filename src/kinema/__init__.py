"""Train, evaluate, compare and run convolutional networks that recognise actions in video.

The names below are the whole public interface; each is loaded on first use, so that ``import kinema`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from kinema.former_names import install

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kinema.data.manifest import Manifest
    from kinema.data.scan import scan
    from kinema.data.split import split
    from kinema.derived.extract_flow import extract_flow
    from kinema.derived.pack import pack
    from kinema.evaluation.features import features
    from kinema.evaluation.predict import predict
    from kinema.evaluation.probe import probe
    from kinema.evaluation.run import evaluate
    from kinema.evaluation.scores import ScoreTable
    from kinema.evaluation.streams import fuse
    from kinema.evaluation.timeline import timeline
    from kinema.models.action_model import ActionModel
    from kinema.models.cost import cost
    from kinema.models.names import ModelName, list_models
    from kinema.models.register import register_backbone, register_module
    from kinema.planning.plan import plan
    from kinema.recipes import load_recipe
    from kinema.specs.protocol import EvalProtocol
    from kinema.specs.recipe import Recipe
    from kinema.training.run import train
    from kinema.training.run_series import resume_series, train_series
    from kinema.training.runs import list_runs
    from kinema.video.open import open_video
    from kinema.weights.pretrained import build_model
    from kinema.weights.trained import load

install()

_HOMES = {
    "ActionModel": "models.action_model",
    "EvalProtocol": "specs.protocol",
    "Manifest": "data.manifest",
    "ModelName": "models.names",
    "Recipe": "specs.recipe",
    "ScoreTable": "evaluation.scores",
    "build_model": "weights.pretrained",
    "cost": "models.cost",
    "extract_flow": "derived.extract_flow",
    "evaluate": "evaluation.run",
    "features": "evaluation.features",
    "fuse": "evaluation.streams",
    "list_models": "models.names",
    "list_runs": "training.runs",
    "load": "weights.trained",
    "load_recipe": "recipes",
    "open_video": "video.open",
    "pack": "derived.pack",
    "plan": "planning.plan",
    "predict": "evaluation.predict",
    "probe": "evaluation.probe",
    "register_backbone": "models.register",
    "register_module": "models.register",
    "resume_series": "training.run_series",
    "scan": "data.scan",
    "split": "data.split",
    "timeline": "evaluation.timeline",
    "train": "training.run",
    "train_series": "training.run_series",
}

__all__ = [  # noqa: RUF022  (the order of a day's work: models, data, training, results)
    "build_model",
    "list_models",
    "ModelName",
    "ActionModel",
    "register_module",
    "register_backbone",
    "cost",
    "load",
    "open_video",
    "Manifest",
    "scan",
    "split",
    "pack",
    "extract_flow",
    "Recipe",
    "load_recipe",
    "plan",
    "train",
    "train_series",
    "resume_series",
    "list_runs",
    "EvalProtocol",
    "evaluate",
    "ScoreTable",
    "fuse",
    "predict",
    "timeline",
    "features",
    "probe",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'kinema' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    value = getattr(import_module(f"kinema.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
