"""The contact sheet: right pictures in the right places, and a command that draws it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from make_videos import numbered_frames, read_number, write_video

from kinema.cli.data_show import show
from kinema.data.manifest import Manifest, Record
from kinema.errors import UserError
from kinema.report.contact_sheet import (
    CAPTION,
    GAP,
    HEADER,
    MARGIN,
    MAX_COLUMNS,
    TITLE,
    SheetRow,
    draw_sheet,
    spread,
    spread_labels,
)


def read_png(data: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def cell_of(sheet: np.ndarray, row: int, column: int, side: int) -> np.ndarray:
    top = MARGIN + TITLE + row * (side + CAPTION + GAP)
    left = MARGIN + HEADER + column * (side + GAP)
    return sheet[top : top + side, left : left + side]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class folder of two classes with three numbered videos each."""
    folder = tmp_path_factory.mktemp("set")
    for label in ("jump", "run"):
        (folder / label).mkdir()
        for video in range(3):
            write_video(folder / label / f"{video}.mp4", numbered_frames(20, height=96, width=96))
    return folder


def test_cells_hold_the_pixels_they_are_given() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64, 3), np.uint8)
    rows = [SheetRow("a $b$ ä", f"video {i}", "", pixels[i], np.arange(3)) for i in range(2)]
    sheet = read_png(draw_sheet(rows, title="title"))
    for i in range(2):
        for j in range(3):
            np.testing.assert_array_equal(cell_of(sheet, i, j, 64), pixels[i, j])
    labels = sheet[MARGIN + TITLE : MARGIN + TITLE + 64, MARGIN : MARGIN + HEADER]
    assert (labels < 128).any(), "the label is written"
    captions = sheet[MARGIN + TITLE + 64 : MARGIN + TITLE + 64 + CAPTION, MARGIN + HEADER :]
    assert (captions < 200).any(), "frame numbers are written"


def test_long_clips_show_some_of_their_frames() -> None:
    pixels = numbered_frames(100, height=96, width=96)
    sheet = read_png(draw_sheet([SheetRow("a", "x", "", pixels, np.arange(100))], title="title"))
    numbers = [read_number(cell_of(sheet, 0, column, 96)) for column in range(MAX_COLUMNS)]
    assert numbers == spread(100, MAX_COLUMNS)


def test_spread_takes_the_middles_of_equal_parts() -> None:
    assert spread(10, 2) == [2, 7]
    assert spread(3, 8) == [0, 1, 2]
    assert spread(1, 1) == [0]


def test_classes_take_turns_on_the_sheet() -> None:
    records = [Record(f"{label}{i}", "x.mp4", label) for label in "abcd" for i in range(50)]
    manifest = Manifest.from_records(records, classes=tuple("abcd"), root="/nowhere")
    assert [manifest[index].label for index in spread_labels(manifest, 8)] == list("aabbccdd")
    assert len({manifest[index].label for index in spread_labels(manifest, 3)}) == 3
    assert len(spread_labels(manifest.select(indices=[0, 60]), 8)) == 2


def test_the_command_draws_training_clips(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "new" / "sheet.png"
    show(folder, out=out, count=4, frames=5)
    sheet = read_png(out.read_bytes())
    assert sheet.shape[1] == 2 * MARGIN + HEADER + 5 * (160 + GAP)
    assert sheet.shape[0] == 2 * MARGIN + TITLE + 4 * (160 + CAPTION + GAP)
    assert f"{out}: 4 clips of 5 frames" in capsys.readouterr().out
    again = tmp_path / "again.png"
    show(folder, out=again, count=4, frames=5)
    assert again.read_bytes() == out.read_bytes()
    show(folder, out=again, count=4, frames=5, seed=1)
    assert again.read_bytes() != out.read_bytes()


def test_the_command_draws_the_views_of_a_protocol(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    show(folder, out=out, protocol="uniform-1x1", count=2, frames=4)
    sheet = read_png(out.read_bytes())
    for row in range(2):
        assert [read_number(cell_of(sheet, row, column, 160)) for column in range(4)] == [2, 7, 12, 17]


def test_bad_requests_are_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    with pytest.raises(UserError, match="--count must be at least 1"):
        show(folder, out=out, count=0)
    with pytest.raises(UserError, match="did you mean clip"):
        show(folder, out=out, protocol="clips")
    with pytest.raises(UserError, match="finetune"):
        show(folder, out=out, recipe="finetun")
    assert not out.exists()
