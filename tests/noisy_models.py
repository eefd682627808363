"""Models whose every tensor holds noise, built without drawing initial weights that would be thrown away."""

import math

import torch
from torch import Tensor, nn

from kinema import build_model
from kinema.models.action_model import ActionModel
from kinema.models.names import ModelName

NUM_CLASSES = 5
FRAMES, SIZE = 8, 32


def noisy_model(name: str | ModelName, **arguments: object) -> ActionModel:
    """A model in evaluation mode and float64; parts that start as zero or identity hold noise like the others."""
    with torch.device("meta"):
        model = build_model(name, num_classes=NUM_CLASSES, **arguments)
    model = model.double().to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1 << 16, generator=generator, dtype=torch.float64)
    position = 0
    for key, value in model.state_dict().items():
        if not value.is_floating_point():
            value.zero_()
            continue
        drawn = noise.roll(position).repeat(value.numel() // noise.numel() + 1)[: value.numel()].view_as(value)
        position += 7919
        value.copy_(_scaled(key, drawn))
    return model.eval()


def _scaled(key: str, drawn: Tensor) -> Tensor:
    last = key.rsplit(".", 1)[-1]
    if last == "running_var":
        return 1.0 + 0.1 * drawn.abs()
    if ".reduce." in key:  # hidden units of squeeze-and-excitation stay alive
        return 0.05 * drawn / math.sqrt(drawn.shape[1]) if last == "weight" else 1.0 + 0.1 * drawn.abs()
    if last == "taps":
        return drawn * 0.6
    if drawn.ndim >= 2:
        return drawn * math.sqrt(2.0 / math.prod(drawn.shape[1:]))
    return 1.0 + 0.1 * drawn if last == "weight" else 0.1 * drawn


def random_clips(batch: int, *, frames: int = FRAMES, size: int = SIZE, channels: int = 3) -> Tensor:
    """Noise with axes ``b c t h w``, float64."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, frames, size, size, generator=generator, dtype=torch.float64)


def noisy(part: nn.Module) -> nn.Module:
    """A part, or another library's model, in float64 and evaluation mode, with noise in every tensor."""
    part = part.double()
    for tensor in [*part.parameters(), *part.buffers()]:
        if tensor.is_floating_point():
            if tensor.ndim == 1:
                nn.init.uniform_(tensor, 0.5, 1.0)
            else:
                nn.init.normal_(tensor, std=math.sqrt(2 / math.prod(tensor.shape[1:])))
    return part.eval()
