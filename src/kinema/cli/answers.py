"""The answers of ``kinema predict``: as text, JSON or CSV on the terminal, and in a file."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from kinema.data.bad_video import BadVideo
from kinema.errors import UserError, VideoError
from kinema.files import whole_file
from kinema.wording import counted

if TYPE_CHECKING:
    from kinema.evaluation.predict import Prediction
    from kinema.evaluation.timeline import Timeline

ENDINGS = (".csv", ".json", ".jsonl")


class AnswerFile:
    """Collects answers and writes them into one file, whole or not at all.

    Args:
        path: The file; ``.csv`` has a row for each class or segment, ``.json`` a list with an object for each video,
            ``.jsonl`` one such object a line.

    Raises:
        UserError: The ending is another one, or the folder cannot be made.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in ENDINGS:
            raise UserError(f"--out is {path}; its name must end in {', '.join(ENDINGS)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._contents: list[dict[str, Any]] = []
        self._num_bad = 0

    def add(self, answer: Prediction | Timeline | BadVideo) -> None:
        """Take an answer; a video without one is named in JSON, with the reason."""
        if isinstance(answer, BadVideo):
            self._num_bad += 1
            self._contents.append({"video": answer.video_id, "error": answer.reason})
        else:
            self._contents.append(answer.to_dict())

    def write(self, videos: Sequence[str]) -> str:
        """Write the file, in the order of the videos, and say in a line what is in it."""
        ranks = {video: rank for rank, video in enumerate(videos)}
        self._contents.sort(key=lambda content: ranks[content["video"]])
        answered = [content for content in self._contents if "error" not in content]
        with whole_file(self._path) as part, part.open("w", encoding="utf-8", newline="") as file:
            what = self._write(file, answered)
        bad = f"; {counted(self._num_bad, 'video')} gave no answer" if self._num_bad else ""
        return f"answers: {self._path}: {counted(len(answered), 'video')}, {what}{bad}"

    def _write(self, file: TextIO, answered: Sequence[dict[str, Any]]) -> str:
        match self._path.suffix.lower():
            case ".csv":
                for row, content in enumerate(answered):
                    write_csv(content, file, with_head=row == 0)
                columns = f" ({', '.join(['video', *_rows(answered[0])[0]])})" if answered else ""
                return f"{counted(sum(len(_rows(content)) for content in answered), 'row')}{columns}"
            case ".json":
                file.write(json.dumps(self._contents, indent=1) + "\n")
                return "a list with an object for each"
            case _:
                file.writelines(f"{json.dumps(content)}\n" for content in self._contents)
                return "an object a line"


class AnswerOutput:
    """Hands answers out as they come: on the terminal, into a file and as pictures.

    Args:
        videos: The videos that are asked about.
        form: On the terminal: ``text``, ``json``, ``csv``, or empty for nothing.
        file: Collects the answers too; None for no file.
        pictures: Where answers are drawn, a file for one video or a folder; None for no pictures.
    """

    def __init__(self, videos: Sequence[str], form: str, file: AnswerFile | None, *, pictures: Path | None) -> None:
        self._videos = videos
        self._form = form
        self._file = file
        self._pictures = pictures
        self._names = picture_names(videos)
        self._unanswered: list[str] = []
        self._num_printed = 0

    def add(self, answer: Prediction | Timeline | BadVideo) -> None:
        """Hand out one answer; a video without one is reported, and the others go on.

        Raises:
            VideoError: The only video has no answer.
        """
        is_only = len(self._videos) == 1
        if self._file is not None and not (is_only and isinstance(answer, BadVideo)):
            self._file.add(answer)
        if isinstance(answer, BadVideo):
            error = VideoError(answer.path, answer.reason)
            if is_only:
                raise error
            print(f"error: {error}", file=sys.stderr, flush=True)
            self._unanswered.append(answer.video_id)
            return
        print_answer(answer, self._form, is_first=self._num_printed == 0)
        self._num_printed += 1
        if self._pictures is not None:
            is_file = is_only and self._pictures.suffix
            path = self._pictures if is_file else self._pictures / self._names[answer.path]
            print(f"picture: {_draw(answer, path)}", file=sys.stderr)

    def finish(self) -> None:
        """Write the file.

        Raises:
            UserError: Videos have no answer.
        """
        if self._file is not None:
            print(self._file.write(self._videos), file=sys.stderr)
        if self._unanswered:
            total = counted(len(self._videos), "video")
            raise UserError(f"{len(self._unanswered)} of {total} gave no answer: {', '.join(self._unanswered)}")


def print_answer(answer: Prediction | Timeline, form: str, *, is_first: bool) -> None:
    """Print an answer as text, as a line of JSON, or as rows of CSV under a head."""
    content = answer.to_dict()
    if form == "json":
        print(json.dumps(content), flush=True)
    elif form == "csv":
        write_csv(content, sys.stdout, with_head=is_first)
        sys.stdout.flush()
    elif form == "text":
        print(content["video"])
        for row in _rows(content):
            when = f"{clock(row['start_sec'])} - {clock(row['end_sec'])}  " if "start_sec" in row else ""
            print(f"  {when}{100 * row['probability']:5.1f} %  {row['class']}")
        sys.stdout.flush()


def write_csv(content: dict[str, Any], file: TextIO, *, with_head: bool) -> None:
    """Write the rows of one video."""
    writer, rows = csv.writer(file, lineterminator="\n"), _rows(content)
    if with_head:
        writer.writerow(["video", *rows[0]])
    writer.writerows([content["video"], *row.values()] for row in rows)


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, such as 1:02:03.4; hours only when there are some."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    shown = f"{minutes:02d}:{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{shown}" if hours else shown


def picture_names(videos: Sequence[str]) -> dict[str, str]:
    """A file name for the picture of each video: its own, with its folder's in front where others are called alike."""
    paths = {video: Path(video) for video in videos}
    stems = Counter(path.stem for path in paths.values())
    names: dict[str, str] = {}
    for video, path in paths.items():
        name = path.stem if stems[path.stem] == 1 else f"{path.parent.name}-{path.stem}"
        number, unique = 1, name
        while f"{unique}.png" in names.values():
            number += 1
            unique = f"{name}-{number}"
        names[video] = f"{unique}.png"
    return names


def _draw(answer: Prediction | Timeline, path: Path) -> Path:
    from kinema.evaluation.predict import Prediction
    from kinema.report.answers import plot_strip, plot_timeline

    return plot_strip(answer, path) if isinstance(answer, Prediction) else plot_timeline(answer, path)


def _rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The segments of a timeline, or the best classes of a prediction."""
    return content["segments"] if "segments" in content else content["top"]
