"""Which reader gives which frame: makes files whose frames carry their number and asks every reader for every index.

    uv run --extra torchcodec --with decord2 python benchmarks/readers [--only WORD] [--write docs/readers.md]

Needs the ffmpeg command line program and takes some minutes. Readers run in processes of their own: one that crashes
or does not answer is a cell of the table like any other.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

from answers import Answer
from judging import RIGHT, frames_cell, seconds_cell
from kinds import KINDS, make_all
from made_files import Made
from marked_frames import Seen
from reading import READERS, versions

PATIENCE_SEC = 120
"""How long a reader may take for one file."""


class ReaderProcess:
    """One reader in a process of its own, started again after it died."""

    def __init__(self, reader: str) -> None:
        self.reader = reader
        self._process: subprocess.Popen[str] | None = None

    def answer(self, made: Made) -> Answer:
        """Ask for all frames of one file."""
        if self._process is None or self._process.poll() is not None:
            script = Path(__file__).with_name("reading.py")
            self._process = subprocess.Popen(
                [sys.executable, str(script), self.reader],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                bufsize=1,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENCV_LOG_LEVEL": "SILENT"},
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        request = {"path": str(made.path), "count": len(made.numbers), "has_color": made.has_color}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        while select.select([process.stdout], [], [], PATIENCE_SEC)[0]:
            line = process.stdout.readline()
            if not line:
                return Answer(error=f"the process ends with code {process.wait()}")
            if line.startswith("answer:"):
                return _parsed(json.loads(line.removeprefix("answer:")))
        process.kill()
        process.wait()
        return Answer(error=f"no answer in {PATIENCE_SEC} s")

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()


def _parsed(fields: dict) -> Answer:
    fields["seen"] = {int(place): _seen(seen) for place, seen in fields["seen"].items()}
    fields["sequential"] = [_seen(seen) for seen in fields["sequential"]]
    fields["times_sec"] = {int(place): time for place, time in fields["times_sec"].items()}
    fields["segment"] = tuple(fields["segment"]) if fields["segment"] else None
    return Answer(**fields)


def _seen(values: list) -> Seen:
    number, lies, color_error, shift, size, digest = values
    return Seen(number, lies, color_error, shift, tuple(size), digest)


Answers = dict[str, dict[str, Answer]]
"""By file, then by reader."""


def ask(files: dict[str, Made]) -> Answers:
    """Ask every reader about every file."""
    answers: Answers = {name: {} for name in files}
    for reader in READERS:
        process = ReaderProcess(reader)
        for name, made in files.items():
            answers[name][reader] = process.answer(made)
        process.close()
        right = sum(frames_cell(made, answers[name][reader]) == RIGHT for name, made in files.items())
        print(f"{reader}: {right} of {len(files)} right", file=sys.stderr, flush=True)
    return answers


def tables(files: dict[str, Made], answers: Answers) -> dict[str, str]:
    """The tables of the page by name."""
    readers = list(next(iter(answers.values())))
    frames = {name: {key: frames_cell(made, answers[name][key]) for key in readers} for name, made in files.items()}
    timed = [reader for reader in readers if reader != "PyAV, seeking"]
    seconds = {name: {key: seconds_cell(made, answers[name][key]) for key in timed} for name, made in files.items()}
    return {
        "versions": f"Measured with {versions()}.",
        "frames": markdown(frames),
        "seconds": markdown({name: row for name, row in seconds.items() if set(row.values()) - {RIGHT}}),
    }


def markdown(table: dict[str, dict[str, str]]) -> str:
    """One table, grouped as the kinds are, without rows that say nothing."""
    readers = list(next(iter(table.values()), {}))
    lines = [f"| file | {' | '.join(readers)} |", "|---" * (len(readers) + 1) + "|"]
    for group, kinds in KINDS.items():
        rows = [name for name in kinds if any(table.get(name, {}).values())]
        lines += [f"| **{group}** |{' |' * len(readers)}"] if rows else []
        lines += [f"| {name} | {' | '.join(table[name].values())} |" for name in rows]
    return "\n".join(lines)


def main() -> None:
    """Make the files, ask the readers, print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only the kinds whose name has this word")
    parser.add_argument("--reader", action="append", help="only this reader; may be given several times")
    parser.add_argument("--write", type=Path, help="write the tables into this page")
    options = parser.parse_args()
    for reader in set(READERS) - set(options.reader or READERS):
        del READERS[reader]
    with tempfile.TemporaryDirectory() as folder:
        files = make_all(Path(folder), options.only)
        found = tables(files, ask(files))
    if options.write is None:
        print("\n\n".join(found.values()))
        return
    page = options.write.read_text()
    for name, text in found.items():
        start, end = f"<!-- readers: {name} -->\n", f"\n<!-- end: {name} -->"
        before, rest = page.split(start)
        page = before + start + text + end + rest.split(end.lstrip("\n"), 1)[1]
    options.write.write_text(page)


if __name__ == "__main__":
    main()
