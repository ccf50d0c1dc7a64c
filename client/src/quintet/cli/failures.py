"""Failures as one sentence on standard error, and as an exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import typer

from quintet.cli.output import printable, styled
from quintet.errors import (
    FieldError,
    NotConfigured,
    QuintetError,
    RateLimited,
    ResponseError,
    TimedOut,
    Unauthorized,
    Unavailable,
)

REFUSED, USAGE, UNAVAILABLE, INTERRUPTED = 1, 2, 3, 130
_EXIT_CODES: list[tuple[type[QuintetError], int]] = [
    (NotConfigured, USAGE),
    (Unavailable, UNAVAILABLE),
    (RateLimited, UNAVAILABLE),
    (TimedOut, UNAVAILABLE),
]
_UNEXPECTED = (
    "the response is not that of Quintet's gateway, or this is a defect ({}); "
    "`python -X dev -m quintet` prints where it happened"
)


def exit_code_of(error: QuintetError) -> int:
    return next((code for class_, code in _EXIT_CODES if isinstance(error, class_)), REFUSED)


def print_error(message: str) -> None:
    """Print the message, without control characters that a service may have returned."""
    typer.echo(f"{styled('Error:', fg='red', bold=True)} {printable(message)}", err=True)


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn the failures of a command into a message and an exit code; no traceback helps the person who sees it."""
    try:
        yield
    except QuintetError as error:
        print_error(describe(error))
        raise typer.Exit(exit_code_of(error)) from None
    except (BrokenPipeError, typer.Exit):
        raise
    except typer.Abort as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        # Ctrl-C at a question has the exit code of Ctrl-C elsewhere.
        typer.echo(err=True)
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        text = error.strerror or str(error)
        print_error(f"{error.filename}: {text}" if error.filename else text)
        raise typer.Exit(REFUSED) from None
    except ValueError as error:
        print_error(str(error))
        raise typer.Exit(USAGE) from None
    except Exception as error:
        # Click's own exceptions, such as a usage error, have an exit code.
        if sys.flags.dev_mode or hasattr(error, "exit_code"):
            raise
        print_error(_UNEXPECTED.format(f"{type(error).__name__}: {error}"))
        raise typer.Exit(REFUSED) from None


def describe(error: QuintetError) -> str:
    """Return the sentence for people: what was refused and why, the invalid fields, and the ID of the request."""
    if not isinstance(error, ResponseError):
        return str(error)
    fields = [text for text in map(_field_text, error.errors) if text not in error.detail]
    facts = [f"{error.status} {error.title}".strip()] if error.status else []
    facts += [f"request {error.request_id}"] if error.request_id else []
    # The gateway's text repeats the title.
    is_login_wrong = isinstance(error, Unauthorized) and error.detail == error.title
    detail = "the user name or the password is wrong" if is_login_wrong else error.detail.rstrip(".")
    sentence = "; ".join([detail, *fields])
    return f"{sentence} ({', '.join(facts)})" if facts else sentence


def _field_text(error: FieldError) -> str:
    return error.message if error.message.startswith(error.field) else f"{error.field}: {error.message}"
