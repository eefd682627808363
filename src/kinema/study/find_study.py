"""Finding a study: by its name, or in a file of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kinema.errors import UserError, unknown_name
from kinema.study.grid import Study
from kinema.training.find_recipe import function_of, run_file

STUDIES: Final = {
    "small": "small",
    "deep-analysis": "deep_analysis",
    "deep-analysis-placement": "deep_analysis_placement",
    "r2plus1d": "r2plus1d",
    "r2plus1d-lengths": "r2plus1d_lengths",
    "s3dg": "s3dg",
    "multi-fiber": "multi_fiber",
}
"""Name of each study, with its function in ``kinema.study.builtin``."""


def find_study(name: str) -> Study:
    """Load a study by its name, or from a function in a Python file.

    Args:
        name: A name of ``STUDIES``, or ``file.py:function``, where the function takes nothing and returns a ``Study``
            (the file is run, so it must be one that you trust).

    Raises:
        UserError: There is no such study, or the function does not return one.
    """
    from kinema.study import builtin

    source, _, function_name = name.rpartition(":")
    if source.endswith(".py"):
        function = function_of(run_file(Path(source)), function_name, source)
    elif name in STUDIES:
        function = function_of(builtin, STUDIES[name], "kinema.study.builtin")
    else:
        raise unknown_name("study", name, STUDIES, "A study of yours is given as file.py:function.")
    study = function()
    if not isinstance(study, Study):
        raise UserError(f"{name} must return a kinema.study.grid.Study, not {type(study).__name__}")
    return study
