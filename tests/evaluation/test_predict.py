"""Predictions of files and folders, timelines over long videos, and features."""

from pathlib import Path

import numpy as np
import pytest
import torch
from make_videos import numbered_frames, write_video
from trained_models import CLASSES, PREPROCESSING, transparent, write_checkpoint, write_videos

from kinema import load
from kinema.data.loader import to_clip
from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError, VideoError
from kinema.evaluation.features import FeatureTable, features
from kinema.evaluation.predict import find_videos, predict
from kinema.evaluation.run import evaluate
from kinema.evaluation.timeline import Timeline, timeline, window_edges
from kinema.inference.views import read_views
from kinema.specs.protocol import protocol
from kinema.video.open import open_video


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_videos(tmp_path_factory.mktemp("videos"))


@pytest.mark.parametrize("name", ["clip", "uniform-3x3", "r2plus1d-10"])
def test_predictions_are_what_evaluation_scores(manifest: Manifest, name: str) -> None:
    table = evaluate(transparent(), manifest, protocol=name, split="all", num_workers=0)
    answers = predict(transparent(), manifest.root, protocol=name, top=2)
    assert [Path(answer.path).stem for answer in answers] == [video.split()[1] for video in table.ids]
    for answer, shares in zip(answers, table.probabilities(), strict=True):
        np.testing.assert_allclose(answer.probabilities, shares, atol=1e-6)
        best = np.argsort(-shares)[:2]
        assert [place for place, _ in answer.top] == [CLASSES[index] for index in best]
        assert answer.label == CLASSES[best[0]]
        assert answer.to_dict()["top"][1]["probability"] == pytest.approx(shares[best[1]], abs=1e-6)


def test_one_video_and_too_many_classes(manifest: Manifest) -> None:
    (answer,) = predict(transparent(), str(manifest.root / "0.mp4"), top=10)
    assert len(answer.top) == 3
    assert sum(share for _, share in answer.top) == pytest.approx(1, abs=1e-5)
    with pytest.raises(UserError, match="top is 0"):
        predict(transparent(), manifest.root, top=0)


