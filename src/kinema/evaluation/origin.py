"""What is evaluated: the videos of a split, and where a result says that it comes from."""

from __future__ import annotations

import logging
from typing import Any

from kinema.data.manifest import Manifest
from kinema.weights.given import name_of
from kinema.weights.trained import TrainedModel

log = logging.getLogger("kinema")


def select_split(manifest: Manifest, split: str, *, log_fallback: bool = True) -> tuple[Manifest, str]:
    """Take the videos of a split; validation videos stand in for missing test videos.

    Args:
        manifest: All videos.
        split: ``train``, ``val``, ``test`` or ``all``.
        log_fallback: Note the stand-in on the log.

    Returns:
        The videos, and the split that they are of.
    """
    if split == "all":
        return manifest, split
    if split == "test" and "test" not in manifest.splits and "val" in manifest.splits:
        if log_fallback:
            log.warning("%s has no test videos; its validation videos are evaluated.", manifest.name)
        split = "val"
    return manifest.select(split=split), split


def origin(trained: TrainedModel, manifest: Manifest, split: str) -> dict[str, Any]:
    """What a saved result says about where it comes from; JSON values."""
    from kinema import __version__

    return {
        "model": name_of(trained.model),
        "checkpoint": trained.path,
        "weights_sha256": trained.weights_sha256,
        "data": manifest.name,
        "split": split,
        "manifest_sha256": manifest.digest(),
        "kinema_version": __version__,
    }
