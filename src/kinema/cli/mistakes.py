"""Command lines that cannot be read, answered in three lines: what is wrong, what may be meant, where to look."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from kinema.cli.argument_kinds import kind_of
from kinema.errors import nearest

_OPTION = re.compile(r"(?<![\w-])--[a-z][\w.-]*\w")

_KINDS = {"INT": "a whole number", "FLOAT": "a number"}


class Command(NamedTuple):
    """The verb of a command line.

    Attributes:
        path: The words that name it, without ``kinema``; as many as are known names.
        choices: Names that may follow: verbs, or those of a group; empty where the verb is complete.
        rest: The words after ``path``.
    """

    path: tuple[str, ...]
    choices: tuple[str, ...]
    rest: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(["kinema", *self.path])


def find_command(words: Sequence[str], verbs: Iterable[str]) -> Command:
    """Read which verb a command line names, as far as its names are known.

    Args:
        words: The command line after ``kinema``.
        verbs: Every verb, those of a group with a space between, such as ``"data scan"``.
    """
    ways = [verb.split() for verb in verbs]
    path: list[str] = []
    for word in words:
        longer = [way for way in ways if way[: len(path) + 1] == [*path, word]]
        if not longer:
            break
        ways, path = longer, [*path, word]
    following = sorted((way[len(path) :] for way in ways), key=lambda rest: len(rest) > 1)  # groups come last
    choices = dict.fromkeys(rest[0] for rest in following if rest)
    return Command(tuple(path), tuple(choices), tuple(words[len(path) :]))


def explain(command: Command, box: str, read_help: Callable[[], str]) -> str:
    """Say in at most three lines why a command line cannot be read.

    Args:
        command: The verb that it names.
        box: What tyro printed about it, to a standard output that is no terminal and knows no UTF-8.
        read_help: Gives the help page of the verb.
    """
    title, lines = _read_box(box)
    text = " ".join(line.strip() for line in lines)
    if command.choices:
        answer = _wrong_name(command)
    elif title == "Unrecognized options":
        answer = _unknown(command, read_help())
    elif title == "Required options":
        answer = _missing(command, lines)
    else:
        answer = [f"error: {_about_a_value(text)}"]
    return "\n".join([*answer, f"{'help' if command.choices else 'all options'}: {command} --help"])


def _read_box(box: str) -> tuple[str, list[str]]:
    """The title of tyro's box, drawn in ASCII, and the lines of its first part; their own indentation stays."""
    title, _, *others = [line for line in box.splitlines() if line.strip()] or ["", ""]
    lines = list(itertools.takewhile(lambda line: not line.strip().startswith("----"), others))
    return title.strip(), [line[2:].rstrip() for line in lines]


def _wrong_name(command: Command) -> list[str]:
    given = next((word for word in command.rest if not word.startswith("-")), "")
    names = f"commands: {', '.join(command.choices)}"
    if not given:
        options = [word for word in command.rest if word.startswith("-")]
        what = f"{command} has no option {options[0]}" if options else f"{command} needs a command"
        return [f"error: {what}", names]
    close = nearest(given, command.choices)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    return [f"error: {command} has no command {given!r}{meant}", names]


def _unknown(command: Command, help_page: str) -> list[str]:
    """Options that the verb does not have, or else words too many."""
    options = list(dict.fromkeys(_OPTION.findall(help_page)))
    known = {*options, "-h"}
    given = [word.partition("=")[0] for word in command.rest if re.match(r"--?[a-zA-Z]", word)]
    unknown = list(dict.fromkeys(word for word in given if word.replace("_", "-") not in known))
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        answer = [f"error: {command} has no option{plural} {', '.join(unknown)}"]
        close = [name for word in unknown for name in _nearest_options(word, options)]
        return [*answer, f"did you mean {' or '.join(dict.fromkeys(close))}?"] if close else answer
    words = [word for word in command.rest if not word.startswith("-")]
    answer = [f"error: {command} cannot place all of its arguments: {' '.join(words)}"]
    return [*answer, *_as_data(words[1:], options)]


def _nearest_options(word: str, options: Sequence[str]) -> list[str]:
    """Options that look like a word, also where only the part after a dot does, such as weight-decay."""
    bare = word.lstrip("-").replace("_", "-")
    by_leaf: dict[str, list[str]] = {}
    for option in options:
        by_leaf.setdefault(option.lstrip("-").rpartition(".")[2], []).append(option)
    if bare in by_leaf:
        return by_leaf[bare]
    whole = [f"--{name}" for name in nearest(bare, [option.lstrip("-") for option in options], count=2)]
    return whole or [option for leaf in nearest(bare, by_leaf, count=2) for option in by_leaf[leaf]][:2]


def _missing(command: Command, lines: Sequence[str]) -> list[str]:
    """What tyro lists as missing: names are indented by four, their descriptions by eight."""
    names = [line.strip() for line in lines if re.match(r" {4}\S", line)]
    answer = [f"error: {command} needs {' and '.join(names)}"]
    if any(name.startswith("--data ") for name in names):
        words = [word for word in command.rest if not word.startswith("-")]
        return [*answer, *_as_data(words[1:], ["--data"])]
    about = " ".join(line.strip() for line in lines if re.match(r" {8}\S", line)).removesuffix(" (required)")
    return [*answer, f"{names[0].split()[0]}: {about}"] if len(names) == 1 and about else answer


def _as_data(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """Advice for data that were given without their option."""
    data = [word for word in words if kind_of(word) in ("data", "folder")]
    return [f"did you mean --data {' '.join(data)}?"] if data and "--data" in options else []


def _about_a_value(text: str) -> str:
    """One sentence about a value that an option cannot have, from tyro's several."""
    if choice := re.search(r"invalid choice (.+?) for argument '(.+?)'\. Expected one of \((.+?),?\)", text):
        return f"{choice[2]} is {choice[1]}; allowed: {choice[3].replace(chr(39), '')}"
    if absent := re.search(r"Missing value for argument '(.+?)'", text):
        return f"{absent[1]} needs a value"
    if typed := re.search(r"Error parsing (\S+?):? no type matching (\S+) could be .*? from (\[.*?\])", text):
        kind = typed[2].replace("{None}|", "").replace("|{None}", "")
        return f"{typed[1]} is {typed[3].strip('[]')}; it takes {_KINDS.get(kind, kind)}"
    if literal := re.search(r"Error parsing (\S+): .*?(int|float)\b.*: (.+)$", text):
        return f"{literal[1]} is {literal[3]}; it takes {_KINDS[literal[2].upper()]}"
    return text
