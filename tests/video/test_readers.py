"""The comparison of readers (benchmarks/readers, docs/readers.md): it sees what is wrong, and kinema is right in it."""

import importlib
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "readers.md"
KINEMA = ["kinema", "kinema, torchcodec"]

NOT_REPORTED = {"bits flipped, HEVC, MP4"}
"""Rows of the page in which kinema is not right: FFmpeg decodes such files without reporting damage, so only a scan
finds how many frames they have."""


@pytest.fixture
def part(monkeypatch):
    """Imports one file of the comparison."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "readers")
    return importlib.import_module


def rows_of(name: str) -> tuple[list[str], dict[str, list[str]]]:
    """Header and rows of a table of the page."""
    found = re.search(rf"<!-- readers: {name} -->\n(.*?)\n<!-- end: {name} -->", PAGE.read_text(), flags=re.DOTALL)
    assert found
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]
    return lines[0], {row[0]: row[1:] for row in lines[2:] if not row[0].startswith("**")}


@pytest.mark.parametrize("name", ["frames", "seconds"])
def test_the_page_says_that_kinema_is_right_in_every_row(name, part):
    header, rows = rows_of(name)
    columns = [header.index(reader) - 1 for reader in KINEMA]
    wrong = {row: cells for row, cells in rows.items() if {cells[column] for column in columns} - {"right", ""}}
    assert wrong.keys() <= NOT_REPORTED
    if name == "frames":
        assert list(rows) == [kind for group in part("kinds").KINDS.values() for kind in group]
        assert len({cell for cells in rows.values() for cell in cells}) > 20  # others are not right everywhere


def answer_for(part, made, numbers, *, change=lambda picture: picture):
    """An answer with these frames, asked for one by one and read in order."""
    marks = part("marked_frames")
    seen = [marks.read_marks(change(picture)) for picture in marks.marked_frames(numbers)]
    return part("answers").Answer(
        count=len(seen),
        seen=dict(enumerate(seen)),
        sequential=seen,
        times_sec={place: 0.04 * place for place in range(len(seen))},
        fps=25.0,
        segment=(25, 49),
    )


def test_wrong_frames_are_seen(part):
    numbers = list(range(50))
    made = part("made_files").Made(Path("a.mp4"), numbers, [0.04 * number for number in numbers])
    judge = part("judging").frames_cell

    def cell(numbers, **options):
        return judge(made, answer_for(part, made, numbers, **options))

    assert cell(numbers) == "right"
    assert cell([*numbers[:10], 12, *numbers[11:]]) == "1 of 50 off by up to 2"
    assert cell(numbers[:49]) == "1 of 50 refused"
    assert cell([*numbers, 50]) == "says 51 of 50 frames"
    assert cell([7] * 50) == "no picture"
    assert cell(numbers, change=lambda picture: picture[:, ::-1]) == "mirrored"
    assert cell(numbers, change=lambda picture: picture[::-1]) == "mirrored"
    assert cell(numbers, change=lambda picture: picture.swapaxes(0, 1)) == "mirrored"
    assert cell(numbers, change=lambda picture: np.rot90(picture, 2)) == "turned"
    assert cell(numbers, change=np.rot90) == "turned"
    assert cell(numbers, change=lambda picture: picture[..., ::-1]).startswith("colours")
    assert cell(numbers, change=lambda picture: picture[:126]) == "160 x 126 instead of 160 x 128"
    assert cell(numbers, change=lambda picture: np.roll(picture, 8, axis=1)) == "squeezed or shifted"


def test_unsteady_reading_of_damaged_files_is_seen(part):
    numbers = list(range(50))
    made = part("made_files").Made(Path("a.mp4"), numbers, None, damaged=range(20, 25))
    judge, shown = part("judging").frames_cell, [*range(20), 19, 19, *range(25, 50)]  # three frames lost
    answer = answer_for(part, made, shown)
    assert judge(made, answer) == "right"
    assert judge(made, replace(answer, seen={**answer.seen, 21: answer.seen[3]})) == "1 of 47 other than in order"
    assert judge(made, replace(answer, count=50)) == "says 50 frames, reads 47"
    assert judge(made, answer_for(part, made, [*range(20), *range(26, 50)])) == "1 after the damage wrong"
    assert judge(made, answer_for(part, made, [0, 2, *shown[2:]])) == "1 of 50 off by up to 1"


def test_wrong_seconds_are_seen(part):
    numbers = list(range(50))
    made = part("made_files").Made(Path("a.mp4"), numbers, [0.04 * number for number in numbers])
    judge, answer = part("judging").seconds_cell, answer_for(part, made, numbers)
    assert judge(made, answer) == "right"
    assert judge(made, replace(answer, times_sec={n: 0.04 * n + 1 for n in numbers})) == "all +1.00 s"
    assert judge(made, replace(answer, times_sec={n: 0.05 * n for n in numbers})) == "up to 0.49 s off"
    assert judge(made, replace(answer, segment=(25, 48))) == "second 1 to 2 is (25, 48), not (25, 49)"
    assert judge(made, replace(answer, fps=30.0)) == "30 fps for 25"


@pytest.mark.slow
@pytest.mark.parametrize("reader", KINEMA)
def test_kinema_is_right_in_every_made_file(reader, part, tmp_path):
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg command line program, which makes the files, is not here")
    reading, judging = part("reading"), part("judging")
    wrong = {}
    for name, made in part("kinds").make_all(tmp_path).items():
        request = {"path": str(made.path), "count": len(made.numbers), "has_color": made.has_color}
        answer = reading.read_with(reader, request)
        cells = {judging.frames_cell(made, answer), judging.seconds_cell(made, answer)}
        if cells - {"right", ""}:
            wrong[name] = cells
    assert wrong.keys() <= NOT_REPORTED
