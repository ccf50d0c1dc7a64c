import pytest

from factory_service.domain.tags import PreconditionFailed, check, matches


@pytest.mark.parametrize("header", ['"7-ab"', 'W/"7-ab"', '"x", "7-ab"', 'W/"x",W/"7-ab"', "*", " * "])
def test_a_tag_is_found_however_it_is_listed(header):
    assert matches(header, "7-ab")


@pytest.mark.parametrize("header", ["7-ab", '"8-ab"', '"7-abc"', "", '"7-ab', "W/*"])
def test_another_tag_does_not_match(header):
    assert not matches(header, "7-ab")


def test_without_a_condition_anything_may_be_changed():
    check(None, "7-ab")
    with pytest.raises(PreconditionFailed):
        check('"6-ab"', "7-ab")
