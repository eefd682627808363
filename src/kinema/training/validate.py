"""The score of the validation videos after an epoch, by the same code that evaluates a finished network."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from kinema.evaluation.scoring import score_dataset
from kinema.evaluation.summary import FEW_CLASSES
from kinema.inference.views import ViewDataset
from kinema.specs.protocol import protocol

if TYPE_CHECKING:
    from kinema.training.state import Run


def validate(run: Run) -> dict[str, float]:
    """Score the validation videos with protocol ``clip``, each exactly once over all processes.

    The averaged weights are scored where the run keeps an average. A process that runs alone drops the validation when
    a stop is asked for; several finish it together.

    Returns:
        ``loss``, ``top1``, ``top5`` and ``mean_class`` (0..1); empty when dropped. Of five classes or fewer there is
        no ``top5``, unless the recipe monitors it.

    Raises:
        UserError: When videos cannot be decoded; the message lists them.
    """
    assert run.validation is not None
    scores: dict[str, float] = {}
    averaged = run.average.applied_to(run.model) if run.average else nullcontext()
    with averaged, run.stop.dropping() if run.engine.world == 1 else nullcontext():
        run.engine.share_buffers(run.model)  # so that all score the network that is saved
        table = score_dataset(
            run.model,
            ViewDataset(run.validation, protocol("clip", run.preprocessing), backend=run.recipe.data.backend),
            classes=run.training.classes,
            preprocessing=run.preprocessing,
            process=run.engine,
            num_workers=run.recipe.data.num_workers,
        )
        loss = functional.cross_entropy(torch.from_numpy(table.scores).double(), torch.from_numpy(table.labels))
        scores = {
            "loss": loss.item(),
            "top1": table.top(1),
            "top5": table.top(5),
            "mean_class": table.mean_class_accuracy(),
        }
        if len(table.classes) <= FEW_CLASSES and run.recipe.train.monitor != "top5":
            del scores["top5"]
    return scores
