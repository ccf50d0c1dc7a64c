"""The page of users, which changes them by the commands of a stack that is not running."""

import base64
import hashlib
import re
import secrets

import pytest

PATH = "/console/users"
ADMIN = {"X_Authenticated_User": "root", "X_Authenticated_Role": "admin"}


@pytest.fixture
def send(get, users_file):
    """Return a function that sends a form of the page as the only admin."""
    users_file.with_name("htpasswd").write_text("root:{SSHA}AAAA\n")
    users_file.write_text('":root" admin;\n')

    def send(action, **fields):
        return get(PATH, "POST", {"action": action, "key": secrets.token_hex(8), **fields}, **ADMIN)

    return send


def shown_password(page):
    return re.search(r'id="password">([A-Za-z0-9_-]{32})</pre>', page.text)[1]


def is_valid(users_file, name, password):
    """Return whether the password is that of the user, as nginx checks it."""
    entry = re.search(rf"^{name}:{{SSHA}}(.+)$", users_file.with_name("htpasswd").read_text(), re.MULTILINE)[1]
    decoded = base64.b64decode(entry)
    return hashlib.sha1(password.encode() + decoded[20:]).digest() == decoded[:20]


def test_users_and_roles_are_listed_by_name_without_malformed_lines(get, users_file):
    users_file.write_text('":root" admin;\n":ann@example.com" writer;\n":<b>" admin;\nnonsense\n')
    page = get(PATH, **ADMIN)
    assert page.status_code == 200
    assert page.text.index("ann@example.com") < page.text.index('<th scope="row">root')
    assert "<td>writer</td>" in page.text and '<span class="badge">you</span>' in page.text
    assert "nonsense" not in page.text and "&lt;b&gt;" not in page.text
    assert "make user-remove NAME=ann" in page.text


def test_last_successful_request_of_each_user_is_shown(get, users_file, access_log):
    users_file.write_text('":root" admin;\n":ann" writer;\n":eve" reader;\n')
    line = '{"time":"2026-01-02T03:04:%s+00:00","user":"%s","status":%s}'
    access_log(
        line % ("01", "ann", 200),
        line % ("02", "ann", 302),
        line % ("03", "ann", 401),  # the client did not know the password
        line % ("04", "eve", 401),
        line % ("05", "", 200),
        "2026/01/02 [alert] a line of nginx itself",
        line % ("06", "mallory", 200),
    )
    page = get(PATH, **ADMIN).text
    assert "2026-01-02 03:04:02 UTC" in page
    assert page.count("2026-01-02 03:04") == 1 and page.count("not recently") == 2


def test_file_that_cannot_be_read_is_stated_and_the_commands_are_shown(get, users_file):
    page = get(PATH, **ADMIN)
    assert page.status_code == 200
    assert "the users&#39; file cannot be read: No such file" in page.text
    assert "make users" in page.text


@pytest.mark.parametrize("role", ["writer", "reader", ""])
def test_only_admins_see_users(get, users_file, role):
    users_file.write_text('":root" admin;\n')
    page = get(PATH, X_Authenticated_User="ann", X_Authenticated_Role=role)
    assert page.status_code == 403 and "root" not in page.text


@pytest.mark.parametrize("role", ["writer", "reader", "runner", ""])
def test_only_admins_change_users(get, users_file, role):
    headers = {"X_Authenticated_User": "ann", "X_Authenticated_Role": role}
    assert (
        get(PATH, "POST", {"action": "add", "name": "eve", "role": "admin", "key": "1"}, **headers).status_code == 403
    )
    assert not users_file.exists()


def test_password_of_added_user_is_shown_once(send, users_file):
    page = send("add", name="ann", role="reader")
    assert page.status_code == 200 and page.headers["Cache-Control"] == "no-store"
    assert "ann was added as reader" in page.text
    assert is_valid(users_file, "ann", shown_password(page))
    assert users_file.read_text() == '":ann" reader;\n":root" admin;\n'
    assert shown_password(send("add", name="bob", role="writer")) not in page.text


