"""``kinema models``: the list of networks that can be named, and what each costs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from kinema.models.cost_table import Cost


def models(
    pattern: Annotated[str, tyro.conf.Positional] = "*",
    *,
    frames: int = 8,
    size: int = 224,
    tags: bool = False,
    json: bool = False,
) -> None:
    """List models with their parameters, multiply-adds and temporal stride.

    A name is module{+module}[@placement]-backbone[-tp]. Placements (tophalf, bottomhalf, uniformhalf, topN, bottomN)
    and further stacks of modules can be added to any name: kinema models tam@tophalf-resnet18.

    Args:
        pattern: Which models: a name, or a pattern such as 'tsm-*'.
        frames: Frames of the clip that is counted.
        size: Height and width of the clip that is counted, in pixels.
        tags: List published weights instead: model.tag, frames, published accuracy and where the file is.
        json: Print JSON lines instead of a table.
    """
    from kinema.models.names import BACKBONES, MODULES, ModelName, list_models
    from kinema.specs.aliases import ALIASES

    names = list_models(pattern)
    if not names and any(letter in pattern for letter in "*?["):
        from kinema.errors import UserError

        raise UserError(
            f"no model matches {pattern!r}; modules: {', '.join(MODULES)}; backbones: {', '.join(BACKBONES)}"
            + (f"; aliases: {', '.join(ALIASES)}" if ALIASES else "")
        )
    names = names or [str(ModelName.parse(pattern))]

    if tags:
        _print_tags(names, as_json=json)
        return

    if json:
        import json as json_module

        for name in names:
            print(json_module.dumps(_cost(name, frames=frames, size=size).to_dict()))
        return

    _print_counts(names, frames=frames, size=size)


def _cost(name: str, *, frames: int, size: int) -> Cost:
    """The cost of a model, counted only where it is not known: that loads torch."""
    from kinema.models.cost_table import known_cost

    if known := known_cost(name, frames=frames, size=size):
        return known
    from kinema.models.cost import cost

    return cost(name, frames=frames, size=size)


def _print_counts(names: list[str], *, frames: int, size: int) -> None:
    """Print a table of what models cost."""
    from rich.console import Console
    from rich.table import Table

    from kinema.compute.progress import progress_bar

    table = Table(title=f"Models: one clip of {frames} x {size} x {size}, 400 classes")
    table.add_column("name", no_wrap=True)
    for heading in ("parameters", "multiply-\nadds", "time\nstride"):
        table.add_column(heading, justify="right")
    table.add_column("sees\norder")
    with progress_bar(len(names), "Counting") as bar:
        for name in names:
            counted = _cost(name, frames=frames, size=size)
            numbers = f"{counted.parameters / 1e6:.2f} M", f"{counted.macs / 1e9:.2f} G", str(counted.temporal_stride)
            table.add_row(name, *numbers, "no" if counted.order_blind else "yes")
            bar()
    Console().print(table)


def _print_tags(names: list[str], *, as_json: bool) -> None:
    """Print the published weights of models, one a line; addresses are long, so not as a table."""
    import json
    from dataclasses import asdict

    from kinema.models.names import ModelName
    from kinema.weights.published import PUBLISHED

    wanted = {ModelName.parse(name) for name in names}
    for record in PUBLISHED:
        if ModelName.parse(record.model) not in wanted:
            continue
        if as_json:
            print(json.dumps({"name": str(record), **asdict(record)}))
            continue
        fed, top1 = record.preprocessing, record.scores.get("top1")
        reached = "" if top1 is None else f"  top-1 {top1:.1f} % ({record.protocol})"
        print(f"{record!s:34} {fed.frames:3} frames{reached}  {record.urls[0]}")
    _count_image_weights(names)


def _count_image_weights(names: list[str]) -> None:
    """Say, beside the list, how many of the models have ImageNet weights."""
    from kinema.weights.imagenet import TAGS
    from kinema.weights.tags import model_tags

    image = [name for name in names if set(TAGS) & set(model_tags(name))]
    if image:
        more = f" and {len(image) - 1} more, each as NAME.imagenet" if len(image) > 1 else ""
        print(f"ImageNet weights, for features and to start from: {image[0]}.imagenet{more}", file=sys.stderr)
