"""Upload of a file as the request body or as a field of a form; it is written while it arrives."""

import hashlib
import io
from dataclasses import dataclass
from typing import IO, Any, Protocol, cast

from flask import Request
from typing_extensions import Buffer
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.sansio.multipart import File

from chassis.errors import Invalid, Problem
from chassis.web.uploads import UploadStream
from orders_service.routes import examples

FIELD = "csv_file"
WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_READ_BYTES = 64 * 1024
_MAX_PARTS = 100
_MAX_FIELD_BYTES = 256 * 1024
_MAX_FILE_NAME_LENGTH = 255
# Separates the parts of a form in its digest.
_END_OF_PART = b"\0end of a part\0"

# The OpenAPI description of the body, which is read as a stream.
_BINARY = {"type": "string", "format": "binary"}
REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        # Generated clients that do not distinguish the first two send the second one as the content type.
        WORKBOOK: {"schema": _BINARY},
        "text/csv": {"schema": _BINARY, "example": examples.CSV},
        "multipart/form-data": {
            "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY}},
            "example": {FIELD: examples.CSV},
            "encoding": {FIELD: {"contentType": f"text/csv, {WORKBOOK}"}},
        },
    },
}

_FILE_REQUIRED = "csv_file is required: send it as a field of a form, or send the file itself as text/csv"


class Writer(Protocol):
    def write(self, data: bytes) -> None: ...


@dataclass(frozen=True)
class ReceivedFile:
    """The name, kind and digest of an upload; the digest covers the file, or all fields and files of the form."""

    name: str
    digest: bytes
    is_workbook: bool


def receive_file(request: Request, body: UploadStream, name: str | None, writer: Writer) -> ReceivedFile:
    """Write the uploaded file to the writer.

    Raise Problem before anything is written if the request has no file, or if its name is not allowed.
    """
    digest = hashlib.sha256()
    if request.mimetype in ("text/csv", WORKBOOK):
        name = _validate_file_name(name or ("orders.xlsx" if request.mimetype == WORKBOOK else "orders.csv"))
        while data := body.read(_READ_BYTES):
            digest.update(data)
            writer.write(data)
        return ReceivedFile(name, digest.digest(), _is_workbook(name, request.mimetype))
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary.isascii() or not boundary:
        raise Invalid.field(FIELD, _FILE_REQUIRED)
    parser = _FormParser(writer, digest)
    name = parser.receive(body, boundary.encode())
    return ReceivedFile(name, digest.digest(), parser.is_workbook)


def _is_workbook(name: str, content_type: str) -> bool:
    return content_type == WORKBOOK or name.lower().endswith(".xlsx")


def _validate_file_name(file_name: str) -> str:
    """Return the last component of the path; raise Problem if it is not an allowed name."""
    name = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    if not name.lower().endswith((".csv", ".xlsx")):
        raise Problem("only '.csv' files are allowed for upload.", status=415)
    if len(name) > _MAX_FILE_NAME_LENGTH:
        raise Invalid.field("file_name", "file_name must be at most 255 characters")
    # U+FFFD and surrogates represent bytes that are not valid UTF-8.
    if any(
        ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 or char == "\ufffd" for char in name
    ):
        raise Invalid.field("file_name", "file_name must be valid UTF-8 without control characters")
    return name


class _FormParser(MultiPartParser):
    """Form parser of Werkzeug that passes the uploaded file to the writer while it arrives, and keeps no files."""

    def __init__(self, writer: Writer, digest: "hashlib._Hash") -> None:
        super().__init__(max_form_memory_size=_MAX_FIELD_BYTES, max_form_parts=_MAX_PARTS, buffer_size=_READ_BYTES)
        self._writer, self._digest = writer, digest
        self._name: str | None = None
        self.is_workbook = False

    def receive(self, stream: UploadStream, boundary: bytes) -> str:
        """Read the form to its end and return the name of the file."""
        try:
            fields, _ = self.parse(cast(IO[bytes], stream), boundary, None)
        except RequestEntityTooLarge:
            raise Problem(
                "the form must have at most 100 parts, and at most 256 KiB in each part except the file", status=413
            ) from None
        except ValueError:
            raise Invalid.field(
                FIELD, "the form must be valid multipart/form-data: it ends too early, or its boundaries are wrong"
            ) from None
        if self._name is None:
            raise Invalid.field(FIELD, _FILE_REQUIRED)
        for name, value in fields.items(multi=True):
            self._digest.update(repr((name, None)).encode("utf-8", "replace") + value.encode() + _END_OF_PART)
        return self._name

    def start_file_streaming(self, event: File, total_content_length: int | None) -> IO[bytes]:
        self._digest.update(repr((event.name, event.filename)).encode("utf-8", "replace"))
        if event.name != FIELD or not event.filename:
            return cast(IO[bytes], _PartWriter(self._digest))
        if self._name is not None:
            raise Invalid.field(FIELD, "csv_file must not be repeated")
        self._name = _validate_file_name(event.filename)
        self.is_workbook = _is_workbook(self._name, event.headers.get("Content-Type", "").partition(";")[0].strip())
        return cast(IO[bytes], _PartWriter(self._digest, self._writer))


class _PartWriter(io.RawIOBase):
    """Output for a part of a form; passes the content to the digest and, for the uploaded file, to the writer."""

    def __init__(self, digest: "hashlib._Hash", writer: Writer | None = None) -> None:
        self._digest, self._writer = digest, writer

    def write(self, data: Buffer, /) -> int:
        content = bytes(data)
        self._digest.update(content)
        if self._writer is not None:
            self._writer.write(content)
        return len(content)

    def seek(self, *_: int) -> int:
        """Mark the end of the part, which Werkzeug rewinds; the content cannot be read again."""
        self._digest.update(_END_OF_PART)
        return 0