def test_existing_user_is_not_added_again(send, users_file):
    password = shown_password(send("add", name="ann", role="reader"))
    page = send("add", name="ann", role="admin")
    assert page.status_code == 409 and "the user &#39;ann&#39; exists: choose another name" in page.text
    assert '<details class="panel" open>' in page.text and 'value="ann"' in page.text
    assert is_valid(users_file, "ann", password) and '":ann" reader;' in users_file.read_text()
    assert "names must differ in more than case" in send("add", name="ANN", role="reader").text


def test_password_is_replaced_and_the_role_is_kept(send, users_file):
    old = shown_password(send("add", name="ann", role="reader"))
    page = send("replace", name="ann")
    assert page.status_code == 200 and "ann has a new password as reader" in page.text
    assert is_valid(users_file, "ann", shown_password(page)) and not is_valid(users_file, "ann", old)
    page = send("replace", name="nobody")
    assert page.status_code == 409 and "unknown user &#39;nobody&#39;" in page.text
    assert "nobody" not in users_file.read_text()


def test_form_that_is_sent_twice_replaces_the_password_once(send, users_file):
    send("add", name="ann", role="reader")
    password = shown_password(send("replace", name="ann", key="the key"))
    page = send("replace", name="ann", key="the key")
    assert page.status_code == 409 and "this form was already sent" in page.text
    assert is_valid(users_file, "ann", password)


def test_user_is_removed(send, users_file):
    send("add", name="ann", role="reader")
    response = send("remove", name="ann")
    assert (response.status_code, response.headers["Location"]) == (303, "/console/users?done=removed")
    assert users_file.read_text() == '":root" admin;\n'
    page = send("remove", name="ann")
    assert page.status_code == 409 and "unknown user &#39;ann&#39;" in page.text


@pytest.mark.parametrize("action", ["replace", "remove"])
def test_neither_oneself_nor_the_last_admin_nor_the_administrator_of_the_settings_is_changed(
    get, send, users_file, action
):
    page = send(action, name="root")
    assert page.status_code == 409 and "you cannot change yourself here" in page.text
    page = send(action, name="operator")
    assert page.status_code == 409 and "NAME must not be operator, the administrator in .env" in page.text
    if action == "remove":
        form = {"action": action, "name": "root", "key": secrets.token_hex(8)}
        page = get(PATH, "POST", form, X_Authenticated_User="former-admin", X_Authenticated_Role="admin")
        assert page.status_code == 409 and "&#39;root&#39; is the last admin and must not be removed" in page.text
    assert users_file.read_text() == '":root" admin;\n'


@pytest.mark.parametrize("name", ["", "a b", "--help", "-x", "../a", "a\n", "ä", "x" * 65, '"><b>'])
@pytest.mark.parametrize("action", ["add", "replace", "remove"])
def test_invalid_name_is_explained_at_its_field(send, users_file, action, name):
    page = send(action, name=name, role="reader")
    assert page.status_code == 400 and "must have 1 to 64 characters of" in page.text and "<b>" not in page.text
    assert users_file.read_text() == '":root" admin;\n'


def test_invalid_role_and_action_are_rejected(send, users_file):
    page = send("add", name="ann", role="king")
    assert page.status_code == 400 and "role: must be one of admin, writer, reader, runner" in page.text
    assert send("promote", name="ann").status_code == 400
    assert users_file.read_text() == '":root" admin;\n'


def test_commands_are_shown_in_place_of_forms_where_the_files_cannot_be_written(get, users_file):
    users_file.parent.rmdir()
    page = get(PATH, **ADMIN)
    assert "make user NAME=ann" in page.text and "New user" not in page.text
    form = {"action": "add", "name": "ann", "role": "reader", "key": "another key"}
    assert get(PATH, "POST", form, **ADMIN).status_code == 403
    assert not users_file.parent.exists()
