"""The console's page of users in a browser."""

import secrets

import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import accessibility_violations, open_page
from quintet_e2e.clients import Client, resend_if_disconnected
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

# In containers, the console can neither read nor change the users.
pytestmark = ON_ONE_STACK


@pytest.fixture
def name():
    return f"rita-{secrets.token_hex(4)}"


@pytest.fixture
def status(stack):
    """Return a function that sends one request with a user's password, without waiting for a change to take effect."""

    def status(name, password):
        client = Client(stack, name, password)
        try:
            return resend_if_disconnected(lambda: client.get("/sequences")).status_code
        finally:
            client.close()

    return status


def add(page, name, role="reader"):
    if not page.get_by_label("Name", exact=True).is_visible():
        page.get_by_text("New user").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Role", exact=True).select_option(role)
    page.get_by_role("button", name="Add user").click()


def read_password(page, message):
    expect(page.get_by_role("status")).to_contain_text(message)
    return page.locator("#password").text_content()


def change(page, name, button, confirmation):
    page.get_by_role("row").filter(has_text=name).get_by_role("button", name=button).click()
    page.get_by_role("dialog").get_by_role("button", name=confirmation).click()


def test_added_user_is_listed_with_its_role(browser, stack, name):
    with open_page(browser, stack, "/") as page:
        page.get_by_role("link", name="Users", exact=True).click()
        expect(page).to_have_title("Users · Quintet")
        expect(page.get_by_role("row").filter(has_text="you")).to_contain_text("admin")
        expect(page.get_by_text("make user NAME=ann ROLE=writer")).to_be_visible()
        stack.add_user(name, "reader")
        page.reload()
        expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("reader")


def test_user_is_added_gets_another_password_and_is_removed(browser, stack, name, status):
    with open_page(browser, stack, "/console/users") as page:
        add(page, name)
        first = read_password(page, f"{name} was added as reader")
        assert status(name, first) == 200
        assert accessibility_violations(page) == []
        expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("reader")

        change(page, name, "Replace password", "Replace")
        second = read_password(page, f"{name} has a new password as reader")
        assert (status(name, first), status(name, second)) == (401, 200)

        def is_seen() -> bool:
            page.goto("/console/users")
            return "s ago" in page.get_by_role("row").filter(has_text=name).inner_text()

        eventually(is_seen)

        change(page, name, "Remove", "Remove")
        expect(page.get_by_role("status")).to_have_text("Removed.")
        expect(page.get_by_role("row").filter(has_text=name)).to_have_count(0)
        assert status(name, second) == 401
    logs = stack.log("gateway") + stack.log("console")
    assert "/console/users" in logs and first not in logs and second not in logs


def test_user_is_added_and_the_password_copied_by_keyboard(browser, stack, name, status):
    with open_page(browser, stack, "/console/users", permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_text("New user").focus()
        page.keyboard.press("Enter")
        page.get_by_label("Name", exact=True).focus()
        page.keyboard.type(name)
        page.keyboard.press("Tab")
        page.keyboard.type("run")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        read_password(page, f"{name} was added as runner")
        page.get_by_role("button", name="Copy", exact=True).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Copied")).to_be_focused()
        password = page.evaluate("navigator.clipboard.readText()")
    assert status(name, password) == 403, "a runner is known, but may not list sequences"


def test_rejected_names_are_explained_and_change_nothing(browser, stack, name, status):
    password = stack.add_user(name, "reader")
    with open_page(browser, stack, "/console/users") as page:
        add(page, "a b", "runner")
        expect(page.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_label("Name", exact=True)).to_have_value("a b")
        expect(page.get_by_label("Role", exact=True)).to_have_value("runner")
        add(page, name, "admin")
        expect(page.get_by_role("alert")).to_contain_text(f"the user '{name}' exists")
        add(page, stack.user)
        expect(page.get_by_role("alert")).to_contain_text("the administrator in .env")
        own_row = page.get_by_role("row").filter(has_text="you")
        expect(own_row.get_by_role("button")).to_have_count(0)
    assert status(name, password) == 200


def test_command_is_copied_by_keyboard(browser, stack):
    with open_page(browser, stack, "/console/users", permissions=["clipboard-read", "clipboard-write"]) as page:
        button = page.get_by_role("button", name="Copy make users")
        button.focus()
        page.keyboard.press("Enter")
        expect(button).to_have_text("✓")
        assert page.evaluate("navigator.clipboard.readText()") == "make users"


def test_only_admins_are_offered_the_page(browser, stack, writer):
    with open_page(browser, stack, "/", *writer.credentials) as page:
        expect(page.get_by_role("link", name="Sequences", exact=True)).to_be_visible()
        expect(page.get_by_role("link", name="Users", exact=True)).to_have_count(0)
    assert writer.get("/console/users").status_code == 403
    form = {"action": "remove", "name": stack.user, "key": secrets.token_hex(8)}
    assert writer.send("POST", "/console/users", data=form).status_code == 403
