"""The command `quintet`."""

import os
import sys

# typer's own script asks for completions in this variable.
COMPLETION_VARIABLE = "_QUINTET_COMPLETE"


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Text that the encoding of the terminal lacks is escaped rather than an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if COMPLETION_VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
    from quintet.cli.app import app

    app(prog_name="quintet")