def test_where_videos_are_found(tmp_path: Path) -> None:
    for name in ("b.mp4", "a/x.AVI", "a/notes.txt", "a/deep/y.webm", ".hidden.mp4", "frames/1.jpg", "frames/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [Path(path).relative_to(tmp_path).as_posix() for path in find_videos(tmp_path)]
    assert found == ["b.mp4", "a/x.AVI", "a/deep/y.webm", "frames"]
    odd = tmp_path / "a" / "notes.txt"
    assert find_videos([odd, tmp_path / "a", odd]) == [
        str(odd),
        str(tmp_path / "a" / "x.AVI"),
        str(tmp_path / "a" / "deep" / "y.webm"),
    ]
    Manifest.from_records([Record("x", "a/x.AVI"), Record("r", "s3://b/0.tar/r.mp4")], classes=[], root=tmp_path).write(
        tmp_path / "set.csv"
    )
    assert find_videos([tmp_path / "set.csv", "s3://b/q.mp4"]) == [
        str(tmp_path / "a" / "x.AVI"),
        "s3://b/0.tar/r.mp4",
        "s3://b/q.mp4",
    ]
    (tmp_path / "void").mkdir()
    with pytest.raises(UserError, match="void: no videos found"):
        find_videos(tmp_path / "void")
    with pytest.raises(UserError, match="no videos to predict"):
        find_videos([])


def test_unreadable_videos(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    paths = [tmp_path / "text.mp4", manifest.root / "0.mp4", tmp_path / "absent.mp4"]
    with pytest.raises(
        UserError, match=r"2 of 3 videos cannot be read: .*text\.mp4: .*absent\.mp4: no such file"
    ) as error:
        predict(transparent(), paths)
    assert str(error.value).count("text.mp4") == 1
    assert [answer.path for answer in predict(transparent(), paths, skip_bad=True)] == [str(paths[1])]


def test_a_checkpoint_is_enough(manifest: Manifest, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "run" / "best.ckpt")
    by_file, by_folder, by_model = (
        predict(source, manifest.root / "3.mp4")[0] for source in (checkpoint, checkpoint.parent, load(checkpoint))
    )
    assert by_file.top == by_folder.top == by_model.top


@pytest.mark.parametrize(
    ("arguments", "spans", "cells"),
    [
        ((100, 10.0, 4.0, 2.0), [(0, 40), (20, 60), (40, 80), (60, 100)], [0, 20, 40, 60, 80, 100]),
        ((100, 10.0, 4.0, 4.0), [(0, 40), (40, 80), (60, 100)], [0, 40, 60, 80, 100]),
        ((30, 10.0, 4.0, 2.0), [(0, 30)], [0, 30]),
        ((1, 25.0, 1.0, 0.5), [(0, 1)], [0, 1]),
        ((3, 10.0, 0.01, 0.01), [(0, 1), (1, 2), (2, 3)], [0, 1, 2, 3]),
        ((10, 2.5, 2.0, 1.0), [(0, 5), (2, 8), (5, 10)], [0, 2, 5, 8, 10]),
    ],
)
def test_windows_over_a_video(arguments, spans, cells) -> None:
    num_frames, fps, window_sec, step_sec = arguments
    edges = window_edges(np.arange(num_frames + 1) / fps, window_sec, step_sec)
    assert [(span.start, span.stop) for span in edges.spans] == spans
    assert edges.cells == cells


def test_windows_of_uneven_frames_hold_the_frames_shown_in_them() -> None:
    times_sec = np.array([1.0, 1.1, 1.2, 1.3, 4.0, 4.1, 5.0])  # six frames, the fourth shown for 2.7 s
    edges = window_edges(times_sec, 1.0, 1.0)
    assert edges.spans == [range(0, 3), range(3, 4), range(3, 6)] or edges.spans[0].stop <= 4
    assert edges.spans[0].start == 0
    assert edges.spans[-1].stop == 6
    assert all(len(span) for span in edges.spans)


def test_timeline_against_window_by_window(tmp_path: Path) -> None:
    write_video(tmp_path / "long.mp4", numbered_frames(96), fps=10, gop=12)
    trained = transparent()
    result = timeline(trained, tmp_path / "long.mp4", window_sec=2.0, step_sec=0.7, batch_views=4)
    resolved = protocol("clip", PREPROCESSING)
    starts = [0, 7, 14, 21, 28, 35, 42, 49, 56, 63, 70, 76]
    totals, counts = np.zeros((96, 3)), np.zeros(96)
    with open_video(tmp_path / "long.mp4") as decoder:
        for start in starts:
            views = read_views(decoder, range(start, start + 20), resolved)
            with torch.no_grad():
                shares = trained.model(to_clip(views.clips(), PREPROCESSING, "cpu")).softmax(1)[0].numpy()
            totals[start : start + 20] += shares
            counts[start : start + 20] += 1
    expected = totals / counts[:, None]
    for first, stop, shares in zip(result.edges_sec[:-1], result.edges_sec[1:], result.probabilities, strict=True):
        frames = expected[round(first * 10) : round(stop * 10)]
        np.testing.assert_allclose(frames, np.broadcast_to(shares, frames.shape), atol=1e-5)
    assert result.edges_sec[[0, -1]].tolist() == [0, 9.6]


def test_segments_join_cells_of_one_answer() -> None:
    shares = np.array([[0.6, 0.4, 0], [0.9, 0.1, 0], [0.2, 0.8, 0], [0.5, 0.3, 0.2]])
    line = Timeline("long.mp4", np.array([0.0, 2.0, 3.0, 4.0, 5.0]), shares, CLASSES)
    first, second, third = line.segments()
    assert first[:3] == (0.0, 3.0, "run")
    assert first.probability == pytest.approx((2 * 0.6 + 0.9) / 3)
    assert second == (3.0, 4.0, "jump", pytest.approx(0.8))
    assert third[:3] == (4.0, 5.0, "run")
    assert line.to_dict()["segments"][1] == {
        "start_sec": 3.0, "end_sec": 4.0, "class": "jump", "probability": pytest.approx(0.8)
    }  # fmt: skip


def test_what_a_timeline_refuses(manifest: Manifest, tmp_path: Path) -> None:
    for window_sec, step_sec in ((0, None), (-1, None), (float("nan"), None), (1, 2), (1, 0)):
        with pytest.raises(UserError, match="window"):
            timeline(transparent(), manifest.root / "0.mp4", window_sec=window_sec, step_sec=step_sec)
    with pytest.raises(VideoError, match="no such file"):
        timeline(transparent(), tmp_path / "absent.mp4", window_sec=1)


def test_features_are_means_over_time_space_and_views(manifest: Manifest, tmp_path: Path) -> None:
    trained = transparent()  # its features are its input
    table = features(trained, manifest, protocol="uniform-3x3", num_workers=0)
    with open_video(manifest[2].path) as decoder:
        views = read_views(decoder, range(len(decoder)), protocol("uniform-3x3", PREPROCESSING))
    expected = to_clip(views.clips(), PREPROCESSING, "cpu").mean(dim=(0, 2, 3, 4))
    np.testing.assert_allclose(table.features[2], expected, atol=1e-5)
    assert table.ids.tolist() == manifest.video_ids
    assert (table.labels.tolist(), table.classes) == (manifest.labels.tolist(), manifest.classes)
    loaded = FeatureTable.load(table.save(tmp_path / "features.npz"))
    np.testing.assert_array_equal(loaded.features, table.features)
    assert (loaded.classes, loaded.meta) == (table.classes, table.meta)
    with pytest.raises(UserError, match="no such file"):
        FeatureTable.load(tmp_path / "absent.npz")


def test_features_of_a_real_network_feed_its_head(manifest: Manifest, tmp_path: Path) -> None:
    trained = load(write_checkpoint(tmp_path / "model.ckpt"))
    table = features(trained, manifest, num_workers=0)
    scores = evaluate(trained, manifest, split="all", num_workers=0).scores
    with torch.no_grad():
        weight, bias = (values.numpy() for values in trained.model.head_parameters())
    np.testing.assert_allclose(table.features @ weight.T + bias, scores, atol=1e-4)
