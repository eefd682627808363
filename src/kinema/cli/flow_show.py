"""``kinema flow show``: frames and their flow in colours, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from kinema.errors import UserError
from kinema.wording import counted


def show(
    video: Positional[Path],
    *,
    out: Path | None = None,
    method: Literal["tvl1", "farneback", "dis"] = "tvl1",
    backend: Literal["auto", "torch", "opencv"] = "auto",
    count: int = 0,
    step: int = 1,
    short_side: int = 256,
    largest: float = 0.0,
    device: str = "auto",
) -> None:
    """Draw the frames of a video and the flow from each to the next, as colours, with the wheel that explains them.

    Args:
        video: A video file or a folder of images.
        out: The .png with some frames from all over the video, or the .mp4 with every frame, to write; when not given,
            NAME-flow.png after the video.
        method: tvl1, farneback, or dis, the quickest by far on a CPU.
        backend: torch (our own) or opencv; auto takes torch where the method has it.
        count: Fields to draw; 0 draws 6 in a PNG and all in an MP4.
        step: Flow from each frame to the one this many later; an MP4 takes every step-th frame.
        short_side: Shorter side of the frames in px; 0 keeps the video's.
        largest: Length of flow, in px, that has full colour; 0 takes that of 99 % of the pixels.
        device: auto, cpu, cuda or cuda:N.
    """
    if min(count, short_side) < 0 or step < 1 or largest < 0:
        raise UserError(
            "--step must be at least 1, --count, --short-side and --largest at least 0; "
            f"given {step}, {count}, {short_side} and {largest:g}."
        )
    out = out or Path(f"{video.resolve().stem}-flow.png")
    if out.suffix.lower() not in (".png", ".mp4"):
        raise UserError(f"--out must end in .png or .mp4; given {out}.")
    from kinema.compute.devices import find_device
    from kinema.flow.methods import find_method
    from kinema.report.flow_picture import flow_of, save_picture, save_video

    is_picture = out.suffix.lower() == ".png"
    fields = flow_of(
        video,
        find_method(method, backend),
        count=count or (6 if is_picture else None),
        step=step,
        spread=is_picture,
        short_side=short_side,
        device=find_device(device),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    written = (save_picture if is_picture else save_video)(out, fields, largest=largest)
    print(f"{out}: {counted(len(fields.flow), 'field')}, {fields.method}, full colour at {written:.1f} px")
