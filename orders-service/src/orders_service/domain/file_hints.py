"""Hints for people: what a file that cannot be read seems to be. Nothing else depends on them."""

import re

from orders_service.domain.encodings import UTF_8, UTF_8_WITH_MARK
from orders_service.domain.headers import InvalidHeader

Hint = dict[str, str | list[str]]

_SIGNATURES = {
    "xlsx": re.compile(rb"PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/|docProps/|xl/)", re.DOTALL),
    "zip": re.compile(rb"PK(?:\x03\x04|\x05\x06)"),
    "compressed": re.compile(rb"\x1f\x8b|BZh[1-9]|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!"),
    "xls": re.compile(rb"\xd0\xcf\x11\xe0"),
    "pdf": re.compile(rb"%PDF-"),
}
_SAMPLE_BYTES, _MAX_SAMPLE_LINES = 256 * 1024, 100
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
# In the encodings of Western Europe, most bytes above 127 stand alone.
_MAX_WESTERN_RUN = 1.5
_WESTERN = "cp1252"
_OTHER_ENCODINGS = ["cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "big5", "euc_kr"]


def describe_invalid_header(data: bytes, error: InvalidHeader, requested_encoding: str | None) -> Hint | None:
    """Describe a file whose beginning is `data`; return None if the error states everything."""
    for kind, signature in _SIGNATURES.items():
        if signature.match(data):
            return {"kind": kind}
    if error.columns:
        return {"kind": "columns", "columns": list(error.columns)}
    if error.reason != "no_text":
        return None
    guess = _guess_encoding(data)
    if guess and guess != requested_encoding:
        return {"kind": "encoding", "encoding": guess}
    return {"kind": "unknown"}


def suggest_encoding(data: bytes, encoding: str) -> Hint | None:
    """Return a hint if the beginning of a file with a valid header is not valid UTF-8, as it would have to be."""
    guess = _guess_encoding(data) if encoding in (UTF_8, UTF_8_WITH_MARK) else None
    return {"kind": "encoding", "encoding": guess} if guess else None


def _guess_encoding(data: bytes) -> str | None:
    """Return an encoding that the file seems to have, None if it is UTF-8 or cannot be guessed."""
    sample = data[:_SAMPLE_BYTES]
    for name, nul_bytes in (("utf-16-le", sample[1:200:2]), ("utf-16-be", sample[:200:2])):
        # Without a byte order mark, every second byte of Latin text is zero.
        if len(nul_bytes) > 1 and nul_bytes.count(0) > len(nul_bytes) * 0.8 and sample[:200].count(0) < 110:
            return name
    complete_lines = sample[: sample.rfind(b"\n") + 1] or sample
    lines = [line for line in complete_lines.splitlines() if not line.isascii()][:_MAX_SAMPLE_LINES]
    runs = [match[0] for line in lines for match in _HIGH_BYTES.finditer(line)]
    if not runs or b"\0" in sample or _is_valid(b"\n".join(lines), "utf-8"):
        return None
    if sum(map(len, runs)) <= _MAX_WESTERN_RUN * len(runs):
        return _WESTERN
    # Imported here, because only few files need it.
    from charset_normalizer import from_bytes

    best = from_bytes(b"\n".join(lines)[:16384], cp_isolation=_OTHER_ENCODINGS).best()
    return best.encoding if best else None


def _is_valid(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
