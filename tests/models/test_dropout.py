"""Where dropout stands: in front of an average over n places it is n times weaker than behind it."""

import pytest
import torch

from kinema import build_model
from kinema.recipes import multi_fiber

STEPS, SIDE, CLIPS = 8, 7, 6000
"""The map that the classifier averages, and clips for a variance that is off by 2 % (one deviation)."""

PER_STEP, PER_CLIP = STEPS, 1
PER_WINDOW = STEPS - 1
"""Draws that are averaged: the windows of I3D cover two of the eight steps."""


def variance_of_scores(name: str) -> float:
    """Variance of one score in training, where every feature and every weight is one; one draw for a clip gives 1."""
    torch.manual_seed(0)
    model = build_model(name, num_classes=2, dropout=0.5).train()
    width = 64
    for parameter in model.head_parameters():
        torch.nn.init.ones_(parameter)
        if parameter.ndim > 1:  # so that the map may be narrow
            parameter.data = parameter.data[:, :width].clone()
    features = torch.ones(1, width, STEPS, 1, 1).expand(CLIPS, -1, -1, SIDE if "inceptioni3d" in name else 1, -1)
    with torch.no_grad():
        return model.head(features)[:, 0].var().item() / width


@pytest.mark.parametrize(
    ("name", "draws"),
    [
        ("i3d-mfnet", PER_CLIP),  # "Multi-Fiber Networks", the authors' code
        ("tsn-mfnet", PER_CLIP),
        ("i3d-mfresnet18", PER_CLIP),
        ("r2plus1d-vresnet18", PER_CLIP),  # R(2+1)D, the authors' code, an option that is off
        ("mc3-vresnet18", PER_CLIP),
        ("slowfast-resnettiny", PER_CLIP),
        ("i3d-resnettiny", PER_STEP),  # the unified framework, the authors' code of 2-D and 3-D networks
        ("tsm-resnettiny", PER_STEP),
        ("s3d-inceptionv1", PER_STEP),
        ("tsm-mobilenetv2", PER_STEP),
        ("tsn-googlenet", PER_STEP),  # one frame in the very deep two-stream networks
        ("s3dg-inceptioni3d", PER_WINDOW),  # S3D-G, the authors' code
        ("i3d-inceptioni3d", PER_WINDOW),
    ],
)
def test_dropout_stands_where_the_authors_have_it(name: str, draws: int) -> None:
    assert variance_of_scores(name) == pytest.approx(1 / draws, rel=0.12)


def test_fine_tuning_a_multi_fiber_network_drops_half_of_the_clips_features() -> None:
    """16 frames are 8 steps of the last map: with dropout on every step an eighth of the variance would be left."""
    for recipe in (multi_fiber.ucf101(), multi_fiber.hmdb51()):
        assert recipe.train.dropout == 0.5
        assert recipe.data.frames == 2 * STEPS
        torch.manual_seed(0)
        model = build_model(recipe.model, num_classes=1, dropout=recipe.train.dropout, options=recipe.options).train()
        with torch.no_grad():
            torch.nn.init.ones_(model.get_parameter("classifier.weight"))
            scores = model.head(torch.ones(CLIPS, model.num_features, STEPS, 1, 1))
        assert scores.var().item() == pytest.approx(model.num_features, rel=0.12)  # 768 features of variance 1
