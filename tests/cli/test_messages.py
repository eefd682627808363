"""Messages of the library on the command line: on standard error, wherever that leads at the moment."""

import io
import logging
from contextlib import redirect_stderr

from kinema.cli.main import StandardErrorHandler


def test_messages_follow_standard_error() -> None:
    """A bar takes standard error over while it is shown, so that a message does not land in its line."""
    handler, taken, record = StandardErrorHandler(), io.StringIO(), logging.makeLogRecord({"msg": "a note"})
    with redirect_stderr(taken):
        handler.emit(record)
    assert taken.getvalue() == "a note\n"
    taken.close()
    with redirect_stderr(taken):  # nobody listens any more: that must not end a run
        handler.emit(record)
