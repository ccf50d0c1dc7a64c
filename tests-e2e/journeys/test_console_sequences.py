"""The console's pages of sequences in a browser: create, issue, skip forward, extend and delete."""

import secrets

import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import open_page
from quintet_e2e.stacks import ON_ONE_STACK

# The pages are the same in both deployment modes.
pytestmark = ON_ONE_STACK


@pytest.fixture
def name():
    return f"invoices-{secrets.token_hex(4)}"


def create(page, name, **values):
    page.goto("/console/sequences")
    form = page.locator("form", has=page.get_by_role("button", name="Create sequence"))
    if not form.is_visible():
        page.get_by_text("New sequence").click()
    page.get_by_label("Name", exact=True).fill(name)
    for label, value in values.items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(value)
    page.get_by_label("Record who received which numbers").check()
    page.get_by_role("button", name="Create sequence").click()


def test_sequence_is_created_used_changed_and_deleted(browser, stack, name):
    with open_page(browser, stack, "/") as page:
        page.get_by_role("link", name="Sequences", exact=True).click()
        expect(page).to_have_title("Sequences · Quintet")
        create(page, name, Format="INV-{:05d}", Last_number="30")
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(page.get_by_role("status")).to_have_text("Created.")

        page.get_by_label("How many").fill("2")
        page.get_by_role("button", name="Issue").click()
        expect(page.locator("#issued-numbers")).to_have_text("INV-00001\nINV-00002")
        expect(page.locator("tbody tr")).to_contain_text(["1 – 2"])

        page.get_by_text("Change or delete").click()
        page.get_by_label("Skip forward to").fill("1")
        page.get_by_role("button", name="Skip").click()
        page.get_by_role("dialog").get_by_role("button", name="Skip").click()
        expect(page.get_by_role("alert")).to_contain_text("must not be a number that was passed")
        page.get_by_label("Extend to").fill("40")
        page.get_by_role("button", name="Extend").click()
        expect(page.get_by_role("status")).to_have_text("Changed.")
        expect(page.locator(".facts")).to_contain_text("1 to 40")

        page.get_by_text("Change or delete").click()
        page.get_by_role("button", name="Delete sequence").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Delete sequence").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("status")).to_have_text("Deleted.")
        expect(page.get_by_role("link", name=name)).to_have_count(0)


def test_each_click_on_a_destructive_button_asks(browser, stack, name):
    with open_page(browser, stack, "/console/sequences") as page:
        create(page, name)
        for _ in range(2):
            page.get_by_text("Change or delete").click()
            page.context.set_offline(True)
            page.get_by_role("button", name="Delete sequence").click()
            with page.expect_event("requestfailed", lambda request: request.method == "POST"):
                page.get_by_role("dialog").get_by_role("button", name="Delete").click()
            page.context.set_offline(False)
            page.go_back()
            expect(page.get_by_role("heading", level=1)).to_have_text(name)
            expect(page.get_by_role("dialog")).to_have_count(0)


def test_invalid_definition_is_explained_at_its_field_and_keeps_the_input(browser, stack, name):
    with open_page(browser, stack, "/console/sequences") as page:
        create(page, name, Format="INV", First_number="7")
        expect(page.get_by_label("Format")).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#format-help")).to_contain_text("must have exactly one number field")
        expect(page.get_by_label("First number", exact=True)).to_have_value("7")
        page.get_by_label("Format").fill("INV-{}")
        page.get_by_role("button", name="Create sequence").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)


def test_numbers_are_issued_by_keyboard(browser, stack, name):
    with open_page(browser, stack, "/console/sequences") as page:
        create(page, name)
        page.get_by_label("How many").focus()
        page.keyboard.press("Control+A")
        page.keyboard.type("3")
        page.keyboard.press("Enter")
        expect(page.locator("#issued-numbers")).to_have_text("1\n2\n3")


def test_form_that_is_sent_twice_issues_numbers_once(browser, stack, name):
    with open_page(browser, stack, "/console/sequences") as page:
        create(page, name)
        page.get_by_label("How many").fill("2")
        form = page.locator("form", has=page.get_by_role("button", name="Issue"))
        fields = form.evaluate("form => Object.fromEntries(new FormData(form))")
        first, second = (page.request.post(page.url, form=fields).text() for _ in range(2))
        assert all(">1\n2</pre>" in text for text in (first, second))
