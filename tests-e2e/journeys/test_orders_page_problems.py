"""The page of the orders when something is in the way: it says what, in words, and goes on afterwards."""

import re
import secrets
from contextlib import closing, contextmanager

import pytest
from playwright.sync_api import expect

from quintet_e2e import orders
from quintet_e2e.browser import opened
from quintet_e2e.clients import Client, answered
from quintet_e2e.faults import assert_healed
from quintet_e2e.sockets import unfinished_uploads
from quintet_testing.waiting import eventually

pytestmark = pytest.mark.parametrize("stack", ["local"], indirect=True)

OUT_WITHIN = 10
AGAIN_MS = 60_000
# More than the buffers on the way hold.
BIG = 300_000


def send(page, content, name="orders.csv"):
    page.locator("#file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})
    page.locator("#send").click()


@contextmanager
def stalled(stack, page, file):
    """In the midst of its upload: the service reads no further."""
    page.locator("#file").set_input_files(file)
    stack.freeze("orders-web")
    try:
        page.locator("#send").click()
        expect(page.locator("#uploaded-text")).to_have_text(re.compile("^[0-9.]*[1-9] MB of"))
        yield
    finally:
        stack.thaw("orders-web")


@pytest.fixture
def big(tmp_path):
    """The first id, and the file."""
    first, file = orders.new_ids(), tmp_path / "big.csv"
    file.write_bytes(orders.orders(first, BIG))
    return first, file


def problem(page):
    return page.locator("#upload-problem")


def test_without_a_file_it_asks_for_one(page):
    page.locator("#send").click()
    expect(problem(page)).to_have_text("Choose a file first.")


def test_what_is_no_csv_file_is_told_and_the_next_try_counts(page):
    send(page, b"a", "orders.xlsx")
    expect(problem(page)).to_have_text("only '.csv' files are allowed for upload.")
    send(page, b"a|b\n1|2\n", "columns.csv")
    expect(page.locator("#import-message")).to_contain_text("id")
    expect(problem(page)).to_be_hidden()
    expect(page.locator("#imports li").first).to_contain_text("failed")


def test_a_file_that_is_too_large_is_told(page, tmp_path):
    large = tmp_path / "large.csv"
    with large.open("wb") as out:
        out.truncate(2**31 + 1)
    page.locator("#file").set_input_files(large)
    page.locator("#send").click()
    expect(problem(page)).to_have_text("The file is too large.")


def test_too_many_uploads_are_told_and_a_later_one_goes_through(stack, client, page):
    content = orders.orders(orders.new_ids(), 8)
    with unfinished_uploads(client, orders.API + "/import", 40):

        def is_refused():
            send(page, content)
            expect(page.locator("#uploading")).to_be_hidden()
            return problem(page).is_visible()

        eventually(is_refused, 30)
        expect(problem(page)).to_contain_text("Too many requests")
    eventually(lambda: not is_refused(), 60)
    assert_healed(stack)


def test_who_is_let_in_no_longer_is_told(browser, stack):
    name = f"leaving-{secrets.token_hex(4)}"
    password = stack.add_user(name, "writer")
    with opened(browser, stack, orders.PAGE, name, password, locale="en-US") as page:
        stack.remove_user(name)
        with closing(Client(stack, name, password)) as leaving:
            eventually(lambda: answered(lambda: leaving.get("/sequences")).status_code == 401, OUT_WITHIN)
        send(page, orders.orders(orders.new_ids(), 8))
        expect(problem(page)).to_have_text("You are no longer signed in. Reload the page.")


def test_a_reader_is_told_that_he_may_not(browser, stack):
    name = f"reader-{secrets.token_hex(4)}"
    password = stack.add_user(name, "reader")
    with opened(browser, stack, orders.PAGE, name, password, locale="en-US") as page:
        send(page, orders.orders(orders.new_ids(), 8))
        expect(problem(page)).to_have_text("Your role does not allow this.")


def test_a_stopped_upload_leaves_nothing(stack, client, page, big):
    before = client.get(f"{orders.API}/import/status").json()["total"]
    with stalled(stack, page, big[1]):
        page.get_by_role("button", name="Stop the upload").click()
        expect(problem(page)).to_have_text("The upload was stopped. Nothing was stored.")
    eventually(lambda: orders.ask_database(stack, "SELECT count(*) FROM orders.open_uploads") == [(0,)], 60)
    assert client.get(f"{orders.API}/import/status").json()["total"] == before


def test_after_the_connection_broke_the_same_file_is_sent_again_and_is_in_once(stack, page, big):
    first, file = big

    def is_broken():
        # On a connection that was used before, a browser sends the request once more by itself.
        stack.kill("gateway")
        expect(problem(page)).to_contain_text("Send the file again", timeout=5000)
        return True

    with stalled(stack, page, file):
        eventually(is_broken)
    stack.wait_until_healthy()

    def is_taken():
        page.locator("#send").click()
        expect(page.locator("#uploading")).to_be_hidden()
        assert problem(page).is_hidden(), problem(page).inner_text()
        return True

    eventually(is_taken, 60)
    expect(page.locator("#import-message")).to_have_text("import finished", timeout=AGAIN_MS)
    assert orders.stored(stack, first, BIG)[0] == BIG
    assert_healed(stack)


def test_an_import_is_followed_through_a_fault_of_the_service_and_can_be_cancelled(stack, page):
    first = orders.new_ids()
    stack.stop("orders-worker")
    send(page, orders.orders(first, 8), "later.csv")
    expect(page.locator("#import-message")).to_have_text("waiting")
    stack.stop("orders-web")
    expect(page.locator("#import-problem")).to_have_text("The service is not responding; trying again.")
    stack.start("orders-web")
    expect(page.locator("#import-problem")).to_be_hidden(timeout=AGAIN_MS)
    page.get_by_role("button", name="Cancel the import").click()
    stack.start("orders-worker")
    expect(page.locator("#import-message")).to_have_text("cancelled", timeout=AGAIN_MS)
    assert orders.stored(stack, first, 8)[0] == 0
    assert_healed(stack)
