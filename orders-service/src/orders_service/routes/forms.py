"""A file in a request, written as it arrives: the body itself or a field of a form."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.sansio.multipart import File

from chassis.errors import Invalid, Problem
from chassis.web.uploads import UploadStream

FIELD = "csv_file"
_READ_BYTES = 64 * 1024
_MAX_PARTS = 100
_MAX_FIELD_BYTES = 256 * 1024
_MAX_NAME_LENGTH = 255
# Separates the parts of a form in its digest.
_END_OF_PART = b"\0end of a part\0"

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


class Writer(Protocol):
    def write(self, data: bytes) -> None: ...


@dataclass(frozen=True)
class ReceivedFile:
    """`digest` is that of the file, or of all fields and files of the form."""

    name: str
    digest: bytes


def receive_file(request: Request, body: UploadStream, name: str | None, writer: Writer) -> ReceivedFile:
    """Write the file to the writer. Raises Problem, before anything is written, if there is none of a right name."""
    digest = hashlib.sha256()
    if request.mimetype == "text/csv":
        name = _checked_name(name or "orders.csv")
        while data := body.read(_READ_BYTES):
            digest.update(data)
            writer.write(data)
        return ReceivedFile(name, digest.digest())
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary.isascii() or not boundary:
        raise Invalid(MISSING[1], errors=[MISSING])
    name = _FormParser(writer, digest).receive(body, boundary.encode())
    return ReceivedFile(name, digest.digest())


def _checked_name(file_name: str) -> str:
    """Return the last part of a path."""
    name = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    if not name.lower().endswith(".csv"):
        raise Problem(ONLY_CSV, status=415)
    if len(name) > _MAX_NAME_LENGTH:
        raise Invalid.field("file_name", "file_name must be at most 255 characters")
    if any(
        ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 or char == "\ufffd" for char in name
    ):
        raise Invalid.field("file_name", "file_name must not contain control characters")
    return name


class _FormParser(MultiPartParser):
    """Werkzeug's parser, which writes each file as it arrives instead of keeping it: ours to the writer."""

    def __init__(self, writer: Writer, digest: Any) -> None:
        super().__init__(max_form_memory_size=_MAX_FIELD_BYTES, max_form_parts=_MAX_PARTS, buffer_size=_READ_BYTES)
        self._writer, self._digest = writer, digest
        self._name: str | None = None

    def receive(self, stream: Any, boundary: bytes) -> str:
        """Read the form to its end and return the name of the file."""
        try:
            fields, _ = self.parse(stream, boundary, None)
        except RequestEntityTooLarge:
            raise Problem("the form has too many or too large parts beside the file", status=413) from None
        except ValueError:
            raise Invalid.field(
                FIELD, "the form cannot be read: it ends too early or its boundaries are wrong"
            ) from None
        if self._name is None:
            raise Invalid(MISSING[1], errors=[MISSING])
        for name, value in fields.items(multi=True):
            self._digest.update(repr((name, None)).encode("utf-8", "replace") + value.encode() + _END_OF_PART)
        return self._name

    def start_file_streaming(self, event: File, total_content_length: int | None) -> Any:
        self._digest.update(repr((event.name, event.filename)).encode("utf-8", "replace"))
        if event.name != FIELD or not event.filename:
            return _PartWriter(self._digest)
        if self._name is not None:
            raise Invalid.field(FIELD, "csv_file is given twice")
        self._name = _checked_name(event.filename)
        return _PartWriter(self._digest, self._writer)


class _PartWriter(io.RawIOBase):
    """Hands the content of a part on to the digest and, if there is one, to the writer."""

    def __init__(self, digest: Any, writer: Writer | None = None) -> None:
        self._digest, self._writer = digest, writer

    def write(self, data: Any) -> int:
        self._digest.update(data)
        if self._writer is not None:
            self._writer.write(data)
        return len(data)

    def seek(self, *_: Any) -> int:
        """Werkzeug rewinds the part at its end; nothing of it is left to be read."""
        self._digest.update(_END_OF_PART)
        return 0
