import pytest
from pydantic import TypeAdapter, ValidationError

from specstore_service.domain.names import DatasetName, Location, Name, OwnerId


def accepts(type_, value):
    try:
        return TypeAdapter(type_).validate_python(value, strict=True) == value
    except ValidationError:
        return False


@pytest.mark.parametrize("name", ["a", "A1", "ann@example.org", "a-b_c.d", "0", "a" * 128])
def test_letters_digits_and_some_punctuation_form_a_valid_name(name):
    assert accepts(Name, name) and accepts(OwnerId, name) and accepts(DatasetName, name)


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", ".a", "-a", "_a", "@a", "a" * 129, "a b", "a/b", "a\\b", "ä", "a\n", "a\0", "a%2Fb", "á", "１",
     "a'; DROP", "$(x)", "{{7*7}}", "<b>", "\u202ea", 1, None, True, ["a"]],
)  # fmt: skip
def test_unusual_or_non_text_value_is_not_a_valid_name(name):
    assert not accepts(Name, name)


def test_path_segments_are_reserved_names():
    for name in ("upload", "update", "plan", "pipelines"):
        assert not accepts(OwnerId, name) and accepts(DatasetName, name)
    assert not accepts(DatasetName, "files") and accepts(OwnerId, "files")
    assert accepts(OwnerId, "Upload")


@pytest.mark.parametrize(
    "location",
    ["https://example.org/a.csv", "http://example.org:8080/x?y=z", "http://127.0.0.1/a", "a.csv", "data/2020/a b.csv",
     "ünï.csv", "https://[::1]/a"],
)  # fmt: skip
def test_url_or_relative_path_is_a_valid_location(location):
    assert accepts(Location, location)


@pytest.mark.parametrize(
    "location",
    ["", "file:///etc/passwd", "FILE:///etc/passwd", "gopher://x/", "ftp://x/a", "data:text/csv,a", "C:\\a.csv", "c:/a",
     "/etc/passwd", "../a", "a/../b", "a/..", "./a", "a//b", "a/", "a\\b", "http:", "http://", "http:///a", "https://[::1",
     "http://x:99999/", "http://a b/", "http://a/\nb", "a\nb", "a\0b", "javascript:1", "a" * 2049],
)  # fmt: skip
def test_other_scheme_or_unsafe_path_is_not_a_valid_location(location):
    assert not accepts(Location, location)
