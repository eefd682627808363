"""A faster copy of a network for evaluation: norms inside convolutions, each convolution in its fastest form."""

from __future__ import annotations

import copy
import math
import shutil
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kinema.errors import UserError
from kinema.models.action_model import ActionModel, TrainingScores
from kinema.models.conv_forms import conv_ways
from kinema.models.layers import ClipBatchNorm, ClipConv3d, ClipMaxPool, FrameConv2d, to_layout
from kinema.models.pool_forms import pool_ways
from kinema.models.temporal_pooling import TemporalMaxPool
from kinema.models.timing import fastest
from kinema.shapes import Clip, Features, Logits

_FRAMES, _SIZE = 8, 112
_NOT_PRINTED = ("spec", "same_padding", "same_time", "stride_time")
"""What a convolution or pool does that its ``repr`` does not show."""


class OptimizedModel(ActionModel):
    """A copy for evaluation; it gives no gradients and cannot be trained.

    Attributes:
        forms: For each convolution, how it is computed; see ``kinema.models.conv_forms.FORMS``. For each max-pool,
            ``"kernel"`` or ``"shifted"``.
        notes: What was done and what was not, in sentences.
    """

    def __init__(self, model: ActionModel) -> None:
        nn.Module.__init__(self)  # everything else is copied
        self.__dict__.update(copy.deepcopy(model).__dict__)
        self.forms: dict[str, str] = {}
        self.notes: list[str] = []
        self._scores: Callable[[Clip], Logits | TrainingScores] | None = None
        super().train(False)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> OptimizedModel:
        """Stay in evaluation mode.

        Raises:
            UserError: Training mode is asked for.
        """
        if mode:
            raise UserError(
                f"{self.name} was optimised for inference and cannot be trained: its norms are part of its "
                "convolutions; train the model it was made from"
            )
        return super().train(False)

    def forward(self, clip: Clip) -> Logits | TrainingScores:
        """Score clips; ``b c t h w`` to ``b classes``, without gradients."""
        with torch.no_grad():
            return super().forward(clip) if self._scores is None else self._scores(clip)

    def features(self, clip: Clip) -> Features:
        """The last feature map, ``b d t' h' w'``, without gradients."""
        with torch.no_grad():
            return super().features(clip)

    def compile_scores(self) -> None:
        """Let ``torch.compile`` translate the network; that happens at the first clip of each shape."""
        # freezing lays the weights out for the CPU's kernels once, instead of at every call
        options: dict[str, Callable[..., Any] | bool | int | str] = {"freezing": True}
        on_cpu = next(self.parameters()).device.type == "cpu"
        self._scores = torch.compile(super().forward, options=options if on_cpu else None, dynamic=False)

    def use_eager(self) -> None:
        """Undo ``compile_scores``."""
        self._scores = None


def optimize_for_inference(
    model: ActionModel,
    *,
    clip: Clip | None = None,
    try_compile: bool = False,
    forms: Mapping[str, str] | None = None,
) -> OptimizedModel:
    """Make a copy of a model that gives the same scores sooner on this device.

    Batch norms become part of the convolution before them; where there is none (in front of MF-Net's convolutions)
    they stay. Then every convolution is timed in each form that fits it, on inputs of the shapes that the sample clip
    gives rise to, and takes the fastest: kernels over time and space as a whole, in channels-last or contiguous order,
    or through two-dimensional ones; max-pools likewise. The choice is best for clips like the sample, and right for
    all.

    Args:
        model: The model; it stays as it is.
        clip: A sample of what it will be given, axes ``b c t h w``, on its device; by default one clip of 8 x 112 x
            112, or as many frames as the model is built for.
        try_compile: Whether to compile the copy too (``torch.compile``, up to minutes), and to keep that if it is
            faster on the sample. Where no compiler is found, ``notes`` say so.
        forms: The ``forms`` of an earlier copy of the same network, to be taken instead of timing them again. What it
            does not name, or names in a form that the part cannot take, is timed.

    Raises:
        UserError: The model has been optimised already, or folding its norms would change its scores.
    """
    if isinstance(model, OptimizedModel):
        raise UserError(f"{model.name} has been optimised for inference already; give the model it was made from")
    optimized = OptimizedModel(model)
    first = next(model.parameters())
    if clip is None:
        frames = model.num_frames or _FRAMES
        clip = torch.randn(1, model.in_channels, frames, _SIZE, _SIZE, device=first.device, dtype=first.dtype)
    with torch.no_grad():
        expected = optimized(clip)
        trace = _trace(optimized, clip)
        folded = _fold_norms(optimized, trace)
        optimized.notes.append(f"{folded} of {trace.num_norms} batch norms folded into convolutions")
        _choose_forms(optimized, trace, clip, forms or {})
        _check(optimized, optimized(clip), expected)
        if try_compile:
            _compile_if_faster(optimized, clip)
    return optimized


class _Trace(NamedTuple):
    """What one clip has shown.

    Attributes:
        pairs: Names of norms, each with the convolution whose output it is given.
        shapes: The shape that each convolution, norm and pool is given.
        num_norms: Batch norms of the network.
    """

    pairs: dict[str, str]
    shapes: dict[str, torch.Size]
    num_norms: int


