"""Limits and errors of the readers of all formats: no source exhausts the memory, and no damaged one crashes them."""

import errno
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from specstore_service.domain.schemas import MAX_COLUMNS

BATCH_ROWS = 200
MAX_CELL_BYTES = 16 * 1024 * 1024


class Unreadable(Exception):
    """The data is not a table, or exceeds a limit. The message is for the owner of the spec."""


def too_many_columns(location: str) -> Unreadable:
    return Unreadable(f"{location} has more than {MAX_COLUMNS} columns: a table must have at most {MAX_COLUMNS}")


# zipfile raises these for an archive that is damaged, encrypted or compressed in an unsupported way.
_INVALID_ARCHIVE_ERRORS = (
    KeyError, ValueError, RuntimeError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
)  # fmt: skip


@contextmanager
def translate_archive_errors(message: str, *further_errors: type[Exception]) -> Iterator[None]:
    """Raise Unreadable with this message if an archive is invalid."""
    invalid_archive_errors: tuple[type[Exception], ...] = (*_INVALID_ARCHIVE_ERRORS, *further_errors)
    try:
        yield
    except invalid_archive_errors as error:
        raise Unreadable(message) from error
    except OSError as error:
        # bzip2 raises these for damaged data, and so does an offset outside the file. Others are storage errors.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise Unreadable(message) from error
