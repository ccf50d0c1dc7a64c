"""Text encodings of uploaded files, which are transcoded to UTF-8 step by step and back for errors.csv."""

import codecs
import encodings
import pkgutil
import re
from dataclasses import dataclass

# Python also has codecs that are not encodings of text files. Encodings that Python does not list are never looked up,
# because it remembers each unknown name.
_NO_FILE_ENCODINGS = (
    *("aliases", "base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"),
    *("charmap", "idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "utf_7"),
)
# The decoders of these encodings of e-mails fail between two parts of a file for some bytes that are not text.
_EMAIL_ENCODINGS = "iso2022_"
_NAMES = frozenset(
    module.name
    for module in pkgutil.iter_modules(encodings.__path__)
    if module.name not in _NO_FILE_ENCODINGS and not module.name.startswith(_EMAIL_ENCODINGS)
)
_MARKS = {
    "utf_8": codecs.BOM_UTF8,
    "utf_16_le": codecs.BOM_UTF16_LE,
    "utf_16_be": codecs.BOM_UTF16_BE,
    "utf_32_le": codecs.BOM_UTF32_LE,
    "utf_32_be": codecs.BOM_UTF32_BE,
}
MAX_MARK_BYTES = max(map(len, _MARKS.values()))
UTF_8, UTF_8_WITH_MARK = "utf_8", "utf_8_sig"

# A byte that cannot be decoded becomes two noncharacters, one for each half of the byte, and U+0000 becomes one. Unlike
# the originals, polars and Postgres can store them.
_ESCAPED_NUL = "\ufde0"
_ESCAPED_BYTES = re.compile("((?:[\ufdd0-\ufddf][\ufde0-\ufdef])+)")
_UNREADABLE = re.compile("[\udc80-\udcff]")
# The beginning of every noncharacter of this kind in UTF-8, and of a few letters.
MAY_BEGIN_NONCHARACTER = b"\xef\xb7"
IS_UNREADABLE = re.compile("[\udc80-\udcff\ufdd0-\ufdef]")


@dataclass(frozen=True)
class DecoderState:
    """The state of a decoder between two parts of a file: bytes of an incomplete character, and its mode.

    The mode is None at the beginning of the file. A decoder must only receive a mode that it has returned itself.
    """

    pending: bytes = b""
    mode: int | None = None


def find_encoding(name: str) -> str | None:
    """Return the normalized name of a text encoding, None if it is unknown or not an encoding of text files."""
    if not name.isascii() or len(name) > 40:
        return None
    normalized = encodings.normalize_encoding(name).lower()
    normalized = encodings.aliases.aliases.get(normalized, normalized)
    return normalized if normalized in _NAMES else None


def detect_encoding(beginning: bytes, requested: str | None) -> tuple[str, int]:
    """Return the encoding of a file and the length of its byte order mark.

    `beginning` has at least MAX_MARK_BYTES, unless the file is shorter. Without a request and a mark, it is UTF-8.
    UTF-16 and UTF-32 without a mark are little-endian.
    """
    family = (requested or "utf").removesuffix("_sig")
    # The mark of UTF-16 is the beginning of that of UTF-32, which counts only if it is requested.
    for encoding, mark in _MARKS.items():
        is_candidate = encoding.startswith(family) and (requested or not encoding.startswith("utf_32"))
        if is_candidate and beginning.startswith(mark):
            return UTF_8_WITH_MARK if encoding == UTF_8 else encoding, len(mark)
    return {"utf": UTF_8, "utf_16": "utf_16_le", "utf_32": "utf_32_le"}.get(family, family), 0


def to_utf8(data: bytes, encoding: str, state: DecoderState, *, at_end: bool) -> tuple[bytes, DecoderState]:
    """Return the characters that this part of a file completes, in UTF-8, and the state of the decoder after them.

    Files in UTF-8 are returned unchanged: their invalid bytes are found when the rows are read.
    """
    if encoding in (UTF_8, UTF_8_WITH_MARK):
        return data, state
    decoder = codecs.getincrementaldecoder(encoding)("quintet_escape")
    if state.mode is not None:
        decoder.setstate((state.pending, state.mode))
    text = decoder.decode(data, at_end)
    return text.encode("utf-8"), DecoderState(*decoder.getstate())


def _escape_byte(byte: int) -> str:
    return chr(0xFDD0 + (byte >> 4)) + chr(0xFDE0 + (byte & 15))


def _escape_undecodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(map(_escape_byte, error.object[error.start : error.end])), error.end


codecs.register_error("quintet_escape", _escape_undecodable)


def escape_unreadable(text: str) -> str:
    """Escape U+0000 and the bytes that the error handler `surrogateescape` has put into the text."""
    return _UNREADABLE.sub(lambda match: _escape_byte(ord(match[0]) & 0xFF), text.replace("\0", _ESCAPED_NUL))


def encode_report(text: str, encoding: str) -> bytes:
    """Return the text in the encoding of a file, with the escaped bytes as they were in it."""
    codec = UTF_8 if encoding == UTF_8_WITH_MARK else encoding
    parts = _ESCAPED_BYTES.split(text)
    return b"".join(
        _restore_bytes(part) if index % 2 else part.replace(_ESCAPED_NUL, "\0").encode(codec, "replace")
        for index, part in enumerate(parts)
    )


def _restore_bytes(escaped: str) -> bytes:
    return bytes((ord(escaped[i]) - 0xFDD0) << 4 | (ord(escaped[i + 1]) - 0xFDE0) for i in range(0, len(escaped), 2))


def byte_order_mark(encoding: str) -> bytes:
    """Return the mark with which a file in this encoding begins, b"" if it has none."""
    return b"" if encoding == UTF_8 else _MARKS.get(UTF_8 if encoding == UTF_8_WITH_MARK else encoding, b"")


def charset(encoding: str) -> str:
    """Return the name of the encoding for `Content-Type`."""
    name = encoding.removesuffix("_sig").replace("_", "-")
    return name.removesuffix("-le").removesuffix("-be") if byte_order_mark(encoding) else name
