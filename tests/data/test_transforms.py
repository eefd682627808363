"""Where crops lie, and what happens to the pixels inside."""

from collections import Counter

import cv2
import numpy as np
import pytest

from kinema.data.color import jitter_color
from kinema.data.transforms import crop_resized, make_augmentation, resize_frames
from kinema.errors import UserError
from kinema.specs.crop_boxes import (
    CROP_SETS,
    Box,
    fixed_box,
    multi_fiber_box,
    multi_scale_box,
    named_crop,
    resized,
    short_side_box,
    useful_size,
)
from kinema.specs.data import AUGMENTATIONS, DataSpec

TWO_STREAM = DataSpec(augmentation="multi-scale", resize=(256, 340), positions=5, max_distort=1)


def gradient(height: int, width: int, num_frames: int = 1) -> np.ndarray:
    """Frames whose red says the row and whose green says the column, in shares of the side."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 0] = np.round(np.linspace(0, 255, height))[:, None]
    frame[..., 1] = np.round(np.linspace(0, 255, width))[None]
    frame[..., 2] = 128
    return np.repeat(frame[None], num_frames, axis=0)


def draws(function, size: tuple[int, int], spec: DataSpec, count: int = 3000) -> list[Box]:
    rng = np.random.default_rng(0)
    return [function(size, spec, rng) for _ in range(count)]


def test_multi_scale_sides_are_the_papers_list_and_at_most_one_step_apart() -> None:
    sides = (256, 224, 192, 168)
    seen = Counter((box.height, box.width) for box in draws(multi_scale_box, (256, 340), TWO_STREAM))
    assert set(seen) == {(a, b) for i, a in enumerate(sides) for j, b in enumerate(sides) if abs(i - j) <= 1}
    assert min(seen.values()) > 200  # ten pairs, equally often


def test_multi_scale_offsets_are_whole_quarters_of_the_margin() -> None:
    for box in draws(multi_scale_box, (256, 340), TWO_STREAM, 400):
        down, right = (256 - box.height) // 4, (340 - box.width) // 4
        places = [(0, 0), (0, 4 * right), (4 * down, 0), (4 * down, 4 * right), (2 * down, 2 * right)]
        assert (box.top, box.left) in places


def test_thirteen_positions_and_free_distortion() -> None:
    spec = DataSpec(augmentation="multi-scale", resize=(256, 340), positions=13, scales=(0.66,), max_distort=0)
    places = Counter((box.top, box.left) for box in draws(multi_scale_box, (256, 340), spec))
    down, right = (256 - 168) // 4, (340 - 168) // 4
    quarters = {(0, 0), (0, 4), (4, 0), (4, 4), (2, 2), (2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3)}
    assert set(places) == {(a * down, b * right) for a, b in quarters}
    free = DataSpec(augmentation="multi-scale", resize=(256, 340), max_distort=3)
    assert len({(box.height, box.width) for box in draws(multi_scale_box, (256, 340), free)}) == 16


@pytest.mark.parametrize(
    ("short", "expected"), [(253, 221), (254, 224), (255, 224), (257, 224), (259, 224), (260, 227)]
)
def test_multi_scale_sides_less_than_three_pixels_off_snap_to_the_crop(short: int, expected: int) -> None:
    spec = DataSpec(augmentation="multi-scale", scales=(0.875,), max_distort=0)
    box = draws(multi_scale_box, (short, 400), spec, 1)[0]
    assert (box.height, box.width) == (expected, expected)


def test_multi_scale_on_a_fixed_size_is_mapped_to_the_decoded_frame() -> None:
    """A frame of half the size gets boxes of half the size, and of another aspect ratio boxes stretched with it."""
    for box in draws(multi_scale_box, (128, 170), TWO_STREAM, 100):
        assert box.height in {128, 112, 96, 84}
        assert box.top + box.height <= 128
        assert box.left + box.width <= 170
    for box in draws(multi_scale_box, (256, 680), TWO_STREAM, 100):
        assert box.width in {512, 448, 384, 336}


def test_short_side_crops_keep_the_aspect_and_reach_both_ends_of_the_range() -> None:
    boxes = draws(short_side_box, (360, 640), DataSpec())
    assert all(box.height == box.width for box in boxes)
    sides = {box.height for box in boxes}
    assert min(sides) == round(224 * 360 / 320)
    assert max(sides) == round(224 * 360 / 256)
    assert {box.top for box in boxes} >= {0, 20, 40}
    assert max(box.left + box.width for box in boxes) == 640


def test_fixed_crops_ignore_the_aspect_of_the_video() -> None:
    spec = DataSpec(augmentation="fixed", resize=(128, 171), crop_size=112)
    for box in draws(fixed_box, (240, 320), spec, 50):
        assert (box.height, box.width) == (210, 210)  # 112 * 240 / 128, 112 * 320 / 171
    for box in draws(fixed_box, (240, 640), spec, 50):
        assert (box.height, box.width) == (210, 419)


def test_multi_fiber_crops_have_the_papers_ranges() -> None:
    spec = DataSpec(augmentation="multi-fiber", short_side=(224, 288), aspect=(0.8, 1.25))
    boxes = draws(multi_fiber_box, (256, 340), spec)
    aspects = [box.height / box.width for box in boxes]  # a box this much too tall is stretched back to a square
    assert 0.79 < min(aspects) < 0.82
    assert 1.22 < max(aspects) < 1.27
    assert all(box.top + box.height <= 256 and box.left + box.width <= 340 for box in boxes)


@pytest.mark.parametrize("size", [(256, 340), (340, 256), (120, 160), (1080, 1920), (64, 64), (9, 300)])
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_augmentation_gives_squares_of_any_video(augmentation: str, size: tuple[int, int]) -> None:
    spec = DataSpec(augmentation=augmentation, crop_size=56, short_side=(56, 80), color_jitter=(15, 35, 25))
    augment = make_augmentation(spec)
    rng = np.random.default_rng(0)
    decoded = augment.decode_size(size)
    for _ in range(5):
        out = augment(gradient(*decoded, num_frames=2), rng, flip=True)
        assert out.shape == (2, 56, 56, 3)
        assert out.dtype == np.uint8
        assert out.flags.c_contiguous
        np.testing.assert_array_equal(out[0], out[1])


def test_frames_of_a_clip_share_crop_flip_and_colour_but_clips_do_not() -> None:
    augment = make_augmentation(DataSpec(crop_size=32, short_side=(36, 60), color_jitter=(15, 35, 25)))
    rng = np.random.default_rng(0)
    clips = [augment(gradient(60, 80, num_frames=3), rng) for _ in range(8)]
    assert all((clip == clip[:1]).all() for clip in clips)
    assert len({clip[0].tobytes() for clip in clips}) == 8


@pytest.mark.parametrize(("recipe", "label", "expected"), [(True, True, 0.5), (True, False, 0.0), (False, True, 0.0)])
def test_half_of_the_clips_are_mirrored_unless_recipe_or_class_forbid_it(
    recipe: bool, label: bool, expected: float
) -> None:
    augment = make_augmentation(DataSpec(augmentation="center", crop_size=32, flip=recipe))
    rng = np.random.default_rng(0)
    clips = [augment(gradient(32, 32), rng, flip=label)[0] for _ in range(200)]
    share = np.mean([clip[0, 0, 1] > clip[0, -1, 1] for clip in clips])
    assert abs(share - expected) < (0.1 if expected else 1e-9)


def test_cropping_first_shows_what_resizing_first_would() -> None:
    """The same random box by both orders, on a picture whose colours are its coordinates."""
    spec = DataSpec(augmentation="fixed", resize=(128, 171), crop_size=112, flip=False)
    pixels = gradient(240, 320)
    box = fixed_box((240, 320), spec, np.random.default_rng(3))
    ours = make_augmentation(spec)(pixels, np.random.default_rng(3))[0].astype(int)
    whole = cv2.resize(pixels[0], (171, 128), interpolation=cv2.INTER_LINEAR)
    top, left = round(box.top * 128 / 240), round(box.left * 171 / 320)
    slow = whole[top : top + 112, left : left + 112].astype(int)
    assert np.abs(ours - slow).max() <= 2  # one level is half a pixel here


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("center", (16, 58)),
        ("left", (16, 0)),
        ("right", (16, 116)),
        ("top-left", (0, 0)),
        ("top-right", (0, 116)),
        ("bottom-left", (32, 0)),
        ("bottom-right", (32, 116)),
    ],
)
def test_named_crops_of_a_two_stream_frame(name: str, expected: tuple[int, int]) -> None:
    plain, flipped = named_crop(name, (256, 340), 224), named_crop(f"{name}-flip", (256, 340), 224)
    assert (plain.box.top, plain.box.left) == expected
    assert not plain.flip
    assert flipped == plain._replace(flip=True)


def test_left_and_right_are_the_ends_of_the_longer_side() -> None:
    boxes = [named_crop(name, (340, 256), 256).box[:2] for name in CROP_SETS[3]]
    assert boxes == [(0, 0), (84, 0), (42, 0)]


def test_crop_errors_say_what_is_wrong() -> None:
    with pytest.raises(UserError, match="did you mean center"):
        named_crop("centre", (256, 256), 224)
    with pytest.raises(UserError, match="224 pixels does not fit in frames of 200x300"):
        named_crop("center", (200, 300), 224)


def test_crop_without_scaling_copies_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), np.uint8)
    np.testing.assert_array_equal(crop_resized(pixels, Box(1, 2, 8, 9), (8, 9)), pixels[:, 1:9, 2:11])
    mirrored = crop_resized(pixels, Box(1, 2, 8, 9), (8, 9), mirrored=True)
    np.testing.assert_array_equal(mirrored, pixels[:, 1:9, 2:11][:, :, ::-1])


def test_shrinking_far_averages_instead_of_skipping() -> None:
    checks = np.indices((64, 64)).sum(0) % 2 * 255
    out = resize_frames(np.repeat(checks[None, ..., None], 3, axis=3).astype(np.uint8), (), 16)
    assert np.abs(out.astype(int) - 127).max() <= 1


@pytest.mark.parametrize(
    ("size", "resize", "expected"),
    [
        ((240, 320), (), (224, 299)),
        ((320, 240), (), (299, 224)),
        ((240, 320), (256,), (256, 341)),
        ((240, 320), (128, 171), (128, 171)),
        ((224, 224), (), (224, 224)),
    ],
)
def test_resized_sizes(size: tuple[int, int], resize: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert resized(size, resize, 224) == expected
    assert resize_frames(gradient(*size), resize, 224).shape[1:3] == expected


@pytest.mark.parametrize("size", [(1080, 1920), (1920, 1080), (480, 640), (400, 3000)])
@pytest.mark.parametrize(
    "spec",
    [
        DataSpec(),
        DataSpec(augmentation="fixed", resize=(128, 171), crop_size=112),
        DataSpec(augmentation="fixed"),
        DataSpec(augmentation="multi-scale"),
        TWO_STREAM,
        DataSpec(augmentation="multi-fiber", short_side=(224, 288)),
    ],
    ids=lambda spec: f"{spec.augmentation}{spec.resize}",
)
def test_frames_are_decoded_small_but_never_too_small(spec: DataSpec, size: tuple[int, int]) -> None:
    """No crop is enlarged (a pixel of rounding apart, and the paper's own enlarging of 168 to 224)."""
    boxes = {
        "short-side": short_side_box,
        "fixed": fixed_box,
        "multi-scale": multi_scale_box,
        "multi-fiber": multi_fiber_box,
    }
    decoded = useful_size(size, spec)
    assert decoded[0] * decoded[1] < size[0] * size[1]
    enlarged = 0.66 if spec.augmentation == "multi-scale" and spec.resize else 1
    for box in draws(boxes[spec.augmentation], decoded, spec, 200):
        assert min(box.height, box.width) >= spec.crop_size * enlarged - 2
    assert useful_size((50, 60), DataSpec(augmentation=spec.augmentation)) == (50, 60)


def test_colour_jitter_is_one_bounded_shift_for_the_whole_clip() -> None:
    rng = np.random.default_rng(0)
    pixels = np.full((3, 8, 8, 3), (180, 90, 60), np.uint8)
    hls = cv2.cvtColor(pixels[0, :1], cv2.COLOR_RGB2HLS)[0, 0].astype(int)
    shifts = []
    for _ in range(300):
        out = jitter_color(pixels, (15, 35, 25), rng)
        assert (out == out[0, 0, 0]).all()
        shifts.append(cv2.cvtColor(out[0, :1], cv2.COLOR_RGB2HLS)[0, 0].astype(int) - hls)
    hue, lightness, saturation = np.array(shifts).T
    hue = (hue + 90) % 180 - 90
    assert 12 <= np.abs(hue).max() <= 17  # 8-bit colours round the way there and back
    assert 33 <= np.abs(lightness).max() <= 36
    assert 20 <= np.abs(saturation).max() <= 30


def test_no_colour_jitter_is_exactly_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    assert jitter_color(pixels, (0, 0, 0), np.random.default_rng(0)) is pixels
