import pytest

from event_service.domain.ownership import NO_USER, Caller, create_caller, second_writer_error


@pytest.mark.parametrize(
    ("caller", "owner", "is_allowed"),
    [
        (Caller("ann"), "ann", True),
        (Caller("ann"), "bob", False),
        (Caller("ann"), None, True),
        (Caller("ann", is_admin=True), "bob", True),
        (NO_USER, None, True),
        (NO_USER, "ann", False),
    ],
)
def test_owner_and_admin_may_act_and_any_user_may_while_there_is_no_owner(caller, owner, is_allowed):
    assert caller.may_act_for(owner) is is_allowed


@pytest.mark.parametrize("role", ["writer", "reader", "runner", "", "Admin", "administrator"])
def test_roles_other_than_admin_do_not_make_an_admin(role):
    assert not create_caller("ann", role).is_admin


def test_empty_user_name_becomes_none():
    assert create_caller("", "") == NO_USER
    assert create_caller("", "writer").user is None


def test_each_error_is_a_new_exception():
    """A shared exception would collect the frames of every request that raises it."""
    for _ in range(2):
        with pytest.raises(Exception, match="Second writers") as caught:
            raise second_writer_error()
        assert len(caught.traceback) == 1
