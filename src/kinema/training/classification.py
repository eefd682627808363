"""The task of naming the action of a clip: cross-entropy, mixup and the protocol ``clip``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from kinema.data.dataset import ClipDataset
from kinema.data.loader import build_loader, to_device
from kinema.data.network_input import network_input
from kinema.data.transforms import make_augmentation
from kinema.evaluation.scoring import score_dataset
from kinema.evaluation.summary import FEW_CLASSES
from kinema.inference.scorer import Scorer
from kinema.inference.views import ViewDataset
from kinema.models.action_model import TrainingScores
from kinema.specs.loading import Loading
from kinema.specs.protocol import protocol
from kinema.specs.sampling import make_sampler
from kinema.training.batches import RunOrder, class_weights
from kinema.training.initial import starting_model
from kinema.training.objective import Blend, Mixture, Objective, draw_blend
from kinema.training.task import PartLoss, Task

if TYPE_CHECKING:
    from kinema.compute.engine import Engine
    from kinema.data.loader import Batch
    from kinema.data.manifest import Manifest
    from kinema.models.action_model import ActionModel
    from kinema.shapes import Clip
    from kinema.specs.preprocessing import Preprocessing
    from kinema.specs.recipe import Recipe
    from kinema.training.position import Position


class Classification(Task):
    """Names the action of a clip.

    Args:
        recipe: Data, loss and mixup; its batch and schedule are not looked at.
        training: Videos to train on.
        validation: Videos to validate on, or None.
        preprocessing: What the checkpoint tells its users to do with frames.
        engine: The process.
    """

    train_scores = ("top1",)

    def __init__(
        self,
        recipe: Recipe,
        *,
        training: Manifest,
        validation: Manifest | None,
        preprocessing: Preprocessing,
        engine: Engine,
    ) -> None:
        self.training, self.validation = training, validation
        self.preprocessing = preprocessing
        self.classes = training.classes
        self.num_samples, self.num_validation = len(training), len(validation or ())
        self.data_name = training.name
        self._data, self._mixup, self._engine = recipe.data, recipe.train.mixup, engine
        weights = class_weights(training, recipe)
        self._objective = Objective(
            label_smoothing=recipe.train.label_smoothing,
            class_weights=None if weights is None else torch.from_numpy(weights).to(engine.device, engine.dtype),
        )

    @classmethod
    def start(
        cls,
        engine: Engine,
        recipe: Recipe,
        *,
        training: Manifest,
        validation: Manifest | None,
        note: Callable[[str], None],
        network: ActionModel | None = None,
    ) -> tuple[ActionModel, Classification]:
        """See ``Task``."""
        model, preprocessing = starting_model(recipe, training.classes, note=note, network=network)
        task = cls(recipe, training=training, validation=validation, preprocessing=preprocessing, engine=engine)
        return model, task

    def batches(self, recipe: Recipe, position: Position) -> Iterator[Batch]:
        """See ``Task``; the order is that of ``RunOrder``."""
        data, engine = self._data, self._engine
        dataset = ClipDataset(
            self.training,
            sampler=make_sampler(data),
            augmentation=make_augmentation(data),
            seed=recipe.seed,
            backend=data.backend,
            flow=data.flow_input,
        )
        order = RunOrder(self.training, recipe, position, rank=engine.rank, world=engine.world)
        return iter(
            build_loader(dataset, order, num_workers=data.num_workers, pin_memory=engine.device.type == "cuda")  # type: ignore[arg-type]
        )

    def draw(self, batch: Batch, rng: np.random.Generator) -> Blend | None:
        """Draw partners and weight of mixup; None without it."""
        return draw_blend(len(batch.labels), alpha=self._mixup, rng=rng)

    def part_loss(self, network: nn.Module, batch: Batch, rows: torch.Tensor, drawn: Blend | None) -> PartLoss:
        """Cross-entropy of the rows and how many of their clips are right; see ``Task``."""
        mixture = self._mixture(batch, rows, drawn)
        scores = TrainingScores.of(network(mixture.clips))
        loss = self._objective(scores, mixture)
        return PartLoss(loss, ((scores.logits.detach().argmax(1) == mixture.labels).sum(),))

    def blank_loss(self, model: nn.Module, clips: Clip) -> torch.Tensor:
        """See ``Task``."""
        labels = torch.zeros(len(clips), dtype=torch.long, device=clips.device)
        with self._engine.autocast():
            scores = model(clips)
        return Objective()(scores, Mixture(clips, labels, labels, 1.0))

    def validate(self, model: ActionModel, *, monitor: str) -> dict[str, float]:
        """Score the validation videos with protocol ``clip``, by the same code that evaluates a finished network.

        Returns:
            ``loss``, ``top1``, ``top5`` and ``mean_class`` (0..1). Of five classes or fewer there is no ``top5``,
            unless it is the monitor.

        Raises:
            UserError: When videos cannot be decoded; the message lists them.
        """
        assert self.validation is not None
        loading = Loading(num_workers=self._data.num_workers, backend=self._data.backend)
        scorer = Scorer(model, self.preprocessing, self._engine, loading, num_classes=len(self.classes))
        dataset = ViewDataset(self.validation, protocol("clip", self.preprocessing), backend=loading.backend)
        table = score_dataset(scorer, dataset, classes=self.classes)
        loss = functional.cross_entropy(torch.from_numpy(table.scores).double(), torch.from_numpy(table.labels))
        scores = {
            "loss": loss.item(),
            "top1": table.top(1),
            "top5": table.top(5),
            "mean_class": table.mean_class_accuracy(),
        }
        if len(table.classes) <= FEW_CLASSES and monitor != "top5":
            del scores["top5"]
        return scores

    def digest(self) -> str:
        """See ``Task``."""
        return self.training.digest()

    def sample_ids(self, rows: Sequence[int]) -> list[str]:
        """The ids of videos."""
        return [self.training[row].video_id for row in rows]

    def _mixture(self, batch: Batch, rows: torch.Tensor, blend: Blend | None) -> Mixture:
        """What the network sees of some neighbouring rows; a clip's partner may be in another part of the batch."""
        device = self._engine.device

        def pixels_of(chosen: slice | torch.Tensor) -> Clip:
            return network_input(batch.clips[chosen], self.preprocessing, device, dtype=self._engine.dtype)

        own = slice(int(rows[0]), int(rows[-1]) + 1)
        labels = to_device(batch.labels[own], device)
        clips = pixels_of(own)
        if blend is None:
            return Mixture(clips, labels, labels, 1.0)
        partners = blend.partners[own]
        is_whole = len(rows) == len(batch.labels)  # then every partner is on the device already
        others = clips[partners.to(clips.device)] if is_whole else pixels_of(partners)
        return blend.mix(clips, labels, others, to_device(batch.labels[partners], device))
