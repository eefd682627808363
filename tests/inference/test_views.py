"""Views of real files: right frames and crops, every video decoded once, and no more memory than frames."""

import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from make_videos import numbered_frames, read_numbers, write_video

from kinema.data.bad_video import BadVideo
from kinema.data.dataset import ClipDataset
from kinema.data.manifest import Manifest, Record
from kinema.data.transforms import make_augmentation
from kinema.errors import UserError, VideoError
from kinema.inference.views import VideoViews, ViewDataset, read_views
from kinema.specs.crop_boxes import CROP_SETS, named_crop
from kinema.specs.data import DataSpec
from kinema.specs.protocol import EvalProtocol
from kinema.specs.sampling import All, Dense, Uniform
from kinema.video.decoder import Decoder
from kinema.video.open import open_video


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Numbered videos of 60, 3 and 30 frames, 48x64 pixels."""
    folder = tmp_path_factory.mktemp("videos")
    records = []
    for place, num_frames in enumerate((60, 3, 30)):
        write_video(folder / f"{place}.mp4", numbered_frames(num_frames), gop=12)
        records.append(Record(f"v{place}", f"{place}.mp4", "ab"[place % 2]))
    return Manifest.from_records(records, classes=("a", "b"), root=folder)


def protocol_of(sampler, **changes) -> EvalProtocol:
    return EvalProtocol(**{"name": "test", "sampler": sampler, "resize": (48, 48), "crop_size": 48} | changes)


def pixels_of(clips: torch.Tensor) -> np.ndarray:
    return clips.permute(0, 2, 3, 4, 1).numpy()


@pytest.mark.parametrize("sampler", [Uniform(8, views=3), Dense(8, stride=2, views=4), All(minimum=40)], ids=repr)
@pytest.mark.parametrize("reverse", [False, True])
def test_clips_hold_the_frames_of_the_sampler(manifest: Manifest, sampler, reverse: bool) -> None:
    dataset = ViewDataset(manifest, protocol_of(sampler), reverse=reverse)
    for index, num_frames in enumerate((60, 3, 30)):
        views = dataset[index]
        expected = sampler.sample(num_frames)[:, :: -1 if reverse else 1]
        np.testing.assert_array_equal(views.frames, expected)
        assert [read_numbers(clip) for clip in pixels_of(views.clips())] == expected.tolist()
        assert (views.video_id, views.index, views.label) == (f"v{index}", index, index % 2)


def plain_crops(pixels: np.ndarray, size: int, names: Sequence[str]) -> np.ndarray:
    """Named squares of frames, axes ``v t s s c``, each cut for itself."""
    views = []
    for name in names:
        (top, left, height, width), mirrored = named_crop(name, pixels.shape[1:3], size)
        square = pixels[:, top : top + height, left : left + width]
        views.append(square[:, :, ::-1] if mirrored else square)
    return np.stack(views)


def test_views_are_the_crops_of_each_clip_in_turn(manifest: Manifest) -> None:
    """Against the plain way: decode all frames of every clip, resize, cut every crop."""
    sampler, names = Uniform(4, views=2), CROP_SETS[10]
    views = ViewDataset(manifest, protocol_of(sampler, resize=(40,), crop_size=32, crops=names))[0]
    with open_video(manifest[0].path, short_side=40) as decoder:
        slow = [plain_crops(decoder.frames_at(frames).pixels, 32, names) for frames in sampler.sample(60)]
    assert (views.num_clips, views.num_crops, len(views)) == (2, 10, 20)
    np.testing.assert_array_equal(pixels_of(views.clips()), np.concatenate(slow))


def test_any_range_of_views_can_be_cut(manifest: Manifest) -> None:
    views = ViewDataset(manifest, protocol_of(Uniform(4, views=3), resize=(40,), crop_size=32, crops=CROP_SETS[3]))[0]
    whole = views.clips()
    assert whole.shape == (9, 3, 4, 32, 32)
    assert whole.is_contiguous(memory_format=torch.channels_last_3d)
    for start, stop in [(0, 1), (2, 7), (4, 99), (8, None)]:
        assert torch.equal(views.clips(start, stop), whole[start:stop])
    assert len(views.clips(9, 12)) == 0
    assert views.view_bytes * 9 == whole.numel()


def test_a_video_is_opened_and_each_frame_decoded_once(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    inner = Decoder.frames_at

    def watch(self, indices):
        asked.append(np.asarray(indices))
        return inner(self, indices)

    monkeypatch.setattr(Decoder, "frames_at", watch)
    views = ViewDataset(manifest, protocol_of(Dense(16, stride=2, views=10), crops=CROP_SETS[3]))[0]
    views.clips()
    assert len(asked) == 1
    assert len(asked[0]) == len(set(asked[0].tolist())) == len(np.unique(views.frames)) <= 60
    assert len(views.pixels) == len(asked[0])


def test_thirty_views_cost_the_memory_of_their_frames_alone(manifest: Manifest) -> None:
    views = ViewDataset(manifest, protocol_of(Dense(32, views=10), resize=(48,), crop_size=48, crops=CROP_SETS[3]))[0]
    assert len(views) == 30
    assert views.pixels.untyped_storage().nbytes() == 60 * 48 * 64 * 3
    one_crop = ViewDataset(manifest, protocol_of(Dense(32, views=10), resize=(48,), crop_size=32))[0]
    assert one_crop.pixels.untyped_storage().nbytes() == 60 * 32 * 32 * 3


def test_a_training_clip_without_augmentation_is_the_test_clip(manifest: Manifest) -> None:
    spec = DataSpec(frames=4, augmentation="center", crop_size=32, flip=False)
    clips = ClipDataset(manifest, sampler=All(), augmentation=make_augmentation(spec))
    views = ViewDataset(manifest, EvalProtocol(name="clip", sampler=All(), crop_size=32))
    assert torch.equal(clips[0, 1].clip, views[1].clips()[0])


def test_too_many_frames_are_refused_before_they_are_decoded(manifest: Manifest) -> None:
    bad = ViewDataset(manifest, protocol_of(All()), max_bytes=100_000)[0]
    assert isinstance(bad, BadVideo)
    with pytest.raises(VideoError, match=r"60 frames under protocol test .*v0"):
        raise bad.error()


def test_segments_are_tested_alone(manifest: Manifest) -> None:
    record = manifest[0]._replace(start=0.4, end=0.8)
    part = Manifest.from_records([record], classes=manifest.classes, root=manifest.root)
    assert ViewDataset(part, protocol_of(All()))[0].frames.tolist() == [list(range(10, 20))]


def test_windows_of_one_open_video_are_read_in_turn(manifest: Manifest) -> None:
    with open_video(manifest[0].path) as decoder:
        for start in (0, 25, 10):
            views = read_views(decoder, range(start, start + 20), protocol_of(Dense(4, stride=2)))
            assert read_numbers(pixels_of(views.clips())[0]) == [start, start + 2, start + 4, start + 6]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_videos_keep_their_order_and_bad_ones_are_handed_over(
    manifest: Manifest, tmp_path: Path, num_workers: int
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"text")
    records = [*manifest, Record("bad", str(tmp_path / "bad.mp4"), "a"), manifest[0]._replace(video_id="last")]
    dataset = ViewDataset(
        Manifest.from_records(records, classes=manifest.classes, root=manifest.root), protocol_of(Uniform(4))
    )
    items = list(dataset.videos(num_workers=num_workers))
    assert [type(item) for item in items] == [VideoViews] * 3 + [BadVideo] + [VideoViews]
    assert items[3][:2] == ("bad", str(tmp_path / "bad.mp4"))
    assert "video bad" not in items[3].reason
    for index in (0, 1, 2, 4):
        assert torch.equal(items[index].clips(), dataset[index].clips())
    some = list(dataset.videos([4, 1], num_workers=num_workers))
    assert [item.index for item in some] == [4, 1]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="the worker has to inherit the fault")
def test_full_shared_memory_is_named(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(tensor: torch.Tensor) -> None:
        raise RuntimeError(
            "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on device (28)"
        )

    monkeypatch.setattr(torch.Tensor, "share_memory_", fail)
    with pytest.raises(UserError, match="enlarge /dev/shm"):
        list(ViewDataset(manifest, protocol_of(Uniform(4))).videos(num_workers=1))


def test_the_printed_form_shows_shapes_not_pixels(manifest: Manifest) -> None:
    text = repr(ViewDataset(manifest, protocol_of(Uniform(4, views=2), resize=(40,), crop_size=32))[0])
    assert text == "VideoViews('v0', 2 clips x 1 crops, pixels=uint8 (t=8, h=32, w=32, c=3))"
