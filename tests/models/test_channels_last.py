"""Maps stay in channels-last order through whole networks, also for one clip and where one time step is left."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kinema import build_model
from kinema.models.layers import fold, from_lines, lines, to_layout, unfold

NETWORKS = (
    ("s3dg-inceptioni3d", {"width_multiplier": 0.25}),
    ("i3d-inceptioni3d", {"width_multiplier": 0.25, "padding": "same"}),
    ("r2plus1d-vresnet18", {}),
    ("mc3-vresnet18", {}),
    ("i3d-mfnet", {}),
    ("tam+se-resnettiny-tp", {}),
    ("slowfast-resnettiny", {}),
    ("nl-efficientnetlite0", {}),
    ("tsm-mobilenetv2", {"width_multiplier": 0.35}),
)


def in_order(clip: Tensor) -> bool:
    """Whether every stride is that of channels-last order: kernels look at those of axes of size one as well."""
    channels, frames, height, width = clip.shape[1:]
    row = width * channels
    return clip.stride() == (frames * height * row, 1, height * row, row, channels)


@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=lambda given: given if isinstance(given, str) else "")
@pytest.mark.parametrize("batch", [1, 2])
def test_every_part_answers_in_channels_last_order(name: str, options: dict[str, object], batch: int) -> None:
    model = build_model(name, num_classes=3, options=options).eval()
    seen: list[str] = []
    wrong: list[str] = []

    def hook(name: str) -> Callable[[nn.Module, object, object], None]:
        def look(part: nn.Module, _given: object, answer: object) -> None:
            if isinstance(answer, Tensor) and answer.ndim == 5 and not isinstance(part, nn.Linear):
                seen.append(name)
                if not in_order(answer):
                    wrong.append(f"{name}: {tuple(answer.shape)} {answer.stride()}")

        return look

    for part_name, each in model.named_modules():
        each.register_forward_hook(hook(part_name))
    with torch.no_grad():
        model(torch.randn(batch, 3, 8, 64, 64))
    assert len(seen) > 20
    assert not wrong


@pytest.mark.parametrize("shape", [(1, 4, 3, 5, 6), (2, 4, 1, 5, 6), (1, 4, 1, 2, 3), (3, 4, 2, 1, 1), (0, 4, 2, 3, 3)])
def test_folding_and_joining_are_views_that_keep_the_order(shape: tuple[int, ...]) -> None:
    clip = to_layout(torch.randn(shape))
    batch, channels, frames, height, width = shape
    for folded, back in (
        (fold(clip), lambda part: unfold(part, frames)),
        (lines(clip), lambda part: from_lines(part, (height, width))),
    ):
        assert folded.data_ptr() == clip.data_ptr()
        assert torch.equal(back(folded), clip)
        assert batch == 0 or in_order(back(folded))
        assert batch == 0 or folded.stride()[1:] == (1, folded.shape[3] * channels, channels)
    assert fold(clip).shape == (batch * frames, channels, height, width)
    assert lines(clip).shape == (batch, channels, frames, height * width)
    assert torch.equal(fold(clip)[:frames], clip.transpose(1, 2).flatten(0, 1)[:frames])
    assert torch.equal(lines(clip), clip.flatten(3))
