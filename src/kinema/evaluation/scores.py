"""The score table: the result of an evaluation, and all that metrics, fusion and plots need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kinema.errors import UserError, one_of
from kinema.evaluation import metrics
from kinema.evaluation.array_file import read_arrays, write_arrays
from kinema.specs.protocol import softmax
from kinema.wording import some_of

KINDS = ("logits", "probabilities", "margins", "z-scores")
CONTENT = "kinema scores"
FORMAT = 1


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """One row of class scores per video, with everything needed to judge and combine them.

    Attributes:
        ids: Video ids, unique, axes ``videos``.
        scores: Averages over a video's views, float32, axes ``videos classes``; finite.
        labels: True class indices, int64, axes ``videos``; -1 where unknown.
        kind: ``"logits"`` (any real numbers whose softmax is a probability), ``"probabilities"`` (rows sum to 1),
            ``"margins"`` (any real numbers on a scale of their own, such as the scores of SVMs) or ``"z-scores"``
            (what :meth:`z_scores` makes of any of them). Higher is better in all.
        classes: Class names in column order.
        clip_hits: Fraction of a video's clips whose top-1 (column 0) and top-5 (column 1) hold the true class, float32,
            axes ``videos 2``; nan where unlabelled; None when clips were not judged one by one.
        meta: Where the scores come from (model, weights hash, protocol, manifest digest, version); JSON values.

    Raises:
        UserError: Shapes disagree, ids repeat, a score is not finite, or a label has no class.
    """

    ids: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    kind: str
    classes: tuple[str, ...]
    clip_hits: np.ndarray | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids, dtype=np.str_)
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "scores", np.asarray(self.scores, dtype=np.float32))
        object.__setattr__(self, "labels", np.asarray(self.labels, dtype=np.int64))
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "meta", dict(self.meta))
        if self.clip_hits is not None:
            object.__setattr__(self, "clip_hits", np.asarray(self.clip_hits, dtype=np.float32))
        one_of("kind of scores", self.kind, KINDS)
        self._check_shapes()
        self._check_values()

    def _check_shapes(self) -> None:
        num_videos = len(self.ids)
        if num_videos == 0:
            raise UserError("a score table needs at least one video.")
        if self.scores.shape != (num_videos, len(self.classes)):
            raise UserError(
                f"{num_videos} ids and {len(self.classes)} classes need scores of shape "
                f"({num_videos}, {len(self.classes)}), not {self.scores.shape}."
            )
        if self.labels.shape != (num_videos,):
            raise UserError(f"{num_videos} ids need as many labels, not an array of shape {self.labels.shape}.")
        if self.clip_hits is not None and self.clip_hits.shape != (num_videos, 2):
            raise UserError(f"clip_hits must have shape ({num_videos}, 2), not {self.clip_hits.shape}.")
        unique, counts = np.unique(self.ids, return_counts=True)
        if len(unique) != num_videos:
            raise UserError(f"video ids must be unique; these repeat: {some_of(unique[counts > 1].tolist(), 5)}.")
        if len(set(self.classes)) != len(self.classes):
            raise UserError("class names must be unique.")

    def _check_values(self) -> None:
        broken = ~np.isfinite(self.scores).all(axis=1)
        if broken.any():
            raise UserError(
                f"{int(broken.sum())} of {len(self)} videos have scores that are not finite numbers: "
                f"{some_of(self.ids[broken].tolist(), 5)}. The weights or the precision of the run are at fault."
            )
        wrong = (self.labels < -1) | (self.labels >= len(self.classes))
        if wrong.any():
            raise UserError(
                f"labels must lie between 0 and {len(self.classes) - 1} (or be -1, unknown); "
                f"not so for {some_of(self.ids[wrong].tolist(), 5)}."
            )
        if self.kind == "probabilities":
            off = (self.scores < -1e-4).any(axis=1) | (np.abs(self.scores.sum(axis=1) - 1) > 1e-2)
            if off.any():
                raise UserError(
                    f"probabilities must be at least 0 and sum to 1; not so for {some_of(self.ids[off].tolist(), 5)}. "
                    "If these are scores before a softmax, their kind is 'logits'."
                )

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        parts = [f"{len(self)} videos x {len(self.classes)} classes", self.kind]
        parts += [f"{key} {self.meta[key]}" for key in ("model", "protocol") if self.meta.get(key)]
        if self.num_labelled:
            parts.append(f"top-1 {self.top(1):.4f}")
        else:
            parts.append("unlabelled")
        return f"ScoreTable({', '.join(parts)})"

    @property
    def num_labelled(self) -> int:
        """Number of videos whose class is known."""
        return int((self.labels >= 0).sum())

    @property
    def clip_accuracy(self) -> dict[str, float] | None:
        """``top1`` and ``top5`` averaged over each video's clips, then over labelled videos; None when not known."""
        if self.clip_hits is None or not self.num_labelled:
            return None
        top1, top5 = self.clip_hits[self.labels >= 0].astype(np.float64).mean(axis=0)
        return {"top1": float(top1), "top5": float(top5)}

    def top(self, k: int = 1) -> float:
        """Top-k accuracy: the fraction of labelled videos with the true class among the ``k`` best, 0 to 1."""
        return metrics.top_k(self.scores, self.labels, k)

    def mean_class_accuracy(self) -> float:
        """Top-1 accuracy averaged over the classes that have videos, 0 to 1."""
        return metrics.mean_class_accuracy(self.scores, self.labels)

    def confusion(self) -> np.ndarray:
        """Counts of true class (rows) against answered class (columns), int64."""
        return metrics.confusion_matrix(self.scores, self.labels)

    def probabilities(self) -> np.ndarray:
        """The scores as probabilities, float32, axes ``videos classes``: a softmax of logits, or as they are.

        Raises:
            UserError: The scores are margins or z-scores, whose softmax would depend on an arbitrary scale.
        """
        if self.kind not in ("logits", "probabilities"):
            raise UserError(
                f"{self.kind} cannot be turned into probabilities: a softmax depends on the scale, theirs is arbitrary."
            )
        return self.scores if self.kind == "probabilities" else softmax(self.scores)

    def z_scores(self) -> np.ndarray:
        """The scores on a scale that all kinds share, float32, axes ``videos classes``.

        Each video's mean is taken away and the whole table divided by the standard deviation that is left, over all
        videos and classes. No label is used and no video's order of classes changes.

        Raises:
            UserError: All classes of every video have the same score.
        """
        centred = self.scores.astype(np.float64)
        centred -= centred.mean(axis=1, keepdims=True)
        spread = centred.std()
        if spread < 1e-12:
            raise UserError(
                "scores that are the same for all classes have no spread, so there are no z-scores of them."
            )
        return (centred / spread).astype(np.float32)

    def select(self, videos: Sequence[int] | np.ndarray) -> ScoreTable:
        """A table of some videos, by row numbers or a boolean mask, in the given order."""
        chosen = np.arange(len(self))[np.asarray(videos)]
        hits = None if self.clip_hits is None else self.clip_hits[chosen]
        return ScoreTable(
            self.ids[chosen], self.scores[chosen], self.labels[chosen], self.kind, self.classes, hits, self.meta
        )

    def save(self, path: str | Path) -> Path:
        """Write the table to an ``.npz`` file, replacing it only when the whole of the new one is on the disk."""
        arrays = {"ids": self.ids, "scores": self.scores, "labels": self.labels, "classes": np.array(self.classes)}
        if self.clip_hits is not None:
            arrays["clip_hits"] = self.clip_hits
        header = {"content": CONTENT, "format": FORMAT, "kind": self.kind, "meta": self.meta}
        return write_arrays(path, header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> ScoreTable:
        """Read a table that :meth:`save` wrote; runs no code from the file.

        Raises:
            UserError: The file is missing, damaged or holds something else.
        """
        header, arrays = read_arrays(path, content=CONTENT, newest=FORMAT)
        try:
            return cls(
                arrays["ids"],
                arrays["scores"],
                arrays["labels"],
                header["kind"],
                tuple(str(name) for name in arrays["classes"]),
                arrays.get("clip_hits"),
                header["meta"],
            )
        except KeyError as error:
            raise UserError(f"{path}: the score table lacks {error}.") from error
