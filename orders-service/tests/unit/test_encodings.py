import codecs
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders_service.domain import encodings
from orders_service.domain.encodings import (
    DecoderState,
    detect_encoding,
    encode_report,
    find_encoding,
    remove_source_bytes,
    to_utf8,
)
from orders_service.domain.formulas import escape

SAMPLES = {
    "utf_16_le": "Jörg €😀\n",
    "utf_16_be": "Jörg €😀\n",
    "utf_32_le": "Jörg €😀\n",
    "gb18030": "王小明 😀|\n",
    "cp932": "表|ソ|ｱ田\n",
    "euc_jp": "田中|ｱ\n",
    "euc_jis_2004": "田中|か゚\n",
    "big5": "王小明|\n",
    "cp1252": "Jörg €|\n",
    "cp037": "Jorg|\n",
    "mac_roman": "Jörg|\n",
}


ENCODINGS = sorted({detect_encoding(b"", name)[0] for name in encodings._NAMES} - {"utf_8", "utf_8_sig"})


def transcode(data, encoding, cuts):
    """Return the text for orders of the parts between the cuts."""
    return remove_source_bytes(transcode_with_source_bytes(data, encoding, cuts))


def transcode_with_source_bytes(data, encoding, cuts):
    """Transcode the parts between the cuts, with the state that the database stores between them."""
    text, state = b"", DecoderState()
    boundaries = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for number, (start, end) in enumerate(pairwise(boundaries), 2):
        part, state = to_utf8(data[start:end], encoding, state, at_end=number == len(boundaries))
        text += part
    return text.decode()


@pytest.mark.parametrize("encoding", SAMPLES)
def test_text_is_transcoded_equally_when_cut_after_every_byte(encoding):
    data = (SAMPLES[encoding] * 3).encode(encoding)
    assert transcode(data, encoding, range(len(data))) == SAMPLES[encoding] * 3


@given(st.data(), st.sampled_from(sorted(SAMPLES)), st.lists(st.integers(0, 2**20), max_size=5))
def test_any_bytes_are_transcoded_equally_for_any_cuts(drawn, encoding, cuts):
    # Bytes of several spellings of one character in cp932, and of line breaks, are frequent.
    sequences = st.sampled_from([b"\xfb\xfc", b"\xee\xe0", b"\x81\xe6", b"\x87\x9a", b"\n", b"\r\n", b"|"])
    data = b"".join(drawn.draw(st.lists(sequences | st.binary(max_size=4), max_size=20)))
    assert transcode(data, encoding, cuts) == transcode(data, encoding, [])


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "euc_jp", "gb18030", "big5", "euc_kr", "ascii", "utf_16_le"])
@given(data=st.binary(max_size=40))
def test_any_bytes_are_restored(encoding, data):
    assert encode_report(transcode_with_source_bytes(data, encoding, []), encoding) == data


NONCHARACTERS = ["\ufdd3\ufded1+1", "\ufdd0", "\ufffe\ue03d\ue031\ufffeX\uffff", "\uffff"]


@pytest.mark.parametrize("encoding", ["utf_8", "utf_16_le", "utf_32_be", "gb18030"])
@pytest.mark.parametrize("cell", NONCHARACTERS)
def test_noncharacters_do_not_pass_for_bytes_that_cannot_be_decoded(encoding, cell):
    source = f"a|{cell}|b\n".encode(encoding)
    for cuts in ([], range(len(source))):
        transcoded = transcode_with_source_bytes(source, encoding, cuts)
        assert encodings.IS_UNREADABLE.search(remove_source_bytes(transcoded))
        assert encode_report(transcoded, encoding) == source


@pytest.mark.slow
@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if not name.startswith("utf_")])
def test_bytes_of_every_character_of_one_or_two_bytes_are_restored(encoding):
    single = [bytes([byte]) for byte in range(256)]
    pairs = [first + second for first in single if is_incomplete(first, encoding) for second in single]
    lines = [line for line in single + pairs if b"\n" not in line]
    text = transcode_with_source_bytes(b"\n".join(lines), encoding, [])
    restored = encode_report(text, encoding).split(b"\n")
    different = [line for line, other in zip(lines, restored, strict=True) if line != other]
    # Characters that a spreadsheet skips before a formula are written in the usual way.
    assert {line.decode(encoding) for line in different} <= {"\x1a", "\u3000"}


def is_incomplete(data, encoding):
    decoder = codecs.getincrementaldecoder(encoding)("quintet_escape")
    return not decoder.decode(data)


@pytest.mark.parametrize(
    ("encoding", "source", "text"),
    [
        ("cp932", b"\xfb\xfc", "髙"),
        ("cp932", b"\xee\xe0", "髙"),
        ("big5", b"\xa2\xcc", "十"),
        ("euc_jis_2004", b"\x8f\xa2\xaf", "˘"),
        ("euc_kr", b"\xa4\xd4\xa4\xa1\xa4\xbf\xa4\xd4", "가"),
    ],
)
def test_every_spelling_of_a_character_is_read_and_restored(encoding, source, text):
    transcoded = transcode_with_source_bytes(b"a|" + source + b"|\n", encoding, [])
    assert remove_source_bytes(transcoded) == f"a|{text}|\n"
    assert encode_report(transcoded, encoding) == b"a|" + source + b"|\n"


