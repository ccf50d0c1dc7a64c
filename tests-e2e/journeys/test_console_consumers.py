"""The console's pages of a stream's consumers and settings in a browser."""

import secrets
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import open_page
from quintet_e2e.clients import ok_json
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_e2e.streams import event_body, stream_path
from quintet_testing.waiting import eventually

# The pages are the same in both deployment modes.
pytestmark = ON_ONE_STACK

CONSUMER = "mail sender (#1)"
NACKS_UNTIL_PARKED = 5


@pytest.fixture
def name():
    return f"Bücher & mehr? {secrets.token_hex(4)}"


@pytest.fixture
def path(name):
    return f"/console/streams/{quote(name)}"


@pytest.fixture
def event_ids(client, name):
    """Append four events and return their IDs."""
    bodies = [event_body(number=number) for number in range(1, 5)]
    return ok_json(client.post(f"{stream_path(name)}/events", json=bodies, headers={"X-Producer-ID": "shop"}))


@pytest.fixture
def refuse(client, name):
    """Return a function that sends NACKs for an event."""

    def refuse(event_id, times):
        nack = {"action": "NACK", "reason": "mailbox unavailable", "delay": "0"}
        for _ in range(times):
            url, headers = f"{stream_path(name)}/events/{event_id}", {"X-Consumer-ID": CONSUMER}
            ok_json(client.post(url, data=nack, headers=headers))

    return refuse


@pytest.fixture
def read(client, name):
    """Return a function that returns the numbers of the events that the consumer reads next."""

    def read():
        query, headers = {"eventName": "OrderPlaced", "limit": 10}, {"X-Consumer-ID": CONSUMER}
        events = ok_json(client.get(f"{stream_path(name)}/events", params=query, headers=headers))
        return [event["payload"]["number"] for event in events]

    return read


def confirm(page, button, label):
    page.get_by_role("button", name=button, exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=label, exact=True).click()


