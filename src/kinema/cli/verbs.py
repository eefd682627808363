"""The verbs of the command line, one row each; help, mistakes and the golden list of options read them here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final

VERBS: Final = {
    "demo": "kinema.cli.demo:demo",
    "models": "kinema.cli.models:models",
    "recipes": "kinema.cli.recipes:recipes",
    "import": "kinema.cli.import_:import_",
    "plan": "kinema.cli.plan:plan",
    "train": "kinema.cli.train:train",
    "runs": "kinema.cli.runs:runs",
    "evaluate": "kinema.cli.evaluate:evaluate",
    "predict": "kinema.cli.predict:predict",
    "features": "kinema.cli.features:features",
    "probe": "kinema.cli.probe:probe",
    "fuse": "kinema.cli.fuse:fuse",
    "data make": "kinema.cli.data_make:make",
    "data scan": "kinema.cli.data:scan",
    "data show": "kinema.cli.data_show:show",
    "data split": "kinema.cli.data:split",
    "data pack": "kinema.cli.data_pack:pack",
    "flow extract": "kinema.cli.flow:extract",
    "flow show": "kinema.cli.flow_show:show",
    "study run": "kinema.cli.study:run",
    "study status": "kinema.cli.study:status",
    "study table": "kinema.cli.study:table",
    "analyze difference": "kinema.cli.analyze_difference:difference",
    "analyze contributions": "kinema.cli.analyze_contributions:contributions",
    "scores show": "kinema.cli.scores:show_scores",
    "scores average": "kinema.cli.scores:average",
    "scores import": "kinema.cli.scores:import_scores",
}
"""What is typed after ``kinema``, with the function that does it, as ``"package.module:function"``.

The first word of two names a group, which has its own line in ``GROUPS``.
"""

GROUPS: Final = {
    "data": "Make, check, look at and split data sets.",
    "flow": "Compute, store and look at optical flow.",
    "study": "Train and test many models in the same way.",
    "analyze": "Find what sets models apart.",
    "scores": "Look at saved scores, average them over splits, import others'.",
}
"""Words that other verbs come after, with what the overview says about each."""


def load_verb(name: str) -> Callable[..., None]:
    """Import the function of a verb; that loads nothing heavy.

    Args:
        name: A key of ``VERBS``.
    """
    module, _, function = VERBS[name].partition(":")
    return getattr(import_module(module), function)
