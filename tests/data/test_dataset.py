"""Clips read from real files: the right frames, the same ones every time, and errors that name the video."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from make_videos import numbered_frames, read_numbers, write_video

from kinema.data.dataset import ClipDataset, frame_range
from kinema.data.manifest import Manifest, Record
from kinema.data.order import ClipKey
from kinema.data.transforms import make_augmentation
from kinema.errors import VideoError
from kinema.specs.data import DataSpec
from kinema.specs.sampling import All, Dense, Uniform
from kinema.video.open import open_video

CENTER = DataSpec(augmentation="center", crop_size=48, flip=False)
RANDOM = DataSpec(crop_size=32, short_side=(32, 48))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbered videos of 1, 5, 40 and 60 frames, 25 per second, 48x64 pixels."""
    folder = tmp_path_factory.mktemp("videos")
    for num_frames in (1, 5, 40, 60):
        write_video(folder / f"{num_frames}.mp4", numbered_frames(num_frames), gop=12)
    return folder


def manifest_of(folder: Path, *records: Record, no_flip: tuple[str, ...] = ()) -> Manifest:
    return Manifest.from_records(records, classes=("a", "b"), root=folder, no_flip=no_flip)


def dataset_of(manifest: Manifest, sampler, spec: DataSpec = CENTER, seed: int = 0) -> ClipDataset:
    return ClipDataset(manifest, sampler=sampler, augmentation=make_augmentation(spec), seed=seed)


def pixels_of(sample) -> np.ndarray:
    return sample.clip.permute(1, 2, 3, 0).numpy()


@pytest.mark.parametrize("num_frames", [0, 60])
def test_a_sample_holds_the_frames_it_says(videos: Path, num_frames: int) -> None:
    """The crop is the middle square of frames that carry their number, so the number is read from wider frames."""
    manifest = manifest_of(videos, Record("x", "60.mp4", "b", num_frames=num_frames))
    wide = DataSpec(augmentation="fixed", resize=(48, 48), crop_size=48, flip=False)
    sample = dataset_of(manifest, Uniform(8), wide)[3, 0]
    assert read_numbers(pixels_of(sample)) == sample.frames.tolist()
    assert sample.clip.shape == (3, 8, 48, 48)
    assert sample.clip.dtype == torch.uint8
    assert sample.clip.permute(1, 2, 3, 0).is_contiguous()
    assert (sample.label, sample.index) == (1, 0)


def test_samples_depend_on_seed_epoch_and_index_alone(videos: Path) -> None:
    manifest = manifest_of(videos, Record("x", "60.mp4", "a"), Record("y", "60.mp4", "a"))
    dataset, other = (dataset_of(manifest, Uniform(4), RANDOM) for _ in range(2))
    for key in [(0, 0), (0, 1), (7, 0)]:
        other[1, 1]
        assert torch.equal(dataset[key].clip, other[key].clip)
        np.testing.assert_array_equal(dataset[key].frames, other[key].frames)
    distinct = [dataset[0, 0], dataset[0, 1], dataset[1, 0], dataset_of(manifest, Uniform(4), RANDOM, seed=1)[0, 0]]
    assert len({sample.clip.numpy().tobytes() for sample in distinct}) == 4


def test_every_repeat_of_a_video_is_another_clip(videos: Path) -> None:
    """The first draw of an epoch is the clip of the plain key, with which runs were made before repeats counted."""
    manifest = manifest_of(videos, Record("x", "60.mp4", "a"), Record("y", "60.mp4", "a"))
    for seed in (0, 2**40):  # a seed of two words too
        dataset = dataset_of(manifest, Uniform(4), RANDOM, seed=seed)
        assert torch.equal(dataset[3, 1].clip, dataset[ClipKey(3, 1)].clip)
        clips = [dataset[ClipKey(3, 1, repeat)].clip.numpy().tobytes() for repeat in range(12)]
        assert len(set(clips)) == 12
        assert dataset[ClipKey(3, 1, 5)].clip.numpy().tobytes() == clips[5]


def test_epochs_draw_other_frames(videos: Path) -> None:
    dataset = dataset_of(manifest_of(videos, Record("x", "60.mp4", "a")), Dense(4, stride=2))
    assert len({int(dataset[epoch, 0].frames[0]) for epoch in range(20)}) > 8


