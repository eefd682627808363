"""The score of the validation videos after an epoch, by the same code that evaluates a finished network."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.data.loader import to_clip
from kinema.evaluation.protocol import protocol
from kinema.evaluation.views import ViewDataset, build_view_loader

if TYPE_CHECKING:
    from kinema.training.state import Run


def validate(run: Run) -> dict[str, float]:
    """Score the validation videos with protocol ``clip``, each exactly once over all processes.

    The averaged weights are scored where the run keeps an average. A process that runs alone drops the validation when
    a stop is asked for.

    Returns:
        ``loss``, ``top1``, ``top5`` and ``mean_class`` (0..1); empty when dropped.
    """
    assert run.validation is not None
    scores: dict[str, float] = {}
    run.model.eval()
    averaged = run.average.applied_to(run.model) if run.average else nullcontext()
    with averaged, run.stop.dropping() if run.engine.world == 1 else nullcontext():
        dataset = ViewDataset(run.validation, protocol("clip", run.preprocessing), backend=run.recipe.data.backend)
        logits, labels = [], []
        with torch.inference_mode(), run.engine.autocast():
            for views in build_view_loader(dataset, num_workers=run.recipe.data.num_workers):
                if isinstance(views, Exception):
                    raise views
                clips = to_clip(views.clips(), run.preprocessing, run.engine.device, dtype=run.engine.dtype)
                logits.append(run.model(clips).double().mean(0).cpu())
                labels.append(views.label)
        table = torch.stack(logits)
        truth = torch.tensor(labels)
        hit = (table.argmax(1) == truth).double()
        scores = {
            "loss": torch.nn.functional.cross_entropy(table, truth).item(),
            "top1": hit.mean().item(),
            "top5": 0.0,
            "mean_class": float(np.mean([hit[truth == label].mean().item() for label in set(labels)])),
        }
    return scores
