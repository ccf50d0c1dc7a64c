import pytest
from pydantic import TypeAdapter, ValidationError

from specstore_service.domain.names import DatasetName, Location, Name, OwnerId


def takes(type_, value):
    try:
        return TypeAdapter(type_).validate_python(value, strict=True) == value
    except ValidationError:
        return False


@pytest.mark.parametrize("name", ["a", "A1", "ann@example.org", "a-b_c.d", "0", "a" * 128])
def test_a_name_is_letters_digits_and_a_few_signs(name):
    assert takes(Name, name) and takes(OwnerId, name) and takes(DatasetName, name)


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", ".a", "-a", "_a", "@a", "a" * 129, "a b", "a/b", "a\\b", "ä", "a\n", "a\0", "a%2Fb", "á", "１",
     "a'; DROP", "$(x)", "{{7*7}}", "<b>", "\u202ea", 1, None, True, ["a"]],
)  # fmt: skip
def test_anything_else_is_none(name):
    assert not takes(Name, name)


def test_the_places_of_the_paths_are_taken():
    for name in ("upload", "update", "plan", "pipelines"):
        assert not takes(OwnerId, name) and takes(DatasetName, name)
    assert not takes(DatasetName, "files") and takes(OwnerId, "files")
    assert takes(OwnerId, "Upload")


@pytest.mark.parametrize(
    "location",
    ["https://example.org/a.csv", "http://example.org:8080/x?y=z", "http://127.0.0.1/a", "a.csv", "data/2020/a b.csv",
     "ünï.csv", "https://[::1]/a"],
)  # fmt: skip
def test_data_lies_at_a_url_or_at_a_path_that_leads_down(location):
    assert takes(Location, location)


@pytest.mark.parametrize(
    "location",
    ["", "file:///etc/passwd", "FILE:///etc/passwd", "gopher://x/", "ftp://x/a", "data:text/csv,a", "C:\\a.csv", "c:/a",
     "/etc/passwd", "../a", "a/../b", "a/..", "./a", "a//b", "a/", "a\\b", "http:", "http://", "http:///a", "https://[::1",
     "http://x:99999/", "http://a b/", "http://a/\nb", "a\nb", "a\0b", "javascript:1", "a" * 2049],
)  # fmt: skip
def test_it_lies_nowhere_else(location):
    assert not takes(Location, location)
