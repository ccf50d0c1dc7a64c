"""The command `quintet`."""

import os
import sys

# typer's own script asks for completions in this variable.
COMPLETION_VARIABLE = "_QUINTET_COMPLETE"


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # Text that the encoding of the terminal lacks is escaped rather than an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if COMPLETION_VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
    from quintet.cli.app import app

    app(prog_name="quintet")


def _open_closed_streams() -> None:
    """Replace standard streams that the caller has closed (`<&-`), or a connection would receive their number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
