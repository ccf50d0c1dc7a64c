"""The console's pages of orders in a browser: upload, progress, errors, undo, filters, and single orders."""

import secrets

import pytest
from playwright.sync_api import expect

from quintet_e2e import orders
from quintet_e2e.browser import open_page
from quintet_e2e.stacks import ON_ONE_STACK

# The pages are the same in both deployment modes.
pytestmark = ON_ONE_STACK

PAGE = "/console/orders"
IMPORT_MS = 1000 * orders.IMPORT_SECONDS


@pytest.fixture
def first_id():
    return orders.first_unused_id()


def choose(page, content, name="orders.csv"):
    page.get_by_label("CSV or XLSX file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})


def confirm(page, label):
    page.get_by_role("button", name=label).click()
    page.get_by_role("dialog").get_by_role("button", name=label).click()


def test_file_is_uploaded_followed_and_undone(browser, stack, client, first_id):
    name = f"orders-{first_id}.csv"
    with open_page(browser, stack, "/") as page:
        page.get_by_role("link", name="Orders", exact=True).click()
        expect(page).to_have_title("Orders · Quintet")
        choose(page, orders.orders_file(first_id, 800), name)
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"Import of {name}")
        # The page follows the import by itself, and shows the errors at its end.
        expect(page.locator("#status .state")).to_contain_text("SUCCESS", timeout=IMPORT_MS)
        expect(page.locator("#status")).to_contain_text("100.0 %, 800 of 800 rows")
        counts = orders.expected_counts(800)
        expect(page.locator(".facts div", has_text="Invalid")).to_contain_text(str(counts["invalid"]))

        expect(page.locator("tbody tr").first).to_contain_text("We don't ship to PA")
        with page.expect_download() as download:
            page.get_by_role("link", name="all rows with errors").click()
        assert len(download.value.path().read_bytes().splitlines()) == counts["invalid"] + 1

        page.get_by_role("button", name="Undo import").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        confirm(page, "Undo import")
        expect(page.locator("#status")).to_contain_text("The import was undone: 800 orders deleted", timeout=IMPORT_MS)
        assert orders.stored_summary(stack, first_id, 800)[0] == 0
        page.goto(PAGE)
        expect(page.locator("#imports tbody tr", has_text=name)).to_contain_text("undone")


def test_rejected_file_is_explained_and_another_one_is_uploaded_by_keyboard(browser, stack, first_id):
    with open_page(browser, stack, PAGE) as page:
        choose(page, b"x", "orders.pdf")
        page.get_by_role("button", name="Upload").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("only '.csv' files are allowed for upload.")
        choose(page, orders.orders_file(first_id, 8))
        page.get_by_role("button", name="Upload").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Import of orders.csv")


def test_upload_shows_its_progress_and_can_be_stopped(browser, stack, first_id):
    with open_page(browser, stack, PAGE) as page:
        choose(page, orders.orders_file(first_id, 8))
        # The request waits until it is stopped.
        page.route("**/orders/import", lambda route: None)
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_role("progressbar", name="Upload")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("alert")).to_have_text("The upload was stopped. Nothing was stored.")
        expect(page.get_by_role("button", name="Upload")).to_be_enabled()


def test_orders_are_filtered_paged_shown_and_deleted(browser, stack, client, first_id):
    name = f"Stone {secrets.token_hex(4)}"
    content = orders.orders_file(first_id, 8 * 60).replace(b"|Stone Dominguez|", f"|{name}|".encode())
    orders.wait_for_end(client, orders.upload(client, content))
    with open_page(browser, stack, PAGE) as page:
        page.get_by_label("Name contains").fill(name.upper())
        page.keyboard.press("Enter")
        rows = page.get_by_role("region", name="Stored orders").locator("tbody tr")
        expect(rows).to_have_count(50)
        page.get_by_role("link", name="Next", exact=True).click()
        expect(rows).to_have_count(10)
        expect(page.get_by_label("Name contains")).to_have_value(name.upper())
        rows.first.get_by_role("link").click()
        order_id = first_id + 8 * 50
        expect(page.get_by_role("heading", level=1)).to_have_text(f"Order {order_id}")
        expect(page.locator(".facts")).to_contain_text("February 27, 1963")
        confirm(page, "Delete order")
        expect(page.get_by_role("status")).to_have_text("Deleted.")
    assert client.get(f"{orders.API}/{order_id}").status_code == 404


def test_invalid_filter_is_explained_at_its_field(browser, stack):
    with open_page(browser, stack, f"{PAGE}?state=x1") as page:
        expect(page.get_by_label("State", exact=True)).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#state-help")).to_have_text("State must be a string.")


def test_waiting_import_is_cancelled_after_confirmation(browser, stack, client, first_id):
    stack.stop("orders-worker")
    try:
        task_id = orders.upload(client, orders.orders_file(first_id, 8))
        with open_page(browser, stack, f"{PAGE}/imports/{task_id}") as page:
            expect(page.locator("#status .state")).to_contain_text("WAITING")
            confirm(page, "Cancel import")
            expect(page.get_by_text("The import ends before its next step.")).to_be_visible()
    finally:
        stack.start("orders-worker")
    assert orders.wait_for_end(client, task_id)["status"] == "FAILURE"


def test_reader_sees_imports_and_orders_and_no_actions(browser, stack, client, first_id):
    task_id = orders.upload(client, orders.orders_file(first_id, 8))
    orders.wait_for_end(client, task_id)
    reader = f"reader-{secrets.token_hex(4)}"
    with open_page(browser, stack, PAGE, reader, stack.add_user(reader, "reader")) as page:
        expect(page.locator("#imports tbody tr").first).to_be_visible()
        for path in (PAGE, f"{PAGE}/imports/{task_id}", f"{PAGE}/{first_id}"):
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.locator("form[method=post]")).to_have_count(0)


def test_page_with_all_options_leads_back_to_the_console(browser, stack):
    with open_page(browser, stack, PAGE) as page:
        page.get_by_role("link", name="page with all options").click()
        expect(page).to_have_title("Orders - Quintet")
        page.get_by_role("link", name="Orders", exact=True).click()
        expect(page).to_have_title("Orders · Quintet")
