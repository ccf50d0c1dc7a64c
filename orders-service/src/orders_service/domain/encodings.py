"""Text encodings of uploaded files, which are transcoded to UTF-8 step by step and back for errors.csv."""

import codecs
import encodings
import functools
import itertools
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass

from orders_service.domain.formulas import IS_SIGNIFICANT

# Python also has codecs that are not encodings of text files. Encodings that Python does not list are never looked up,
# because it remembers each unknown name.
_NO_FILE_ENCODINGS = (
    *("aliases", "base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"),
    *("charmap", "idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "utf_7"),
    # In these, a byte does not determine a character: it depends on preceding ones, or on the direction of writing.
    *("hz", "mac_arabic", "mac_farsi"),
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
_UNREADABLE = re.compile("[\udc00-\udcff]")
# Noncharacters that a file contains are escaped like bytes that cannot be decoded: otherwise they would pass for these,
# and a cell could hide a formula from `escape` that errors.csv would restore.
_ESCAPED_LIKE_BYTES = re.compile("[\udc00-\udcff\ufdd0-\ufdef\ufffe\uffff]")
_NONCHARACTER_IN_UTF_8 = re.compile(b"\xef(?:\xb7[\x90-\xaf]|\xbf[\xbe\xbf])")
_BEGINNING_OF_NONCHARACTER = re.compile(b"\xef[\xb7\xbf]?\\Z")
# Some encodings have several byte sequences for one character. In a line whose bytes encoding would not restore, they
# precede the characters, as characters from U+E000; noncharacters enclose and separate both.
_SOURCE, _END_OF_SOURCE, _FIRST_SOURCE_BYTE = "\ufffe", "\uffff", 0xE000
_WITH_SOURCE = re.compile(f"{_SOURCE}([\ue000-\ue0ff]+){_SOURCE}([^{_SOURCE}{_END_OF_SOURCE}]+){_END_OF_SOURCE}")
# Some encodings also have a byte sequence for a character together with one of these, with which a part may begin.
_MERGED_CHARACTERS = frozenset("\u02e5\u02e9\u0300\u0301\u0304\u030c\u309a")
MAY_BEGIN_SOURCE = _SOURCE.encode()
_MAX_RUN_BYTES = 4096
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

    Of files in UTF-8, only noncharacters are changed: their invalid bytes are found when the rows are read. In others,
    the text may contain the bytes of characters, which `remove_source_bytes` removes and `encode_report` restores.
    """
    if encoding in (UTF_8, UTF_8_WITH_MARK):
        return _escape_noncharacters(state.pending + data, at_end=at_end)
    decoder = codecs.getincrementaldecoder(encoding)("quintet_escape")
    if state.mode is not None:
        decoder.setstate((state.pending, state.mode))
    text = _escape(decoder.decode(data, at_end), encoding)
    next_state = DecoderState(*decoder.getstate())
    source = (state.pending + data).removesuffix(next_state.pending)
    if not encoding.startswith("utf_") and not _is_restored(text, encoding, source):
        text = "".join(_decode_with_source_bytes(line, encoding) for line in source.splitlines(keepends=True))
    return text.encode("utf-8"), next_state


def _escape_noncharacters(data: bytes, *, at_end: bool) -> tuple[bytes, DecoderState]:
    incomplete = None if at_end else _BEGINNING_OF_NONCHARACTER.search(data, max(len(data) - 2, 0))
    end = incomplete.start() if incomplete else len(data)
    text = _NONCHARACTER_IN_UTF_8.sub(lambda match: "".join(map(_escape_byte, match[0])).encode(), data[:end])
    return text, DecoderState(data[end:])


def _is_restored(text: str, encoding: str, source: bytes) -> bool:
    """Return whether encoding the text restores its bytes, also after any preceding text."""
    return text[:1] not in _MERGED_CHARACTERS and encode_report(text, encoding) == source


def _decode_with_source_bytes(line: bytes, encoding: str) -> str:
    """Return the text of a line, with the bytes of its characters unless encoding the text restores them."""
    text = _escape(line.decode(encoding, "quintet_escape"), encoding)
    if _is_restored(text, encoding, line):
        return text
    runs = itertools.groupby(
        _split_characters(line, encoding),
        key=lambda item: (_can_have_source_bytes(item[1], item[2]), item[0] // _MAX_RUN_BYTES),
    )
    return "".join(_join_run(list(run), has_source_bytes=key[0]) for key, run in runs)


def _split_characters(line: bytes, encoding: str) -> Iterator[tuple[int, str, bytes]]:
    """Yield each character, or some that belong together, with the offset and the bytes that they have in the line."""
    decoder, start = codecs.getincrementaldecoder(encoding)("quintet_escape"), 0
    for end in range(1, len(line) + 1):
        if characters := decoder.decode(line[end - 1 : end], end == len(line)):
            characters = _escape(characters, encoding)
            # After bytes that cannot be decoded, the next character may have begun.
            next_start = end - len(decoder.getstate()[0]) if len(characters) > 1 else end
            yield start, characters, line[start:next_start]
            start = next_start


@functools.lru_cache(10_000)
def _can_have_source_bytes(characters: str, source: bytes) -> bool:
    """Return whether the characters are neither syntax, which is written in the usual way, nor escaped bytes."""
    return not (source.isascii() or IS_SIGNIFICANT.search(characters) or IS_UNREADABLE.search(characters))


def _join_run(items: list[tuple[int, str, bytes]], *, has_source_bytes: bool) -> str:
    text = "".join(characters for _, characters, _ in items)
    if not has_source_bytes:
        return text
    source = "".join(chr(_FIRST_SOURCE_BYTE + byte) for _, _, source in items for byte in source)
    return _SOURCE + source + _SOURCE + text + _END_OF_SOURCE


def remove_source_bytes(text: str) -> str:
    return _WITH_SOURCE.sub(r"\2", text) if _SOURCE in text else text


def _escape_byte(byte: int) -> str:
    return chr(0xFDD0 + (byte >> 4)) + chr(0xFDE0 + (byte & 15))


def _keep_undecodable(error: UnicodeError) -> tuple[str, int]:
    """Return a lone surrogate for each byte, which `_escape` can tell from characters of the file."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("quintet_escape", _keep_undecodable)


def _escape(text: str, encoding: str) -> str:
    """Escape the bytes that could not be decoded, and those of noncharacters."""
    if not _ESCAPED_LIKE_BYTES.search(text):
        return text
    return _ESCAPED_LIKE_BYTES.sub(lambda match: _escape_character(match[0], encoding), text)


def _escape_character(character: str, encoding: str) -> str:
    is_byte = _UNREADABLE.match(character)
    return "".join(map(_escape_byte, [ord(character) & 0xFF] if is_byte else character.encode(encoding)))


def escape_unreadable(text: str) -> str:
    """Escape U+0000 and the bytes that the error handler `surrogateescape` has put into the text."""
    return _UNREADABLE.sub(lambda match: _escape_byte(ord(match[0]) & 0xFF), text.replace("\0", _ESCAPED_NUL))


def encode_report(text: str, encoding: str) -> bytes:
    """Return the text in the encoding of a file, with the escaped bytes as they were in it."""
    codec = UTF_8 if encoding == UTF_8_WITH_MARK else encoding
    parts = _ESCAPED_BYTES.split(_WITH_SOURCE.sub(_escape_source_bytes, text))
    return b"".join(
        _restore_bytes(part) if index % 2 else part.replace(_ESCAPED_NUL, "\0").encode(codec, "replace")
        for index, part in enumerate(parts)
    )


def _escape_source_bytes(match: re.Match[str]) -> str:
    return "".join(_escape_byte(ord(character) - _FIRST_SOURCE_BYTE) for character in match[1])


def _restore_bytes(escaped: str) -> bytes:
    return bytes((ord(escaped[i]) - 0xFDD0) << 4 | (ord(escaped[i + 1]) - 0xFDE0) for i in range(0, len(escaped), 2))


def byte_order_mark(encoding: str) -> bytes:
    """Return the mark with which a file in this encoding begins, b"" if it has none."""
    return b"" if encoding == UTF_8 else _MARKS.get(UTF_8 if encoding == UTF_8_WITH_MARK else encoding, b"")


def charset(encoding: str) -> str:
    """Return the name of the encoding for `Content-Type`."""
    name = encoding.removesuffix("_sig").replace("_", "-")
    return name.removesuffix("-le").removesuffix("-be") if byte_order_mark(encoding) else name
