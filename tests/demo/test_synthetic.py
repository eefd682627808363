"""The synthetic set: labels live in the order of frames and nowhere else, and the files are what the manifest says."""

import itertools

import av
import cv2
import numpy as np
import pytest

from kinema.data.manifest import Manifest
from kinema.demo.synthetic import CLASSES, NO_FLIP, PAIRS, make_reversible_shapes, opposite, render_scene
from kinema.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    make_reversible_shapes(folder, num_videos=80, size=32, num_frames=9, seed=5)
    return folder


def decode(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def seen_motion(pixels):
    """Motion of what moves, from optical flow: to the right, downwards, outwards, clockwise; pixels over the video."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in pixels]
    ys, xs = np.mgrid[: pixels.shape[1], : pixels.shape[2]]
    total = np.zeros(4)
    for before, after in itertools.pairwise(grey):
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 11, 3, 5, 1.1, 0)
        flow = flow - np.median(flow, axis=(0, 1))  # the background's drift
        weights = np.minimum((flow**2).sum(-1), 9) + 1e-9
        weights /= weights.sum()
        right, down = flow[..., 0], flow[..., 1]
        x, y = xs - (weights * xs).sum(), ys - (weights * ys).sum()
        outwards, clockwise = x * right + y * down, x * down - y * right
        radius = np.hypot(x, y) + 1
        total += [(weights * part).sum() for part in (right, down, outwards / radius, clockwise / radius)]
    return total


def test_the_two_videos_of_a_scene_are_bit_for_bit_each_others_reversal(folder):
    by_group = {}
    for record in Manifest.read(folder / "manifest.csv"):
        by_group.setdefault(record.group, []).append(record)
    assert len(by_group) == 40
    for first, second in by_group.values():
        assert second.label == opposite(first.label)
        assert first.split == second.split
        forward, backward = decode(first.path), decode(second.path)
        assert forward.shape == (9, 32, 32, 3)
        np.testing.assert_array_equal(forward, backward[::-1])
        assert not np.array_equal(forward, backward)


def test_files_are_h264_of_key_frames_only(folder):
    with av.open(next(iter(Manifest.read(folder / "manifest.csv"))).path) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert all(frame.key_frame for frame in container.decode(video=0))


def test_every_split_holds_every_class_equally_often_and_splits_share_no_scene(folder):
    manifest = Manifest.read(folder / "manifest.csv")
    assert manifest.classes == CLASSES
    assert manifest.no_flip == NO_FLIP
    groups = {}
    for split, per_class in (("train", 6), ("val", 1), ("test", 3)):
        part = manifest.select(split=split)
        assert np.bincount(part.labels).tolist() == [per_class] * len(CLASSES)
        groups[split] = {record.group for record in part}
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["val"]
    assert not groups["val"] & groups["test"]
    manifest.validate()


@pytest.mark.parametrize(("pair", "least"), [(0, 10), (1, 10), (2, 2), (3, 6)])
def test_classes_say_what_is_seen(pair, least):
    motions = [seen_motion(render_scene(pair, np.random.default_rng(seed), 64, 24)) for seed in range(8)]
    assert np.median(motions, axis=0)[pair] > least, PAIRS[pair]


def test_opposite_is_its_own_inverse_and_flips_that_swap_classes_are_listed():
    assert [opposite(opposite(name)) for name in CLASSES] == list(CLASSES)
    assert all(opposite(name) != name for name in CLASSES)
    assert {"moving left", "moving right", "turning clockwise", "turning anticlockwise"} == NO_FLIP
    with pytest.raises(UserError, match="not a class of the synthetic set"):
        opposite("jumping")


def test_pictures_depend_on_the_seed_alone(folder, tmp_path):
    for name, seed, workers in (("same", 5, 1), ("other", 6, 2)):
        make_reversible_shapes(tmp_path / name, num_videos=80, size=32, num_frames=9, seed=seed, num_workers=workers)
    for record in Manifest.read(folder / "manifest.csv").select(split="val"):
        here = decode(record.path)
        np.testing.assert_array_equal(here, decode(tmp_path / "same/videos" / f"{record.video_id}.mp4"))
        assert not np.array_equal(here, decode(tmp_path / "other/videos" / f"{record.video_id}.mp4"))


def test_an_equal_request_keeps_the_files_and_another_replaces_them_without_touching_others(tmp_path):
    arguments = {"num_videos": 80, "size": 32, "num_frames": 3}
    first = make_reversible_shapes(tmp_path, **arguments)
    path = tmp_path / "videos/moving_up/scene_00001.mp4"
    foreign = tmp_path / "videos/moving_up/mine.mp4"
    foreign.write_bytes(b"mine")
    written, before = path.stat().st_mtime_ns, path.read_bytes()
    again = make_reversible_shapes(tmp_path, **arguments)
    assert path.stat().st_mtime_ns == written
    assert again.digest() == first.digest()
    path.unlink()
    make_reversible_shapes(tmp_path, **arguments)
    assert path.read_bytes() == before
    make_reversible_shapes(tmp_path, **arguments, seed=1)
    assert path.read_bytes() != before
    assert foreign.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_videos", 84), ("num_videos", 72), ("size", 33), ("size", 16), ("num_frames", 1), ("fps", 0)],
)
def test_impossible_numbers_are_named(tmp_path, name, value):
    with pytest.raises(UserError, match=f"{name} is {value}"):
        make_reversible_shapes(tmp_path, **{name: value})
    assert not list(tmp_path.iterdir())


def test_progress_reaches_the_number_of_videos(tmp_path):
    seen = []
    make_reversible_shapes(
        tmp_path, num_videos=80, size=32, num_frames=2, on_written=lambda done, total: seen.append((done, total))
    )
    assert seen == [(count, 80) for count in range(2, 81, 2)]
