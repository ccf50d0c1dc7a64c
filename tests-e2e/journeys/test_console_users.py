"""The console's page of users in a browser."""

import secrets

import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import open_page

# In containers, the console cannot read the users.
pytestmark = pytest.mark.parametrize("stack", ["local"], indirect=True)


def test_added_user_is_listed_with_its_role(browser, stack):
    name = f"rita-{secrets.token_hex(4)}"
    with open_page(browser, stack, "/") as page:
        page.get_by_role("link", name="Users").click()
        expect(page).to_have_title("Users · Quintet")
        expect(page.get_by_role("row").filter(has_text="you")).to_contain_text("admin")
        expect(page.get_by_text("make user NAME=ann ROLE=writer")).to_be_visible()
        stack.add_user(name, "reader")
        page.reload()
        expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("reader")


def test_command_is_copied_by_keyboard(browser, stack):
    with open_page(browser, stack, "/console/users", permissions=["clipboard-read", "clipboard-write"]) as page:
        button = page.get_by_role("button", name="Copy make users")
        button.focus()
        page.keyboard.press("Enter")
        expect(button).to_have_text("✓")
        assert page.evaluate("navigator.clipboard.readText()") == "make users"


def test_only_admins_are_offered_the_page(browser, stack, writer):
    with open_page(browser, stack, "/", *writer.credentials) as page:
        expect(page.get_by_role("link", name="Sequences")).to_be_visible()
        expect(page.get_by_role("link", name="Users")).to_have_count(0)
    assert writer.get("/console/users").status_code == 403