def test_no_flip_classes_are_never_mirrored(videos: Path) -> None:
    """Every other draw is the same, so clips of the two labels are equal or each other's mirror image."""
    spec = DataSpec(augmentation="center", crop_size=48)
    free, held = (
        dataset_of(manifest_of(videos, Record("x", "40.mp4", "a"), no_flip=names), Uniform(2), spec)
        for names in ((), ("a",))
    )
    mirrored = 0
    for epoch in range(12):
        ours, theirs = held[epoch, 0].clip, free[epoch, 0].clip
        mirrored += not torch.equal(ours, theirs)
        assert torch.equal(ours, theirs) or torch.equal(ours.flip(3), theirs)
    assert 0 < mirrored < 12


@pytest.mark.parametrize("sampler", [Uniform(8), Dense(8, stride=2), All(minimum=8)])
@pytest.mark.parametrize("name", ["1.mp4", "5.mp4"])
def test_short_videos_repeat_frames(videos: Path, sampler, name: str) -> None:
    sample = dataset_of(manifest_of(videos, Record("x", name, "a")), sampler)[0, 0]
    assert sample.clip.shape[1] == 8
    assert sample.frames.max() < int(name[0])


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (float("nan"), float("nan"), range(60)),
        (0.4, 1.2, range(10, 30)),
        (0.2, float("nan"), range(5, 60)),
        (float("nan"), 0.2, range(5)),
        (0.41, 0.45, range(11, 12)),
        (2.0, 99.0, range(50, 60)),
    ],
)
def test_segments_are_half_open_in_seconds(videos: Path, start: float, end: float, expected: range) -> None:
    with open_video(videos / "60.mp4") as decoder:
        assert frame_range(Record("x", "x.mp4", start=start, end=end), decoder) == expected


def test_segments_of_image_folders_go_by_the_rate_of_the_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, picture in enumerate(numbered_frames(20)):
        cv2.imwrite(str(folder / f"img_{number:03d}.png"), picture)
    with open_video(folder) as decoder:
        assert frame_range(Record("x", str(folder), start=0.5, end=1.0), decoder) == range(13, 20)
        assert frame_range(Record("x", str(folder), start=0.5, end=1.0, fps=10.0), decoder) == range(5, 10)


def test_every_frame_of_a_segment_is_read_and_no_other(videos: Path) -> None:
    manifest = manifest_of(videos, Record("x", "60.mp4", "a", start=0.4, end=1.2))
    assert dataset_of(manifest, All())[0, 0].frames.tolist() == list(range(10, 30))


def test_an_empty_segment_names_the_video_and_its_length(videos: Path) -> None:
    manifest = manifest_of(videos, Record("the id", "60.mp4", "a", start=5.0, end=6.0))
    with pytest.raises(VideoError, match=r"5 and 6 s; the video has 60 frames, shown .*the id"):
        dataset_of(manifest, Uniform(4))[0, 0]


@pytest.mark.parametrize(
    ("name", "content"), [("no.mp4", None), ("text.mp4", b"not a video at all"), ("empty.mp4", b"")]
)
def test_a_bad_video_names_its_path_and_id(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError) as caught:
        dataset_of(manifest_of(tmp_path, Record("the id", name, "a")), Uniform(4))[0, 0]
    assert name in str(caught.value)
    assert "the id" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_large_videos_are_decoded_at_the_size_that_crops_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kinema.data.transforms import Augmentation

    seen = []
    inner = Augmentation.__call__

    def watch(self, pixels, rng, **how):
        seen.append(pixels.shape)
        return inner(self, pixels, rng, **how)

    monkeypatch.setattr(Augmentation, "__call__", watch)
    write_video(tmp_path / "large.mp4", numbered_frames(6, height=240, width=320))
    write_video(tmp_path / "small.mp4", numbered_frames(6, height=36, width=48))
    manifest = manifest_of(tmp_path, Record("l", "large.mp4", "a"), Record("s", "small.mp4", "a"))
    dataset = dataset_of(manifest, Uniform(2), RANDOM)
    assert [dataset[0, index].clip.shape for index in (0, 1)] == [(3, 2, 32, 32)] * 2
    assert seen == [(2, 48, 64, 3), (2, 36, 48, 3)]


def test_real_clips_give_samples(shared_data: Path) -> None:
    files = sorted((shared_data / "ucf101_8c").glob("*/*_g01_c01.mp4"))
    records = [Record(file.stem, str(file), file.parent.name) for file in files]
    manifest = Manifest.from_records(records, classes=[record.label for record in records], root=shared_data)
    dataset = dataset_of(manifest, Uniform(8), DataSpec(augmentation="multi-scale", crop_size=112))
    samples = [dataset[0, index] for index in range(len(manifest))]
    assert len(samples) == 8
    assert all(sample.clip.shape == (3, 8, 112, 112) and sample.clip.float().std() > 10 for sample in samples)
