import pytest

from event_service.domain.ownership import NO_USER, Caller, caller_of, second_writer


@pytest.mark.parametrize(
    ("caller", "owner", "may"),
    [
        (Caller("ann"), "ann", True),
        (Caller("ann"), "bob", False),
        (Caller("ann"), None, True),
        (Caller("ann", is_admin=True), "bob", True),
        (NO_USER, None, True),
        (NO_USER, "ann", False),
    ],
)
def test_owner_and_admin_may_act_and_anyone_while_there_is_no_owner(caller, owner, may):
    assert caller.may_act_for(owner) is may


@pytest.mark.parametrize("role", ["writer", "reader", "runner", "", "Admin", "administrator"])
def test_no_other_role_is_an_admin(role):
    assert not caller_of("ann", role).is_admin


def test_an_empty_user_is_none():
    assert caller_of("", "") == NO_USER
    assert caller_of("", "writer").user is None


def test_a_rejection_keeps_nothing_of_an_earlier_one():
    """A shared exception collects the frames of every request that raised it."""
    for _ in range(2):
        with pytest.raises(Exception, match="Second writers") as caught:
            raise second_writer()
        assert len(caught.traceback) == 1