def _trace(model: ActionModel, clip: Clip) -> _Trace:
    sources: dict[int, tuple[str, weakref.ref[Tensor]]] = {}
    pairs: dict[str, str] = {}
    shapes: dict[str, torch.Size] = {}
    calls: dict[str, int] = {}
    hooks = []

    def seen(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(part: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            calls[name] = calls.get(name, 0) + 1
            shapes[name] = given[0].shape
            if isinstance(part, nn.Conv2d | nn.Conv3d):
                sources[id(out)] = name, weakref.ref(out)
            elif isinstance(part, ClipBatchNorm) and (source := sources.get(id(given[0]))) and source[1]() is given[0]:
                pairs[name] = source[0]

        return hook

    names = {
        name: part
        for name, part in model.named_modules()
        if isinstance(part, nn.Conv2d | nn.Conv3d | ClipBatchNorm | ClipMaxPool | TemporalMaxPool)
    }
    for name, part in names.items():
        hooks.append(part.register_forward_hook(seen(name)))
    ActionModel.forward(model, clip)
    for hook in hooks:
        hook.remove()
    once = {norm: conv for norm, conv in pairs.items() if calls[norm] == calls[conv] == 1}
    num_norms = sum(isinstance(part, ClipBatchNorm) for part in names.values())
    return _Trace(once, {name: shape for name, shape in shapes.items() if calls[name] == 1}, num_norms)


def _fold_norms(model: ActionModel, trace: _Trace) -> int:
    for norm_name, conv_name in trace.pairs.items():
        conv, norm = model.get_submodule(conv_name), model.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d | nn.Conv3d)
        assert isinstance(norm, ClipBatchNorm)
        fold_norm(conv, norm)
        _replace(model, norm_name, nn.Identity())
    return len(trace.pairs)


def fold_norm(conv: nn.Conv2d | nn.Conv3d, norm: ClipBatchNorm) -> None:
    """Let a convolution give what the norm behind it would make, in evaluation, of its output; computed in float64.

    Args:
        conv: The convolution; its weights are replaced.
        norm: The norm.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.double()
    bias = -norm.running_mean.double() if conv.bias is None else conv.bias.double() - norm.running_mean.double()
    bias = bias * scale + (norm.bias.double() if norm.affine else 0.0)
    weight = conv.weight.double() * scale.view(-1, *[1] * (conv.weight.ndim - 1))
    kind = conv.weight.dtype
    conv.weight = nn.Parameter(weight.to(kind), requires_grad=False)
    conv.bias = nn.Parameter(bias.to(kind), requires_grad=False)


def _choose_forms(model: OptimizedModel, trace: _Trace, clip: Clip, given: Mapping[str, str]) -> None:
    """Put each convolution and pool into the form that is given for it, or else into the fastest one."""
    known: dict[object, str] = {}
    num_given = 0
    for name, shape in trace.shapes.items():
        part = model.get_submodule(name)
        ways: Mapping[str, Callable[[], nn.Module]]
        if isinstance(part, ClipMaxPool | TemporalMaxPool):
            ways = pool_ways(part)
        elif type(part) in (FrameConv2d, ClipConv3d):  # one of the network's own kind keeps its way
            assert isinstance(part, FrameConv2d | ClipConv3d)
            ways = conv_ways(part)
        else:
            continue
        form = given.get(name)
        if form in ways:
            num_given += 1
        else:
            like = (shape, repr(part), *(getattr(part, field, None) for field in _NOT_PRINTED))
            if like not in known:
                sample = to_layout(torch.randn(shape, device=clip.device, dtype=clip.dtype))
                known[like] = fastest({way: make() for way, make in ways.items()}, sample)[0]
            form = known[like]
        model.forms[name] = form
        _replace(model, name, ways[form]())
    if given:
        model.notes.append(f"{num_given} of {len(model.forms)} forms were given, the others timed")


def _replace(model: ActionModel, name: str, part: nn.Module) -> None:
    above, _, last = name.rpartition(".")
    (model.get_submodule(above) if above else model).add_module(last, part)


def _check(model: OptimizedModel, scores: Tensor, expected: Tensor) -> None:
    """Hold the copy to the original's scores, so that a network of someone else's cannot go wrong unseen."""
    tolerance = math.sqrt(torch.finfo(scores.dtype).eps)
    off = ((scores - expected).abs().max() / expected.abs().max().clamp(min=torch.finfo(scores.dtype).tiny)).item()
    if off > tolerance or math.isnan(off):
        raise UserError(
            f"folding the norms of {model.name} changes its scores by {off:.1g} of the largest, so that its parts "
            "must be using a convolution's output before its norm; it cannot be optimised"
        )


def _compile_if_faster(model: OptimizedModel, clip: Clip) -> None:
    if clip.device.type == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        model.notes.append("not compiled: torch.compile needs a C++ compiler here, and none is installed")
        return
    model.compile_scores()
    try:
        model(clip)
    except Exception as error:  # whatever a compiler says, the eager copy is there
        model.use_eager()
        reason = str(error).splitlines() or [type(error).__name__]
        model.notes.append(f"not compiled: torch.compile failed: {reason[0]}")
        return
    ways = {"compiled": model.__call__, "eager": partial(ActionModel.forward, model)}
    kept, seconds = fastest(ways, clip)
    if kept == "eager":
        model.use_eager()
    milliseconds = {way: f"{1000 * sec:.1f} ms" for way, sec in seconds.items()}
    model.notes.append(
        f"compiled: {milliseconds['compiled']} against {milliseconds['eager']} on the sample; "
        f"{'kept' if kept == 'compiled' else 'not kept'}"
    )
