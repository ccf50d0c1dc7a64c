"""Text is read in the encoding that its resource states."""

import json

import pytest

from specstore_service.operations.pipeline_context import PipelineFailed


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "UTF8", "utf-8-sig", "utf-16", "utf-16le", "UTF-16BE", "utf-32", "gb18030", "iso-2022-jp-2", "utf-7"],
)
def test_encoding_of_unicode_is_read(read_resource, encoding):
    text = "a,é\n1,ü\n"
    assert read_resource(text.encode(encoding), encoding=encoding) == [["a", "é"], ["1", "ü"]]
    content = json.dumps([["é"], ["ü"]]).encode(encoding)
    assert read_resource(content, encoding=encoding, path="x.json", type="table") == [["é"], ["ü"]]


@pytest.mark.parametrize(
    ("encoding", "content", "cell"),
    [
        ("cp1252", b"a\n\x80\n", "€"),
        ("windows-1252", b"a\n\x80\n", "€"),
        ("ISO-8859-1", b"a\n\xe9\n", "é"),
        ("latin-1", b"a\n\xe9\n", "é"),
        ("ISO-8859-15", b"a\n\xa4\n", "€"),
        ("ISO_8859-15", b"a\n\xa4\n", "€"),
        ("Shift_JIS", b"a\n\x83\x5c\n", "ソ"),
        ("ascii", b"a\nx\n", "x"),
        ("macintosh", b"a\n\x8e\n", "é"),
        ("utf-8", b"\xef\xbb\xbfa\nx\n", "x"),
        ("utf-16-le", b"\xff\xfea\0\n\0x\0\n\0", "x"),
    ],
)
def test_encoding_determines_the_characters(read_resource, encoding, content, cell):
    assert read_resource(content, encoding=encoding) == [["a"], [cell]]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "utf-16"])
def test_data_in_another_encoding_is_rejected_with_the_stated_one(read_resource, encoding):
    with pytest.raises(PipelineFailed, match=f"^reds: must be valid {encoding}$"):
        read_resource(b"a\n\xff\xff\xff\n", encoding=encoding)
