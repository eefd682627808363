"""When the optimised copy of a network is worth its making, and what a result says about it."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from typing import Any, NamedTuple

import torch
from torch import nn

from kinema.compute.process import Process
from kinema.errors import UserError
from kinema.inference.known_forms import KnownForms
from kinema.models.action_model import ActionModel
from kinema.models.conv_forms import conv_ways
from kinema.models.layers import ClipConv3d, ClipMaxPool, FrameConv2d
from kinema.models.optimize import OptimizedModel, optimize_for_inference
from kinema.models.pool_forms import pool_ways
from kinema.models.temporal_pooling import TemporalMaxPool
from kinema.shapes import Clip

FEW_VIEWS = 40
"""Fewer views run as they are: making the copy takes as long as three to five views, and saves some tenths of each."""

WORTH_TIMING_SEC = 60.0
"""Processor time of the network on all views from which on its layers are timed; that takes 2 to 10 seconds."""

USUAL_FORMS = ("frames", "lines", "whole", "kernel")
"""The forms in which the networks run as they are, the first that fits."""

log = logging.getLogger("kinema")


class Chosen(NamedTuple):
    """The network that runs, and how it came about.

    Attributes:
        model: The network that was given, or its optimised copy.
        forms: Where the copy's forms come from: ``"usual"``, ``"timed"`` or ``"known"``, which were timed by an earlier
            run; empty where the network runs as it is.
        note: In words, what was done or why not.
    """

    model: nn.Module
    forms: str
    note: str

    def to_dict(self) -> dict[str, Any]:
        """What a saved result says about it; JSON values."""
        counts = Counter(self.model.forms.values()) if self.forms and isinstance(self.model, OptimizedModel) else {}
        return {"optimized": bool(self.forms), "forms": self.forms, "counts": dict(counts), "note": self.note}


def as_it_is(model: nn.Module, reason: str) -> Chosen:
    """Run the network itself."""
    return Chosen(model, "", f"not optimised: {reason}")


def choose(
    model: nn.Module, clip: Clip, process: Process, num_views: int, *, worth_timing_sec: float = WORTH_TIMING_SEC
) -> Chosen:
    """Make the optimised copy of a network where that saves more time than it takes.

    Args:
        model: The network; one that cannot be optimised runs as it is, whatever the reason, and the log says so.
        clip: The first batch, axes ``b c t h w``, as the network is given it.
        process: Where it runs.
        num_views: Views that will be run.
        worth_timing_sec: See ``WORTH_TIMING_SEC``; forms are timed, and kept, in fp32 only.
    """
    if isinstance(model, OptimizedModel):
        return as_it_is(model, "it is an optimised copy already")
    if type(model) is not ActionModel:
        return as_it_is(model, f"{type(model).__name__} is a network of its own kind")
    if process.device.type != "cpu":
        return as_it_is(model, f"not measured on {process.device.type}")
    if num_views < FEW_VIEWS:
        return as_it_is(model, "too few views")
    try:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):  # folded and checked with all digits
            chosen = _optimized(model, clip, num_views, worth_timing_sec if process.precision == "fp32" else math.inf)
    except UserError as error:
        chosen = as_it_is(model, str(error))
    except Exception as error:  # parts of someone else's may refuse to be copied in any way; the network itself runs
        chosen = as_it_is(model, f"{type(error).__name__}: {error}")
    if process.rank == 0:
        log.info("%s", chosen.note)
    return chosen


def _optimized(model: ActionModel, clip: Clip, num_views: int, worth_timing_sec: float) -> Chosen:
    known = KnownForms(model, clip.shape)
    forms = None if worth_timing_sec == math.inf else known.read()
    if forms is not None:
        copied = optimize_for_inference(model, clip=clip[:1], forms=forms)
        return Chosen(copied, "known", _note(copied, "layers in the forms that an earlier run found fastest"))
    if worth_timing_sec == math.inf or num_views * _seconds(model, clip[:1]) < worth_timing_sec:
        copied = optimize_for_inference(model, clip=clip[:1], forms=usual_forms(model))
        return Chosen(copied, "usual", _note(copied, "layers in their usual forms"))
    start = time.process_time()
    copied = optimize_for_inference(model, clip=clip)
    seconds = time.process_time() - start
    how = f"layers in their fastest forms, found in {seconds:.0f} s"
    return Chosen(copied, "timed", _note(copied, how + (" and kept" if known.write(copied.forms) else "")))


def _note(copied: OptimizedModel, how: str) -> str:
    return f"optimised: {copied.notes[0]}; {how}"


def _seconds(model: nn.Module, clip: Clip) -> float:
    """Processor time of the network on a clip, its first."""
    start = time.process_time()
    model(clip)
    return time.process_time() - start


def usual_forms(model: ActionModel) -> dict[str, str]:
    """The forms in which a network's convolutions and max-pools run as they are, by their names."""
    forms: dict[str, str] = {}
    for name, part in model.named_modules():
        if type(part) in (FrameConv2d, ClipConv3d):
            assert isinstance(part, FrameConv2d | ClipConv3d)
            ways = list(conv_ways(part))
        elif isinstance(part, ClipMaxPool | TemporalMaxPool):
            ways = list(pool_ways(part))
        else:
            continue
        forms[name] = next((form for form in USUAL_FORMS if form in ways), ways[0])
    return forms
