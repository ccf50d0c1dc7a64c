"""The page of orders in a browser: options of an import, undo, deletion and export."""

import re
import secrets

import pytest
from playwright.sync_api import expect

from quintet_e2e import orders
from quintet_e2e.browser import open_page
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

# The page is the same in both deployment modes.
pytestmark = [pytest.mark.slow, ON_ONE_STACK]

PHONE = {"width": 360, "height": 740}
IMPORT_MS = 90_000


def import_file(page, content, name="orders.csv"):
    page.locator("#file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})
    page.evaluate("() => delete document.getElementById('import').dataset.status")
    page.locator("#send").click()
    page.locator("#import:is([data-status=SUCCESS], [data-status=FAILURE])").wait_for(timeout=IMPORT_MS)


def named_file(first_id, count):
    """Return a file of orders and the unique name that one in eight of them has."""
    name = f"Xenia {secrets.token_hex(4)}"
    return orders.orders_file(first_id, count).replace(b"|Stone Dominguez|", f"|{name}|".encode()), name


def filter_by_name(page, name, count):
    page.locator("#filter [name=name]").fill(name)
    page.locator("#filter [type=submit]").click()
    expect(page.locator("#orders tbody tr")).to_have_count(count)


def test_options_are_closed_at_first_and_state_how_many_are_set(page):
    title = page.locator("#options-title")
    expect(title).to_have_text("Options")
    expect(page.locator("#on-duplicate")).to_be_hidden()
    title.click()
    page.locator("#on-duplicate").select_option("update")
    page.locator("#dry-run").check()
    title.click()
    expect(page.locator("#on-duplicate")).to_be_hidden()
    expect(title).to_have_text("Options (2 set)")


def test_options_are_sent_with_the_file(page):
    page.locator("#options-title").click()
    page.locator("#on-duplicate").select_option("update")
    page.locator("#encoding").fill("cp1252")
    page.locator("#date-format").fill("%d.%m.%Y")
    page.locator("#columns [name=zipcode]").fill("PLZ")
    page.locator("#file").set_input_files({"name": "orders.csv", "mimeType": "text/csv", "buffer": b"x"})
    with page.expect_request(re.compile("/import[?]")) as request:
        page.locator("#send").click()
    for part in ("on_duplicate=update", "encoding=cp1252", "date_format=%25d.%25m.%25Y"):
        assert part in request.value.url
    assert "columns=%7B%22zipcode%22%3A%22PLZ%22%7D" in request.value.url


def test_corrected_orders_replace_the_stored_ones(page):
    content, name = named_file(orders.first_unused_id(), 8)
    import_file(page, content)
    page.locator("#options-title").click()
    page.locator("#on-duplicate").select_option("update")
    import_file(page, content.replace(b"|PA|", b"|TX|"), "corrected.csv")
    expect(page.locator("#updated")).to_have_text("8")
    expect(page.locator("#duplicates")).to_have_text("0")
    expect(page.locator("#import-title")).to_contain_text("with updates")
    filter_by_name(page, name, 1)


def test_import_is_undone_after_confirmation(page):
    content, name = named_file(orders.first_unused_id(), 16)
    import_file(page, content)
    filter_by_name(page, name, 2)
    questions = []
    page.once("dialog", lambda dialog: (questions.append(dialog.message), dialog.dismiss()))
    page.locator("#undo").click()
    expect(page.locator("#undo")).to_be_enabled()
    expect(page.locator("#undo-message")).to_be_hidden()
    assert questions == [
        "Delete the orders that this import created? Orders that it updated (0) keep their new values."
    ]
    # The table must not keep showing deleted orders, although the user reads one of them.
    page.locator("#orders summary").first.click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#undo").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#undo-message")).to_have_text(
        "The import was undone. Deleted orders: 16. Updated orders that were not restored: 0."
    )
    expect(page.locator("#undo")).to_be_hidden()
    expect(page.locator("#announcement")).to_contain_text("The import was undone")
    expect(page.locator("#imports li").first).to_contain_text("undone")
    expect(page.locator("#orders-summary")).to_have_text("No orders found.")


def test_dry_run_has_no_undo(page):
    page.locator("#options-title").click()
    page.locator("#dry-run").check()
    import_file(page, orders.orders_file(orders.first_unused_id(), 8))
    expect(page.locator("#import-message")).to_have_text("import finished")
    expect(page.locator("#undo")).to_be_hidden()


def test_order_is_deleted_after_confirmation(page):
    content, name = named_file(orders.first_unused_id(), 16)
    import_file(page, content)
    filter_by_name(page, name, 2)
    page.locator("#orders summary").first.click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete the order").click()
    expect(page.locator("#orders tbody tr")).to_have_count(1)
    expect(page.locator("#orders-title")).to_be_focused()


def test_export_has_the_filtered_orders(page):
    first_id = orders.first_unused_id()
    content, name = named_file(first_id, 24)
    import_file(page, content)
    filter_by_name(page, name.upper(), 3)
    eventually(lambda: "name=XENIA" in page.locator("#export").get_attribute("href"))
    with page.expect_download() as download:
        page.locator("#export").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [[str(first_id + 8 * index), name] for index in range(3)]


@pytest.mark.parametrize("locale", ["en-US", "pt-BR", "es-ES"])
def test_options_and_details_fit_width_of_phone(browser, stack, locale):
    with open_page(browser, stack, orders.PAGE, viewport=PHONE, locale=locale) as page:
        content, name = named_file(orders.first_unused_id(), 8)
        page.locator("#options-title").click()
        import_file(page, content)
        filter_by_name(page, name, 1)
        page.locator("#orders summary").click()
        expect(page.locator(".order button")).to_be_visible()
        expect(page.locator("#undo")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
