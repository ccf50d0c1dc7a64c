"""The page of orders shows a message for each error, and works again afterwards."""

import base64
import re
import secrets
from contextlib import closing, contextmanager

import pytest
from playwright.sync_api import expect

from quintet_e2e import orders
from quintet_e2e.browser import open_page
from quintet_e2e.clients import Client, resend_if_disconnected
from quintet_e2e.faults import assert_recovered
from quintet_e2e.sockets import unfinished_uploads
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

pytestmark = [pytest.mark.slow, ON_ONE_STACK]

RECOVERY_MS = 60_000
# More rows than the buffers between browser and service hold.
LARGE_ROWS = 300_000


def send(page, content, name="orders.csv"):
    page.locator("#file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})
    page.locator("#send").click()


@contextmanager
def stalled_upload(stack, page, file):
    """Keep the upload of the file in progress while the frozen service does not read it."""
    page.locator("#file").set_input_files(file)
    stack.freeze("orders-web")
    try:
        page.locator("#send").click()
        expect(page.locator("#uploaded-text")).to_have_text(re.compile("^[0-9.]*[1-9] MB of"))
        yield
    finally:
        stack.thaw("orders-web")


@pytest.fixture
def large_file(tmp_path):
    """Return the first order ID and the path of a large file."""
    first_id, file = orders.first_unused_id(), tmp_path / "large.csv"
    file.write_bytes(orders.orders_file(first_id, LARGE_ROWS))
    return first_id, file


def problem(page):
    return page.locator("#upload-problem")


def test_upload_without_file_asks_for_one(page):
    page.locator("#send").click()
    expect(problem(page)).to_have_text("Choose a file first.")


def test_file_of_wrong_type_is_rejected_and_next_upload_is_accepted(page):
    send(page, b"a", "orders.pdf")
    expect(problem(page)).to_have_text("only '.csv' files are allowed for upload.")
    send(page, b"a|b\n1|2\n", "columns.csv")
    expect(page.locator("#import-message")).to_contain_text("id")
    expect(problem(page)).to_be_hidden()
    expect(page.locator("#imports li").first).to_contain_text("failed")


def test_file_that_is_too_large_is_rejected(page, tmp_path):
    large = tmp_path / "large.csv"
    with large.open("wb") as out:
        out.truncate(2**31 + 1)
    page.locator("#file").set_input_files(large)
    page.locator("#send").click()
    expect(problem(page)).to_have_text("The file is too large.")


def test_too_many_uploads_are_rejected_and_later_one_is_accepted(stack, client, page):
    content = orders.orders_file(orders.first_unused_id(), 8)
    with unfinished_uploads(client, orders.API + "/import", 40):

        def is_rejected():
            send(page, content)
            expect(page.locator("#uploading")).to_be_hidden()
            return problem(page).is_visible()

        eventually(is_rejected)
        expect(problem(page)).to_contain_text("Too many requests")
    eventually(lambda: not is_rejected(), 60)
    assert_recovered(stack)


def test_removed_user_is_asked_to_reload_page(browser, stack):
    name = f"removed-{secrets.token_hex(4)}"
    password = stack.add_user(name, "writer")
    with open_page(browser, stack, orders.PAGE, name, password, locale="en-US") as page:
        stack.remove_user(name)
        with closing(Client(stack, name, password)) as removed:
            eventually(lambda: resend_if_disconnected(lambda: removed.get("/sequences")).status_code == 401)
        send(page, orders.orders_file(orders.first_unused_id(), 8))
        expect(problem(page)).to_have_text("You are no longer signed in. Reload the page.")


def test_reader_sees_imports_and_orders_and_no_actions(browser, stack, client):
    name, first_id = f"reader-{secrets.token_hex(4)}", orders.first_unused_id()
    password = stack.add_user(name, "reader")
    orders.wait_for_end(client, orders.upload(client, orders.orders_file(first_id, 8)))
    with open_page(browser, stack, orders.PAGE, name, password, locale="en-US") as page:
        page.locator("#imports").get_by_role("button").first.click()
        expect(page.locator("#import-message")).to_be_visible()
        page.locator("#orders summary").first.click()
        expect(page.locator("#orders dl").first).to_be_visible()
        for label in ("Upload", "Undo the import", "Cancel the import", "Delete the order"):
            expect(page.get_by_role("button", name=label)).to_have_count(0)


def test_upload_after_the_role_was_reduced_is_explained(browser, stack):
    name = f"reduced-{secrets.token_hex(4)}"
    password = stack.add_user(name, "reader")
    with open_page(browser, stack, orders.PAGE, locale="en-US") as page:
        expect(page.locator("#send")).to_be_visible()
        # From now on, the page sends the requests of a user who may only read.
        credentials = base64.b64encode(f"{name}:{password}".encode()).decode()
        page.set_extra_http_headers({"Authorization": f"Basic {credentials}"})
        send(page, orders.orders_file(orders.first_unused_id(), 8))
        expect(problem(page)).to_have_text("Your role does not allow this.")


def test_stopped_upload_leaves_no_data(stack, client, page, large_file):
    before = client.get(f"{orders.API}/import/status").json()["total"]
    with stalled_upload(stack, page, large_file[1]):
        page.get_by_role("button", name="Stop the upload").click()
        expect(problem(page)).to_have_text("The upload was stopped. Nothing was stored.")
    eventually(lambda: orders.query_database(stack, "SELECT count(*) FROM orders.open_uploads") == [(0,)], 60)
    assert client.get(f"{orders.API}/import/status").json()["total"] == before


@pytest.mark.fault
def test_file_is_imported_once_when_sent_again_after_broken_connection(stack, page, large_file):
    first_id, file = large_file

    def has_failed():
        # On a reused connection, the browser repeats the request once by itself.
        stack.kill("gateway")
        expect(problem(page)).to_contain_text("Send the file again", timeout=5000)
        return True

    with stalled_upload(stack, page, file):
        eventually(has_failed)
    stack.wait_until_healthy()

    def is_accepted():
        page.locator("#send").click()
        expect(page.locator("#uploading")).to_be_hidden()
        assert problem(page).is_hidden(), problem(page).inner_text()
        return True

    eventually(is_accepted, 60)
    expect(page.locator("#import-message")).to_have_text("import finished", timeout=RECOVERY_MS)
    assert orders.stored_summary(stack, first_id, LARGE_ROWS)[0] == LARGE_ROWS
    assert_recovered(stack)


@pytest.mark.fault
def test_import_is_followed_through_outage_and_can_be_canceled(stack, page):
    first_id = orders.first_unused_id()
    stack.stop("orders-worker")
    send(page, orders.orders_file(first_id, 8), "later.csv")
    expect(page.locator("#import-message")).to_have_text("waiting")
    stack.stop("orders-web")
    expect(page.locator("#import-problem")).to_have_text("The service is not responding; trying again.")
    stack.start("orders-web")
    expect(page.locator("#import-problem")).to_be_hidden(timeout=RECOVERY_MS)
    page.get_by_role("button", name="Cancel the import").click()
    stack.start("orders-worker")
    expect(page.locator("#import-message")).to_have_text("cancelled", timeout=RECOVERY_MS)
    assert orders.stored_summary(stack, first_id, 8)[0] == 0
    assert_recovered(stack)
