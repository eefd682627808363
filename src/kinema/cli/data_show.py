"""``kinema data show``: a picture of what the network will see."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from kinema.wording import counted


def show(
    data: Positional[Path],
    *,
    out: Path | None = None,
    recipe: str = "finetune",
    protocol: str = "",
    split: Literal["train", "val", "test", "all"] = "all",
    count: int = 8,
    frames: int = 0,
    seed: int = 0,
) -> None:
    """Draw a contact sheet of clips after sampling and augmentation: one row per clip, one column per frame.

    Without --protocol the clips are training clips of the recipe's first epoch. With it they are the views of test
    videos, with frames and crop size taken from the recipe.

    Args:
        data: A manifest CSV, or a folder of videos.
        out: The PNG file to write; when not given, NAME-clips.png after the data.
        recipe: Name of a recipe, or file.py:function.
        protocol: Name of a test protocol, such as clip or uniform-10x3.
        split: Which videos to choose from.
        count: How many clips to draw; classes take turns.
        frames: Frames of a clip; 0 keeps the recipe's.
        seed: Of the random crops and offsets.
    """
    from kinema.data.manifest import Manifest
    from kinema.errors import UserError
    from kinema.recipes import load_recipe
    from kinema.report.contact_sheet import MAX_COLUMNS, protocol_rows, save_sheet, training_rows

    if count < 1 or frames < 0:
        raise UserError(f"--count must be at least 1 and --frames at least 0; given {count} and {frames}")
    chosen = load_recipe(recipe)
    if frames:
        chosen = chosen.with_fields({"data.frames": frames})
    if chosen.data.flow:
        raise UserError(f"recipe {chosen.name} sees flow, and a sheet shows pictures; kinema flow show draws flow")
    manifest = Manifest.open(data)
    manifest = manifest if split == "all" else manifest.select(split)
    if protocol:
        rows = protocol_rows(manifest, chosen, protocol, count=count)
    else:
        rows = training_rows(manifest, chosen, count=count, seed=seed)
    spec = chosen.data
    how = f"protocol {protocol}" if protocol else f"{spec.sampling} sampling, {spec.augmentation} crops, seed {seed}"
    shape = f"{counted(len(rows[0].frames), 'frame')} of {rows[0].pixels.shape[1]}x{rows[0].pixels.shape[2]}"
    some = f" ({MAX_COLUMNS} of them shown)" if len(rows[0].frames) > MAX_COLUMNS else ""
    out = out or Path(f"{Path(manifest.name).resolve().stem}-clips.png")
    save_sheet(out, rows, title=f"{manifest.name}: {shape}{some}, {how}")
    print(f"{out}: {counted(len(rows), 'clip')} of {shape}, {how}")
