"""How fast the devices of a plan are: measured on this machine, or estimated from a table."""

from __future__ import annotations

from kinema.data.manifest import Manifest
from kinema.planning.data_sheets import DataSheet
from kinema.planning.estimate import Decoding, Speed, VideoCounts
from kinema.planning.limits import PASSES, device_batch, limited_by, moved_bytes, with_loading
from kinema.planning.training_load import TrainingLoad
from kinema.specs.recipe import Recipe

DECODE_MS = {"uniform": 5.0, "dense": 1.5, "all": 1.5}
"""Milliseconds of one core for each frame of a clip, decoding to augmentation, where nothing is measured.

About one and a half times what docs/results.md has for decoding 340 x 256 H.264 to 128 pixels (3.1 and 1.0 a frame).
"""


def decoding_of(recipe: Recipe, manifest: Manifest | None, *, decode_ms: float) -> Decoding:
    """Find out what reading a recipe's clips takes.

    Args:
        recipe: Says which frames a clip has.
        manifest: Videos to measure on, or None.
        decode_ms: The answer in milliseconds, where it is known; else 0.

    Raises:
        VideoError: A video of the manifest cannot be read.
    """
    if decode_ms:
        return Decoding(
            sec_per_clip=decode_ms / 1000, explanation=f"decoding: {decode_ms:g} ms of a core a clip, as given"
        )
    if manifest is not None:
        from kinema.planning.step_profile import measure_decoding

        sec = measure_decoding(recipe, manifest)
        explanation = f"decoding: {1000 * sec:.1f} ms of a core a clip, measured here on {manifest.name}"
        return Decoding(sec_per_clip=sec, explanation=explanation)
    each = DECODE_MS[recipe.data.sampling]
    explanation = (
        f"decoding: {each:g} ms of a core for each frame of {recipe.data.sampling} sampling, assumed; --data measures "
        "it, --decode-ms sets it"
    )
    return Decoding(sec_per_clip=each * recipe.data.frames / 1000, explanation=explanation)


def table_speed(recipe: Recipe, load: TrainingLoad, device: DataSheet, *, world: int, efficiency: float) -> Speed:
    """Estimate the speed of a device of the table; see ``kinema.planning.limits.limited_by``."""
    sec, limit = limited_by(recipe, load, device, world=world, efficiency=efficiency)
    clips = device_batch(recipe, world)
    flops, moved = 2 * PASSES * load.macs / 1e9, moved_bytes(recipe, load, device_batch=clips) / 1e9
    return Speed(
        sec_per_clip=sec,
        device=device.name,
        memory_gb=device.memory_gb,
        explanation=(
            f"{1 / sec:.1f} clips/s on one {device.name}, limited by {limit}: a clip takes {flops:.0f} GFLOP and moves "
            f"{moved:.1f} GB"
        ),
        source=f"{efficiency:.0%} of the peak rates in {device.source} are reached; --efficiency sets the share",
    )


def measured_speed(recipe: Recipe, load: TrainingLoad, videos: VideoCounts, *, world: int, decode_sec: float) -> Speed:
    """Measure the speed of this machine, one device of it where it has several.

    Args:
        recipe: With the model filled in.
        load: Counts for one clip; steps take so many clips as fit into half of the host's memory.
        videos: Names the number of classes.
        world: Devices of the plan, which share the recipe's batch.
        decode_sec: Seconds that one core takes to decode and augment a clip.
    """
    from kinema.planning.step_profile import host_memory_gb, measure_step, num_cores

    clips = device_batch(recipe, world)
    fitting = int(host_memory_gb() * 1e9 / 2 / max(load.saved_bytes, 1)) or clips
    step = measure_step(recipe, num_classes=videos.num_classes, most=max(1, min(clips, fitting)))
    sec = with_loading(
        step.wall_sec,
        step.processor_sec if step.is_host else 0.0,
        decode_sec,
        cores=num_cores(),
        workers=recipe.data.num_workers,
    )
    explanation = (
        f"{1 / step.wall_sec:.1f} clips/s without loading in steps of {step.batch_size} clips, measured on this "
        f"machine ({step.device}); {1 / sec:.1f} with {recipe.data.num_workers} workers decoding on {num_cores()} cores"
    )
    memory_gb = host_memory_gb() if step.is_host else step.memory_gb
    return Speed(sec_per_clip=sec, device=step.device, memory_gb=memory_gb, explanation=explanation)
