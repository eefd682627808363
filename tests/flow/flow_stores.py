"""Writes small flow stores."""

from pathlib import Path

import numpy as np

from kinema.video.decoder import FLOW_SUFFIXES
from kinema.video.flow_store import FlowDescription
from kinema.video.flow_writer import writing_store


def describe(kind: str, size: tuple[int, int], *, bound: float = 20.0, method: str = "tvl1") -> FlowDescription:
    return FlowDescription(
        method=method,
        backend="torch",
        version="1",
        bound=bound,
        kind=kind,
        step=1,
        size=size,
        num_fields=0,
        fps=25.0,
        short_side=0,
        quality=95 if kind == "jpeg" else 0,
        source="clip",
    )


def write_store(folder: Path, fields: np.ndarray, kind: str = "video", *, bound: float = 20.0) -> Path:
    path = folder / f"clip{FLOW_SUFFIXES[kind]}"
    with writing_store(path, describe(kind, fields.shape[1:3], bound=bound)) as writer:
        writer.add(fields[:5])
        writer.add(fields[5:])
    return path
