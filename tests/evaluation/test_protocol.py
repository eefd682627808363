"""The named protocols against the table of their papers, for a network trained on 8 frames of 224 pixels and others."""

import re
import subprocess
import sys

import pytest

from kinema.errors import UserError
from kinema.specs.crop_boxes import CORNERS, CROP_SETS
from kinema.specs.preprocessing import Preprocessing
from kinema.specs.protocol import EXAMPLES, FORMS, protocol
from kinema.specs.sampling import All, Dense, RandomStarts, Steps, Uniform

STANDARD = Preprocessing(frames=8, stride=4)
SMALL = Preprocessing(frames=16, stride=2, crop_size=112)
CENTER, THREE = ("center",), ("left", "right", "center")
TEN = (*CORNERS, "center", *(f"{name}-flip" for name in (*CORNERS, "center")))


@pytest.mark.parametrize(
    ("name", "sampler", "resize", "crop_size", "crops", "averages"),
    [
        ("clip", Uniform(8), (224,), 224, CENTER, "logits"),
        ("uniform-1x1", Uniform(8), (224,), 224, CENTER, "logits"),
        ("uniform-10x1", Uniform(8, views=10), (224,), 224, CENTER, "logits"),
        ("uniform-10x3", Uniform(8, views=10), (256,), 256, THREE, "logits"),
        ("uniform-2x5", Uniform(8, views=2), (256,), 224, (*CORNERS, "center"), "logits"),
        ("uniform-2x10", Uniform(8, views=2), (256,), 224, TEN, "logits"),
        ("dense-10x3", Dense(8, stride=4, views=10), (256,), 256, THREE, "logits"),
        ("dense-3x1", Dense(8, stride=4, views=3), (224,), 224, CENTER, "logits"),
        ("r2plus1d-10", Dense(8, stride=4, views=10), (128, 171), 112, CENTER, "probabilities"),
        ("r2plus1d-10-random", RandomStarts(8, stride=4, views=10), (128, 171), 112, CENTER, "probabilities"),
        ("sports1m-100", RandomStarts(8, stride=4, views=100), (128, 171), 112, CENTER, "probabilities"),
        ("two-stream-25x10", Steps(views=25), (256, 340), 224, TEN, "logits"),
        ("all-frames", All(minimum=8), (256, 256), 224, CENTER, "logits"),
        ("all-frames-250", All(minimum=250), (256, 256), 224, CENTER, "logits"),
        ("mfnet-7", RandomStarts(16, stride=2, views=7), (256, 256), 224, CENTER, "probabilities"),
        ("image", Uniform(1), (256,), 224, CENTER, "logits"),
    ],
)
def test_the_table_of_protocols(name, sampler, resize, crop_size, crops, averages) -> None:
    found = protocol(name, STANDARD)
    assert found.name == name
    assert found.sampler == sampler
    assert (found.resize, found.crop_size, found.crops, found.averages) == (resize, crop_size, crops, averages)


@pytest.mark.parametrize(
    ("name", "resize", "crop_size"),
    [
        ("clip", (112,), 112),
        ("uniform-10x3", (128,), 128),
        ("dense-1x1", (112,), 112),
        ("all-frames", (128, 128), 112),
        ("two-stream-25x10", (128, 170), 112),
        ("r2plus1d-10", (128, 171), 112),
    ],
)
def test_networks_of_smaller_crops_get_sizes_in_proportion(name: str, resize: tuple, crop_size: int) -> None:
    found = protocol(name, SMALL)
    assert (found.resize, found.crop_size) == (resize, crop_size)


def test_a_networks_own_size_before_the_crop_is_kept() -> None:
    wanted = Preprocessing(resize=(128, 171), crop_size=112, sampling="dense", frames=16, stride=1)
    for name in ("clip", "uniform-4x1"):
        assert protocol(name, wanted).resize == (128, 171)
    assert protocol("clip", wanted).sampler == Dense(16)


def test_flow_networks_are_tested_on_stacks() -> None:
    assert protocol("two-stream-25x10", Preprocessing(modality="flow")).sampler == Steps(views=25, of_flow=True)


def test_every_form_has_an_example_and_a_citation() -> None:
    forms = {form for form, (pattern, _) in FORMS.items() for name in EXAMPLES if re.fullmatch(pattern, name)}
    assert forms == set(FORMS)
    for name in EXAMPLES:
        assert protocol(name, STANDARD).citation or name == "image"
        assert set(protocol(name, STANDARD).crops) <= set(CROP_SETS[10]) | set(THREE)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clips", "did you mean clip"),
        ("uniform-10x", "did you mean uniform-10x3.*Forms: clip, uniform-MxC"),
        ("uniform-10x2", "one of 1, 3, 5, 10 crops"),
        ("dense-0x3", "at least 1 clip"),
        ("mfnet-0", "at least 1 clip"),
        ("", "unknown protocol"),
    ],
)
def test_unknown_names_are_told_the_nearest(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        protocol(name, STANDARD)


def test_protocols_load_no_torch() -> None:
    code = "import sys, kinema.specs.protocol; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