@pytest.mark.parametrize("encoding", ["euc_jis_2004", "euc_jisx0213", "shift_jis_2004", "shift_jisx0213", "big5hkscs"])
def test_character_that_could_be_merged_with_one_of_the_preceding_part_is_restored(encoding):
    merged = [base + mark for base in "æɔʌəɚ˩˥ÊêかきカツË" for mark in "\u02e5\u02e9\u0300\u0301\u0304\u030c\u309a"]
    for text in merged:
        parts = [character.encode(encoding, "ignore") for character in text]
        source = b"".join(parts)
        transcoded = transcode_with_source_bytes(source, encoding, [len(parts[0])])
        assert encode_report(transcoded, encoding) == source


@given(
    st.lists(st.sampled_from(["表", "髙", "＝", "－", "\u3000", "=", "'", ",", "\n", "1", " "]), max_size=12).map(
        "".join
    )
)
def test_formulas_are_escaped_alike_with_and_without_the_bytes_of_characters(text):
    source = text.replace("髙", "髙").encode("cp932").replace(b"\xee\xe0", b"\xfb\xfc")
    transcoded = transcode_with_source_bytes(source, "cp932", [])
    assert remove_source_bytes(escape(transcoded)) == escape(text)


@given(st.binary(max_size=40))
def test_bytes_that_are_not_utf_8_are_restored(data):
    text = data.decode("utf-8", "surrogateescape")
    assert encode_report(encodings.escape_unreadable(text), "utf_8") == data


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("UTF-8", "utf_8"),
        ("utf8", "utf_8"),
        ("cp1252", "cp1252"),
        ("windows-1252", "cp1252"),
        ("Latin-1", "latin_1"),
        ("Shift_JIS", "shift_jis"),
        ("utf-16", "utf_16"),
        ("mac-roman", "mac_roman"),
        ("IBM037", "cp037"),
    ],
)
def test_names_of_encodings_are_normalized(name, encoding):
    assert find_encoding(name) == encoding


@pytest.mark.parametrize(
    "name",
    ["", "x", "base64", "rot13", "zip", "bz2", "hex", "uu", "idna", "punycode", "unicode_escape", "undefined", "utf-7",
     "raw_unicode_escape", "aliases", "../cp1252", "os.path", "ü", "x" * 1000, "__init__", "charmap", "mbcs",
     "iso-2022-jp", "csiso2022kr", "hz", "hz-gb-2312", "mac_arabic", "mac_farsi"],
)  # fmt: skip
def test_names_that_are_not_encodings_of_text_files_are_rejected_without_a_lookup(name, monkeypatch):
    monkeypatch.setattr("codecs.lookup", lambda name: pytest.fail(f"{name} was looked up"))
    assert find_encoding(name) is None


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_bytes_that_are_not_text_are_transcoded_equally_when_cut_after_every_byte(encoding):
    data = bytes(range(256)) + b"\x1b\x1b$\x1b(~{~~}+-&\x0e\x0f\xff" * 3
    assert transcode(data, encoding, range(len(data))) == transcode(data, encoding, [])


def test_every_accepted_encoding_is_a_text_encoding_that_can_be_resumed():
    assert len(encodings._NAMES) > 90
    for name in encodings._NAMES:
        encoding, _ = detect_encoding(b"", name)
        assert codecs.lookup(encoding)._is_text_encoding
        data = "id|name\n1|Ann\n".encode(encoding)
        assert transcode(data, encoding, range(len(data))) == "id|name\n1|Ann\n"


@pytest.mark.parametrize(
    ("beginning", "requested", "expected"),
    [
        (b"id", None, ("utf_8", 0)),
        (b"\xef\xbb\xbfid", None, ("utf_8_sig", 3)),
        (b"\xef\xbb\xbfid", "utf_8", ("utf_8_sig", 3)),
        (b"\xef\xbb\xbfid", "cp1252", ("cp1252", 0)),
        (b"\xff\xfei\0", None, ("utf_16_le", 2)),
        (b"\xfe\xff\0i", "utf_16", ("utf_16_be", 2)),
        (b"i\0d\0", "utf_16", ("utf_16_le", 0)),
        (b"\xff\xfe\0\0", "utf_32", ("utf_32_le", 4)),
        (b"\xff\xfe\0\0", None, ("utf_16_le", 2)),
        (b"", None, ("utf_8", 0)),
    ],
)
def test_byte_order_mark_decides_within_the_requested_encoding(beginning, requested, expected):
    assert detect_encoding(beginning, requested) == expected
