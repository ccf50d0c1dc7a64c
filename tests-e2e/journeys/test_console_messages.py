"""The console's pages of queues and dead letters in a browser: read the reason and the body, requeue and delete."""

import secrets

import pika
import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import open_page
from quintet_e2e.clients import ok_json
from quintet_e2e.faults import assert_recovered
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

# The pages are the same in both deployment modes.
pytestmark = ON_ONE_STACK

QUEUE = "orders.undo"


@pytest.fixture
def dead_letter(stack, client):
    """Return a function that causes a dead letter, and returns its ID once it is listed."""

    def create():
        message_id = f"m-{secrets.token_hex(4)}"
        with pika.BlockingConnection(pika.URLParameters(stack.amqp_url)) as connection:
            properties = pika.BasicProperties(message_id=message_id, correlation_id="r-dead", delivery_mode=2)
            connection.channel().basic_publish("", QUEUE, b'{"task_id": "<none>"}', properties)
        eventually(lambda: message_id in ids(client))
        return message_id

    return create


def dead_times(client):
    """Return the time at which each dead letter could last not be processed, by its ID."""
    letters = ok_json(client.get(f"/dead-letters/{QUEUE}"))["dead_letters"]
    return {letter["id"]: letter["dead_at"] for letter in letters}


def ids(client):
    return list(dead_times(client))


def card(page, message_id):
    return page.get_by_role("listitem").filter(has_text=message_id)


def test_dead_letter_is_read_requeued_and_deleted(browser, stack, client, dead_letter):
    message_id = dead_letter()
    with open_page(browser, stack, "/") as page:
        page.get_by_role("link", name="Messages", exact=True).click()
        expect(page).to_have_title("Messages · Quintet")
        page.get_by_role("link", name=QUEUE, exact=True).click()
        letter = card(page, message_id)
        expect(letter).to_contain_text("message_id: must be a UUID")
        letter.get_by_text("Body").click()
        expect(letter.locator("pre")).to_have_text('{\n  "task_id": "<none>"\n}')

        # It cannot be processed this time either, so that it returns.
        before = dead_times(client)[message_id]
        letter.get_by_role("button", name="Requeue").click()
        page.get_by_role("dialog").get_by_role("button", name="Requeue").click()
        expect(page.get_by_role("status")).to_contain_text("Requeued")
        eventually(lambda: dead_times(client).get(message_id, before) > before)

        page.goto(f"/console/messages/{QUEUE}")
        card(page, message_id).get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert message_id in ids(client)
        card(page, message_id).get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("status")).to_have_text("Deleted.")
        expect(card(page, message_id)).to_have_count(0)
    assert message_id not in ids(client)


def test_all_dead_letters_are_deleted_by_keyboard(browser, stack, client, dead_letter):
    created = {dead_letter(), dead_letter()}
    with open_page(browser, stack, f"/console/messages/{QUEUE}") as page:
        tops = {page.get_by_role("button", name=f"{label} all").bounding_box()["y"] for label in ("Requeue", "Delete")}
        assert len(tops) == 1  # in one row
        page.get_by_role("button", name="Delete all").focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        page.keyboard.press("Tab")
        expect(dialog.get_by_role("button", name="Delete")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_have_text("Deleted.")
        expect(page.get_by_text("There are no dead letters.")).to_be_visible()
    assert created & {*ids(client)} == set()


def test_action_on_a_dead_letter_that_is_gone_is_explained(browser, stack, client, dead_letter):
    message_id = dead_letter()
    with open_page(browser, stack, f"/console/messages/{QUEUE}") as page:
        assert ok_json(client.send("DELETE", f"/dead-letters/{QUEUE}?id={message_id}")) == {"count": 1}
        card(page, message_id).get_by_role("button", name="Requeue").click()
        page.get_by_role("dialog").get_by_role("button", name="Requeue").click()
        expect(page.get_by_role("alert")).to_contain_text(f"no dead letter has the ID {message_id}")


def test_only_admins_are_offered_the_pages(browser, stack, writer):
    with open_page(browser, stack, "/", *writer.credentials) as page:
        expect(page.get_by_role("link", name="Sequences", exact=True)).to_be_visible()
        expect(page.get_by_role("link", name="Messages", exact=True)).to_have_count(0)
    assert writer.get("/console/messages").status_code == 403
    assert writer.get("/dead-letters").status_code == 403
    assert writer.send("DELETE", f"/dead-letters/{QUEUE}").status_code == 403


@pytest.mark.slow
@pytest.mark.fault
def test_broker_that_is_down_is_stated_and_dead_letters_survive(browser, stack, client, dead_letter):
    message_id = dead_letter()
    stack.stop("rabbitmq")
    try:
        eventually(lambda: "orders-service" in ok_json(client.get("/dead-letters"))["disconnected"])
        assert client.post(f"/dead-letters/{QUEUE}/retry").status_code == 503
        with open_page(browser, stack, f"/console/messages/{QUEUE}") as page:
            expect(page.get_by_role("heading", level=1)).to_have_text(QUEUE)
            expect(page.get_by_role("alert")).to_be_visible()
            page.goto("/console/messages")
            expect(page.get_by_text("No worker of orders-service is connected to RabbitMQ.")).to_be_visible()
    finally:
        stack.start("rabbitmq")
    assert_recovered(stack)
    eventually(lambda: message_id in ids(client))
    assert ok_json(client.send("DELETE", f"/dead-letters/{QUEUE}?id={message_id}")) == {"count": 1}