def test_blocked_consumer_is_shown_and_its_offset_moved(browser, stack, path, event_ids, refuse, read):
    refuse(event_ids[0], 2)
    with open_page(browser, stack, path) as page:
        page.get_by_role("link", name="Consumers", exact=True).click()
        expect(page.locator("tbody tr")).to_contain_text(["after 2 NACKs: mailbox unavailable"])
        page.get_by_role("link", name=CONSUMER, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(CONSUMER)

        page.get_by_text("Move an offset").click()
        page.get_by_label("Event name").select_option("OrderPlaced")
        page.get_by_label("New offset").fill("9")
        confirm(page, "Move the offset", "Cancel")
        confirm(page, "Move the offset", "Move")
        expect(page.locator("#offset-help")).to_contain_text("must be between 0 and 4")
        assert read() == [1, 2, 3, 4]
        page.get_by_label("New offset").fill("soon")
        confirm(page, "Move the offset", "Move")
        expect(page.locator("#offset-help")).to_contain_text("must be a number, end, or a time")
        page.get_by_label("New offset").fill("3")
        confirm(page, "Move the offset", "Move")
        expect(page.get_by_role("status")).to_have_text("Changed.")
        assert read() == [4]


@pytest.mark.parametrize(("target", "expected"), [("end", []), ("2020-01-01T00:00", [1, 2, 3, 4]), ("0", [1, 2, 3, 4])])
def test_offset_is_moved_by_keyboard(browser, stack, path, event_ids, refuse, read, target, expected):
    refuse(event_ids[0], 5)
    with open_page(browser, stack, f"{path}/consumers/{quote(CONSUMER)}") as page:
        page.locator("summary", has_text="Move an offset").focus()
        page.keyboard.press("Enter")
        page.get_by_label("Event name").focus()
        page.keyboard.type("Order")
        page.get_by_label("New offset").focus()
        page.keyboard.type(target)
        page.keyboard.press("Enter")
        page.get_by_role("dialog").get_by_role("button", name="Move").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_have_text("Changed.")
    assert read() == expected


def test_parked_events_are_replayed_and_the_consumer_deleted(browser, stack, path, event_ids, refuse, read):
    for event_id in event_ids[:3]:
        refuse(event_id, NACKS_UNTIL_PARKED)
    assert read() == [4]
    with open_page(browser, stack, f"{path}/consumers/{quote(CONSUMER)}") as page:
        rows = page.get_by_role("region", name="Parked events").locator("tbody tr")
        expect(rows).to_contain_text(["mailbox unavailable"] * 3)
        page.get_by_role("button", name="Replay the event at position 2").click()
        expect(page.get_by_role("status")).to_contain_text("Replayed")
        expect(rows).to_have_count(2)
        assert read() == [2, 4]
        confirm(page, "Replay all", "Cancel")
        confirm(page, "Replay all", "Replay")
        expect(page.get_by_text("No event is parked")).to_be_visible()
        assert read() == [1, 2, 3, 4]

        page.get_by_text("Move an offset").click()
        confirm(page, "Delete consumer", "Delete")
        expect(page.get_by_role("status")).to_have_text("Deleted.")
        expect(page.get_by_text("No consumer has acknowledged an event")).to_be_visible()


def test_consumer_of_another_user_is_not_changed(browser, stack, path, event_ids, refuse, read):
    refuse(event_ids[0], NACKS_UNTIL_PARKED)
    writer = f"writer-{secrets.token_hex(4)}"
    password = stack.add_user(writer, "writer")
    with open_page(browser, stack, f"{path}/consumers/{quote(CONSUMER)}", writer, password) as page:
        confirm(page, "Replay all", "Replay")
        expect(page.get_by_role("alert")).to_contain_text("another user")
    assert read() == [2, 3, 4]


def test_schema_is_set_replaced_and_deleted(browser, stack, client, name, path, event_ids):
    with open_page(browser, stack, f"{path}/settings") as page:
        page.get_by_text("Add a schema").click()
        page.get_by_label("Event name").fill("Order placed")
        page.get_by_label("JSON Schema").fill('{"type": "objekt"}')
        page.get_by_role("button", name="Save the schema").click()
        expect(page.get_by_role("alert")).to_contain_text("schema")
        expect(page.get_by_label("Event name")).to_have_value("Order placed")
        page.get_by_label("JSON Schema").fill('{"required": ["total"]}')
        page.get_by_role("button", name="Save the schema").click()
        expect(page.get_by_role("status")).to_have_text("Changed.")

        page.get_by_role("link", name="Order placed").click()
        expect(page.get_by_label("JSON Schema")).to_have_value('{\n  "required": [\n    "total"\n  ]\n}')
        page.get_by_label("JSON Schema").fill('{"required": ["sum"]}')
        page.get_by_role("button", name="Save the schema").click()
        expect(page.get_by_role("status")).to_have_text("Changed.")
        schema_path = f"{stream_path(name)}/schemas/Order%20placed/1"
        assert ok_json(client.get(schema_path)) == {"required": ["sum"]}

        page.get_by_role("link", name="Events", exact=True).click()
        page.get_by_text("Append an event").click()
        page.get_by_label("Event name").fill("Order placed")
        page.get_by_role("button", name="Append").click()
        expect(page.locator("#payload-help")).to_contain_text('"sum" is a required property')

        page.get_by_role("link", name="Settings", exact=True).click()
        confirm(page, "Delete", "Delete")
        expect(page.get_by_role("status")).to_have_text("Deleted.")
        assert client.get(schema_path).status_code == 404


def test_retention_is_set_and_removed(browser, stack, client, name, path, event_ids):
    with open_page(browser, stack, f"{path}/settings") as page:
        expect(page.get_by_text("Events are kept indefinitely")).to_be_visible()
        page.get_by_text("Change the retention").click()
        page.get_by_label("Maximum age in days").fill("0")
        confirm(page, "Set the retention", "Set")
        expect(page.locator("#max_age_days-help")).to_contain_text("must be")
        page.get_by_label("Maximum age in days").fill("")
        page.get_by_label("Maximum number of events").fill("2")
        confirm(page, "Set the retention", "Set")
        expect(page.get_by_role("status")).to_have_text("Changed.")
        expect(page.locator(".facts")).to_contain_text("the newest 2")

        eventually(lambda: ok_json(client.get(stream_path(name)))["events"] == {"OrderPlaced": 2}, within_seconds=60)
        page.get_by_role("link", name="Events", exact=True).click()
        expect(page.locator(".facts")).to_contain_text("2 left of 4")
        expect(page.locator("#events .position")).to_have_text(["4", "3"])

        page.get_by_role("link", name="Settings", exact=True).click()
        page.get_by_text("Change the retention").click()
        page.get_by_role("button", name="Keep events indefinitely").click()
        expect(page.get_by_text("Events are kept indefinitely")).to_be_visible()
    assert ok_json(client.get(f"{stream_path(name)}/retention")) == {"max_age_days": None, "max_events": None}
