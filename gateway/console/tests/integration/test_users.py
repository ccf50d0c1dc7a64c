"""The page of users: read from the gateway's file where the console can read it."""

import pytest

ADMIN = {"X_Authenticated_User": "root", "X_Authenticated_Role": "admin"}


def test_users_and_roles_are_listed_by_name_without_malformed_lines(get, users_file):
    users_file.write_text('":root" admin;\n":ann@example.com" writer;\n":<b>" admin;\nnonsense\n')
    page = get("/console/users", **ADMIN)
    assert page.status_code == 200
    assert page.text.index("ann@example.com") < page.text.index('<th scope="row">root')
    assert "<td>writer</td>" in page.text and '<span class="badge">you</span>' in page.text
    assert "nonsense" not in page.text and "&lt;b&gt;" not in page.text
    assert "make user-remove NAME=ann" in page.text


def test_file_that_cannot_be_read_is_stated_and_the_commands_are_shown(get, users_file):
    page = get("/console/users", **ADMIN)
    assert page.status_code == 200
    assert "the users&#39; file cannot be read: No such file" in page.text
    assert "make users" in page.text


@pytest.mark.parametrize("role", ["writer", "reader", ""])
def test_only_admins_see_users(get, users_file, role):
    users_file.write_text('":root" admin;\n')
    page = get("/console/users", X_Authenticated_User="ann", X_Authenticated_Role=role)
    assert page.status_code == 403 and "root" not in page.text


def test_users_are_not_changed_by_the_console(get, users_file):
    assert get("/console/users", "POST", {"name": "ann"}, **ADMIN).status_code == 405
