"""The entry point of ``kinema``: finds the verb, runs it, and turns mistakes of the user into one line."""

from __future__ import annotations

import functools
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress

import tyro
from tyro.extras import SubcommandApp

from kinema import __version__
from kinema.cli.mistakes import Command, explain, find_command
from kinema.cli.plugins import load_plugin, without_plugins
from kinema.cli.readable import first_paragraph, readable
from kinema.cli.verbs import GROUPS, VERBS, load_verb
from kinema.compute.environment import is_first_process
from kinema.compute.signals import Processes
from kinema.errors import UserError

DESCRIPTION = (
    "Train, evaluate, compare and run convolutional networks that recognise actions in video. kinema --version prints "
    "the version. --plugin FILE.py, with any command, first runs a file of yours that registers modules or backbones."
)


def build_app(*, is_overview: bool = False) -> SubcommandApp:
    """Collect the verbs; importing them loads nothing heavy, so ``--help`` answers at once.

    The command line of a verb gives a call without arguments, which does the work.

    Args:
        is_overview: Describe each verb by the first paragraph of its docstring only.
    """
    app = SubcommandApp()
    apps = {"": app, **{group: SubcommandApp() for group in GROUPS}}
    for name in VERBS:
        group, _, word = name.rpartition(" ")
        function = load_verb(name)
        text = first_paragraph(function) if is_overview else None
        apps[group].command(name=word, help=text)(readable(function))
    for group, text in GROUPS.items():
        app.command(apps[group], name=group, help=text)
    return app


def run(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        args: The words after ``kinema``; the process's own by default.

    Returns:
        0 when all went well, 1 for a mistake in the input (one line on standard error says which), 2 for a command
        line that cannot be read, 130 after Ctrl-C. With ``KINEMA_DEBUG=1`` mistakes keep their traceback.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[StandardErrorHandler()])
    logging.getLogger("kinema").setLevel(logging.INFO)
    debug = os.environ.get("KINEMA_DEBUG", "") not in ("", "0")
    words = sys.argv[1:] if args is None else list(args)
    if words in (["--version"], ["-V"]):
        print(f"kinema {__version__}")
        return 0
    try:
        words, plugins = without_plugins(words)
        for plugin in plugins:
            load_plugin(plugin)
        _read(words)()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:
        if debug:
            raise
        if is_first_process() or not (isinstance(error, UserError) and error.by_all):
            print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _read(words: Sequence[str]) -> Callable[[], None]:
    """Read a command line; one that cannot be read ends the process with three lines about it."""
    command = find_command(words, VERBS)
    if command.choices and not command.rest:  # such as a bare "kinema" or "kinema data"
        print(_help_page(command), end="", file=sys.stderr)
        raise SystemExit(2)
    messages = io.StringIO()
    try:
        with redirect_stderr(messages):
            call = _parsed(words, command)
    except SystemExit as stop:
        if stop.code != 2:
            raise
        box = io.StringIO()  # tyro draws by what standard output is: here without colours, in ASCII
        with redirect_stderr(box), redirect_stdout(io.StringIO()), suppress(SystemExit):
            _parsed(words, command)
        print(explain(command, box.getvalue(), functools.partial(_help_page, command)), file=sys.stderr)
        raise
    print(messages.getvalue(), file=sys.stderr, end="")
    return call


def _parsed(words: Sequence[str], command: Command) -> Callable[[], None]:
    app = build_app(is_overview=bool(command.choices))
    # Help comes from docstrings; without the last word the sources are searched for comments at every start.
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.HelptextFromCommentsOff)
    return app.cli(prog="kinema", description=DESCRIPTION, args=words, config=config, sort_subcommands=False)


def _help_page(command: Command) -> str:
    page = io.StringIO()
    with redirect_stdout(page), suppress(SystemExit):
        _parsed([*command.path, "--help"], command)
    return page.getvalue()


class StandardErrorHandler(logging.Handler):
    """Writes to whatever standard error is at the moment: while a bar is shown, the bar makes room for the line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line; one that nobody listens to any more is lost."""
        with suppress(OSError, ValueError):
            print(self.format(record), file=sys.stderr, flush=True)


def main() -> None:
    """Run the command line of this process and exit with its status."""
    # Threads that wait for one another sleep instead of spinning. Beside busy decoders spinning took three times the
    # processor time of the work itself (61 against 22 s for one epoch of a tiny network on two cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files that are not UTF-8 are printed as the bytes they are
            stream.reconfigure(errors="surrogateescape")
    Processes.is_own = True
    sys.exit(run())
