"""A file that comes with a request, read as it comes: as the body itself or as a field of a form."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from chassis.errors import Invalid, Problem
from chassis.web.uploads import UploadStream

FIELD = "csv_file"
_READ_BYTES = 64 * 1024
_MOST_PARTS = 100
_LARGEST_FIELD_BYTES = 256 * 1024
_LONGEST_NAME = 255

# What the document says of the body, which is read as it comes.
_BYTES = {"type": "string", "contentMediaType": "application/octet-stream"}
FILE = {
    "required": True,
    "content": {
        "text/csv": {},
        "multipart/form-data": {
            "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BYTES}},
            "encoding": {FIELD: {"contentType": "text/csv"}},
        },
    },
}

MISSING = (FIELD, "csv_file is missing: send a form with it, or the file itself as text/csv")
ONLY_CSV = "only '.csv' files are allowed for upload."


@dataclass
class Incoming:
    """`pieces` can be gone through once; `digest` is of all that was sent, once they are."""

    name: str
    pieces: Iterator[bytes]
    digest: Any


def incoming(request: Request, body: UploadStream, name: str | None) -> Incoming:
    """Raises Invalid, before the file is read, for what is none."""
    if request.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise Problem("Content-Encoding is not supported: send the file as it is", status=415)
    digest = hashlib.sha256()
    if request.mimetype == "text/csv":
        return Incoming(checked_name(name or "orders.csv"), _hashed(_read(request, body), digest), digest)
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary.isascii() or not boundary:
        raise Invalid(MISSING[1], errors=[MISSING])
    form = _Form(boundary.encode(), _read(request, body), digest)
    return Incoming(checked_name(form.begin()), form.content(), digest)


def checked_name(given: str) -> str:
    """Of a path the last part."""
    name = given.replace("\\", "/").rsplit("/", 1)[-1]
    if not name.lower().endswith(".csv"):
        raise Problem(ONLY_CSV, status=415)
    if len(name) > _LONGEST_NAME:
        raise Invalid.field("file_name", "file_name must be at most 255 characters")
    if any(
        ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 or char == "\ufffd" for char in name
    ):
        raise Invalid.field("file_name", "file_name must not contain control characters")
    return name


def _read(request: Request, body: UploadStream) -> Iterator[bytes]:
    """All of the body. Raises Invalid where the client broke off, which looks like an end to a length that is told."""
    missing = request.content_length or 0
    while piece := body.read(_READ_BYTES):
        missing -= len(piece)
        yield piece
    if missing > 0:
        raise Invalid.field(FIELD, "the upload broke off before its end")


def _hashed(pieces: Iterator[bytes], digest: Any) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


class _Form:
    """The fields of a multipart form one after the other; the file's content is handed on, never kept."""

    def __init__(self, boundary: bytes, body: Iterator[bytes], digest: Any) -> None:
        self._decoder = MultipartDecoder(boundary, _LARGEST_FIELD_BYTES, max_parts=_MOST_PARTS)
        self._body, self._digest = body, digest

    def begin(self) -> str:
        """The name of the file, once its field begins."""
        while not isinstance(event := self._next(), Epilogue):
            if self._is_file(event):
                return event.filename
        raise Invalid(MISSING[1], errors=[MISSING])

    def content(self) -> Iterator[bytes]:
        """Up to the end of the whole form: a second file in it makes it wrong."""
        is_ours = True
        while not isinstance(event := self._next(), Epilogue):
            if isinstance(event, Data):
                if is_ours and event.data:
                    yield bytes(event.data)
                is_ours = is_ours and event.more_data
            elif self._is_file(event):
                raise Invalid.field(FIELD, "csv_file is given twice")

    def _is_file(self, event: Any) -> bool:
        return isinstance(event, File) and event.name == FIELD and bool(event.filename)

    def _next(self) -> Any:
        try:
            event = self._decoder.next_event()
            while isinstance(event, NeedData):
                self._decoder.receive_data(next(self._body, None))
                event = self._decoder.next_event()
        except RequestEntityTooLarge:
            raise Problem("the form has too many or too large parts beside the file", status=413) from None
        except ValueError:
            raise Invalid.field(
                FIELD, "the form cannot be read: it ends too early or its boundaries are wrong"
            ) from None
        self._note(event)
        return event

    def _note(self, event: Any) -> None:
        """For the digest: names and contents, not the boundary."""
        if isinstance(event, Field | File):
            self._digest.update(repr((event.name, getattr(event, "filename", None))).encode("utf-8", "replace"))
        elif isinstance(event, Data):
            self._digest.update(event.data)
            if not event.more_data:
                self._digest.update(b"\0end of a part\0")
