"""``kinema predict``: answers in three forms, bad files among good ones, timelines and pictures."""

import csv
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.colors import to_rgb
from trained_models import CLASSES, write_checkpoint, write_videos

from kinema.cli.main import run
from kinema.evaluation.predict import predict
from kinema.evaluation.timeline import Timeline, timeline
from kinema.report.answers import plot_strip, plot_timeline
from kinema.report.style import COLOURS


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_videos(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "best.ckpt")


def test_text(videos: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", str(checkpoint), str(videos / "0.mp4"), "--top", "2"]) == 0
    first, second = predict(checkpoint, videos / "0.mp4", top=2)[0].top
    assert capsys.readouterr().out.splitlines() == [
        str(videos / "0.mp4"),
        f"  {100 * first[1]:5.1f} %  {first[0]}",
        f"  {100 * second[1]:5.1f} %  {second[0]}",
    ]


def test_json_and_csv_of_a_folder(videos: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = predict(checkpoint, videos, top=2)
    assert run(["predict", str(checkpoint), str(videos), "--json", "--top", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["video"] for line in lines] == [answer.path for answer in answers]
    assert [line["top"][0]["class"] for line in lines] == [answer.label for answer in answers]
    assert run(["predict", str(checkpoint), str(videos), "--csv", "--top", "2"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["video"], row["class"]) for row in rows] == [(a.path, name) for a in answers for name, _ in a.top]


def test_bad_files_leave_the_others_answered(
    videos: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "text.mp4"
    bad.write_text("no video")
    words = [str(videos / "1.mp4"), str(bad), str(tmp_path / "absent.mp4"), str(videos / "2.mp4")]
    assert run(["predict", str(checkpoint), *words, "--json"]) == 1
    printed = capsys.readouterr()
    assert [json.loads(line)["video"] for line in printed.out.splitlines()] == [words[0], words[3]]
    *each, last = [line for line in printed.err.splitlines() if line.startswith("error")]
    assert [line.startswith(f"error: {path}: ") for line, path in zip(each, words[1:3], strict=True)] == [True, True]
    assert last == f"error: 2 of 4 videos gave no answer: {words[1]}, {words[2]}"


@pytest.mark.parametrize("window", [[], ["--window", "1"]])
def test_one_bad_file_is_one_line(
    videos: Path, checkpoint: Path, window: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    text = videos.parent / "text.mp4"
    text.write_text("no video")
    assert run(["predict", str(checkpoint), str(text), *window]) == 1
    errors = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("video files are read")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {text}: ")


def test_timeline_of_a_video(
    videos: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, picture = videos / "3.mp4", tmp_path / "timeline.png"
    assert run(["predict", str(checkpoint), str(video), "--window", "0.4", "--json", "--plot", str(picture)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(json.dumps(timeline(checkpoint, video, window_sec=0.4).to_dict()))
    assert printed["segments"][-1]["end_sec"] == pytest.approx(41 / 25)
    assert cv2.imread(str(picture)) is not None
    assert run(["predict", str(checkpoint), str(video), "--window", "0.4"]) == 0
    assert "  00:00.0 - 00:0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "--csv"], "exclude each other"),
        (["--step", "1"], "add --window"),
        (["--plot", "x.png"], "add --window"),
        (["--window", "1", "--strip", "x.png"], "with --window use --plot"),
        (["--window", "0"], "longer than 0"),
        (["--top", "0"], "top is 0"),
    ],
)
def test_words_that_do_not_go_together(
    videos: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run(["predict", str(checkpoint), str(videos), *words]) == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_strips_of_several_videos_have_names_of_their_own(videos: Path, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "0.mp4").write_bytes((videos / "0.mp4").read_bytes())
    words = [str(videos / "0.mp4"), str(tmp_path / "other" / "0.mp4"), str(videos / "1.mp4")]
    assert run(["predict", str(checkpoint), *words, "--strip", str(tmp_path / "strips")]) == 0
    assert sorted(path.name for path in (tmp_path / "strips").iterdir()) == [
        "1.png",
        "other-0.png",
        f"{videos.name}-0.png",
    ]


def test_a_strip_shows_the_frames_that_the_network_saw(videos: Path, checkpoint: Path, tmp_path: Path) -> None:
    (answer,) = predict(checkpoint, videos / "0.mp4")
    picture = cv2.imread(str(plot_strip(answer, tmp_path / "strip.png")))
    assert picture is not None
    seen = answer.views.clips(0, 1)[0].permute(1, 2, 3, 0).numpy()

    def likeness(frame: np.ndarray, size: int) -> float:
        wanted = cv2.resize(frame[..., ::-1], (size, size), interpolation=cv2.INTER_NEAREST)
        return float(cv2.matchTemplate(picture, wanted, cv2.TM_CCOEFF_NORMED).max())

    size = max(range(130, 170, 2), key=lambda size: likeness(seen[0], size))
    assert [likeness(frame, size) > 0.85 for frame in seen] == [True] * 4
    assert likeness(np.rot90(seen[0]), size) < 0.85


def test_a_timeline_is_coloured_by_class(tmp_path: Path) -> None:
    shares = np.array([[0.6, 0.4, 0], [0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.3, 0.6]])
    line = Timeline("long.mp4", np.array([0.0, 4.0, 5.0, 8.0, 10.0]), shares, CLASSES)
    picture = cv2.imread(str(plot_timeline(line, tmp_path / "timeline.png")))
    assert picture is not None
    band = picture[60, :, ::-1].astype(int)
    widths = {}
    for colour in COLOURS:
        wanted = np.round(np.array(to_rgb(colour)) * 255)
        widths[colour] = int((np.abs(band - wanted).max(axis=1) <= 2).sum())
    total = sum(widths.values())
    by_class = [round(widths[colour] / total, 1) for colour in COLOURS[:3]]
    assert by_class == [0.5, 0.3, 0.2]


@pytest.mark.parametrize("num_classes", [2, 7, 13])
def test_a_timeline_names_every_class_that_it_draws(num_classes: int, tmp_path: Path) -> None:
    names = tuple(f"class {place}" for place in range(num_classes))
    line = Timeline("long.mp4", np.arange(num_classes + 1.0), np.eye(num_classes, dtype=np.float32), names)
    path = tmp_path / "timeline.svg"
    with rc_context({"svg.fonttype": "none"}):
        plot_timeline(line, path)
    assert [f">{name}<" in path.read_text() for name in names] == [True] * num_classes


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl"])
def test_answers_in_a_file(
    videos: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    out, bad = tmp_path / "new" / f"answers.{ending}", videos.parent / "text.mp4"
    bad.write_text("no video")
    words = ["predict", str(checkpoint), str(videos / "0.mp4"), str(bad), str(videos / "1.mp4"), "--top", "2"]
    assert run([*words, "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"answers: {out}: 2 videos, " in printed.err
    assert "; 1 video gave no answer" in printed.err
    assert run([*words, f"--{'csv' if ending == 'csv' else 'json'}"]) == 1
    lines = capsys.readouterr().out
    if ending == "csv":
        assert out.read_text() == lines
        assert "4 rows (video, class, probability)" in printed.err
    else:
        text = out.read_text()
        contents = json.loads(text) if ending == "json" else [json.loads(line) for line in text.splitlines()]
        assert [content for content in contents if "error" not in content] == [*map(json.loads, lines.splitlines())]
        assert contents[1]["video"] == str(bad)
        assert contents[1]["error"]


def test_no_answer_file_of_another_kind_or_of_nothing(
    videos: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(checkpoint), str(videos / "0.mp4"), "--out"]
    assert run([*words, str(tmp_path / "answers.txt")]) == 1
    assert "must end in .csv, .json, .jsonl" in capsys.readouterr().err
    words[2] = str(tmp_path / "absent.mp4")
    assert run([*words, str(tmp_path / "answers.csv")]) == 1
    assert not list(tmp_path.iterdir())
