import pytest

from factory_service.domain.tags import PreconditionFailed, check, matches


@pytest.mark.parametrize("header", ['"7-ab"', 'W/"7-ab"', '"x", "7-ab"', 'W/"x",W/"7-ab"', "*", " * "])
def test_matches_tag_in_any_list_syntax(header):
    assert matches(header, "7-ab")


@pytest.mark.parametrize("header", ["7-ab", '"8-ab"', '"7-abc"', "", '"7-ab', "W/*"])
def test_does_not_match_other_tag(header):
    assert not matches(header, "7-ab")


def test_check_fails_for_outdated_tag_and_passes_without_if_match():
    check(None, "7-ab")
    with pytest.raises(PreconditionFailed):
        check('"6-ab"', "7-ab")
