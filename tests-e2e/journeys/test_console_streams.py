"""The console's pages of streams in a browser: create, append, browse, filter and follow."""

import secrets
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import open_page
from quintet_e2e.clients import ok_json
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_testing.waiting import eventually

# The pages are the same in both deployment modes.
pytestmark = ON_ONE_STACK


@pytest.fixture
def name():
    """Return the name of a stream that must be quoted in addresses."""
    return f"Bücher & mehr? #1 100% {secrets.token_hex(4)}"


@pytest.fixture
def append(client, name):
    """Return a function that appends events with these names and a number, as the producer `shop`."""

    def append(*event_names):
        bodies = [event_body(event_name, number=index) for index, event_name in enumerate(event_names, 1)]
        ok_json(client.post(f"{stream_path(name)}/events", json=bodies, headers={"X-Producer-ID": "shop"}))

    return append


def open_stream(browser, stack, name, query="", **credentials):
    return open_page(browser, stack, f"/console/streams/{quote(name)}{query}", **credentials)


def positions(page):
    return page.locator("#events .position")


def test_stream_is_created_and_appended_to(browser, stack, client, name):
    with open_page(browser, stack, "/") as page:
        page.get_by_role("link", name="Streams", exact=True).click()
        expect(page).to_have_title("Streams · Quintet")
        button = page.get_by_role("button", name="Append the first event")
        if not button.is_visible():
            page.get_by_text("New stream").click()
        page.get_by_label("Stream", exact=True).fill(name)
        page.get_by_label("Producer ID").fill(" Müller")
        page.get_by_label("Event name").fill("OrderPlaced")
        page.get_by_label("Payload").fill('{"total": 12.50, "id": 123456789012345678901}')
        button.click()
        expect(page.get_by_role("alert")).to_contain_text("must not begin with a space")
        expect(page.get_by_label("Stream", exact=True)).to_have_value(name)
        page.get_by_label("Producer ID").fill("Müller")
        button.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(page.get_by_role("status").first).to_have_text("Created.")

        page.get_by_text("Append an event").click()
        page.get_by_label("Event name").fill("Order shipped")
        page.get_by_label("Payload").fill('{"total": }')
        page.get_by_role("button", name="Append").click()
        expect(page.get_by_label("Payload")).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#payload-help")).to_contain_text("must be valid JSON")
        expect(page.get_by_label("Event name")).to_have_value("Order shipped")
        page.get_by_label("Payload").fill("{}")
        page.get_by_label("Version").fill("0")
        page.get_by_role("button", name="Append").click()
        expect(page.locator("[id='event.version-help']")).to_contain_text("must be an integer between 1 and")
        page.get_by_label("Version").fill("1")
        page.get_by_role("button", name="Append").click()
        expect(page.get_by_role("status").first).to_have_text("Appended.")
        expect(page.locator("#events .name")).to_have_text(["Order shipped", "OrderPlaced"])
    first, second = read_events(client, name)
    assert first["payload"] == {"total": 12.5, "id": 123456789012345678901}
    assert (first["producer"], second["producer"]) == ("Müller", "Müller")


def test_form_that_is_sent_twice_appends_once(browser, stack, append, name):
    append("OrderPlaced")
    with open_stream(browser, stack, name) as page:
        page.get_by_text("Append an event").click()
        page.get_by_label("Event name").fill("OrderShipped")
        form = page.locator("form", has=page.get_by_role("button", name="Append"))
        fields = form.evaluate("form => Object.fromEntries(new FormData(form))")
        for _ in range(2):
            assert page.request.post(page.url, form=fields).ok
        page.reload()
        expect(positions(page)).to_have_text(["2", "1"])


def test_append_to_the_stream_of_another_user_is_explained(browser, stack, append, name):
    append("OrderPlaced")
    writer = f"writer-{secrets.token_hex(4)}"
    password = stack.add_user(writer, "writer")
    with open_stream(browser, stack, name, user=writer, password=password) as page:
        page.get_by_text("Append an event").click()
        page.get_by_label("Event name").fill("OrderShipped")
        page.get_by_role("button", name="Append").click()
        expect(page.get_by_role("alert")).to_contain_text("only the stream's owner may append")
        expect(page.get_by_label("Event name")).to_have_value("OrderShipped")


def test_events_are_browsed_backwards_and_forwards_and_by_name_and_time(browser, stack, append, name):
    append(*["OrderPlaced", "OrderShipped"] * 30)
    with open_stream(browser, stack, name) as page:
        expect(positions(page)).to_have_text([str(position) for position in range(60, 35, -1)])
        page.get_by_role("link", name="Older", exact=True).click()
        expect(positions(page)).to_have_text([str(position) for position in range(35, 10, -1)])
        page.get_by_role("link", name="Older", exact=True).click()
        expect(positions(page)).to_have_text([str(position) for position in range(10, 0, -1)])
        expect(page.get_by_role("link", name="Older", exact=True)).to_have_count(0)
        page.get_by_role("link", name="Newer", exact=True).click()
        expect(positions(page)).to_have_text([str(position) for position in range(35, 10, -1)])

        page.get_by_label("Only events named").select_option("OrderShipped")
        page.get_by_role("button", name="Show").click()
        expect(positions(page)).to_have_text([str(position) for position in range(60, 10, -2)])
        page.get_by_role("link", name="Older", exact=True).click()
        expect(positions(page)).to_have_text(["10", "8", "6", "4", "2"])

        page.get_by_label("From (UTC)").fill("2020-01-01T00:00:00")
        page.get_by_role("button", name="Show").click()
        expect(positions(page)).to_have_text([str(position) for position in range(50, 0, -2)])
        page.get_by_label("From (UTC)").fill("2199-01-01T00:00:00")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#no-events")).to_contain_text("No event is in this range")
        page.get_by_role("link", name="Show the newest events").click()
        expect(positions(page).first).to_have_text("60")


def test_list_is_filtered_and_an_event_unfolded_by_keyboard(browser, stack, append, name):
    append("OrderPlaced")
    with open_page(browser, stack, "/console/streams") as page:
        page.get_by_label("Name begins with").focus()
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("link", name=name).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(page.locator("#events pre")).to_be_hidden()
        page.locator("#events summary").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#events pre")).to_contain_text('"number": 1')


def test_new_events_appear_while_the_box_is_ticked_and_the_page_is_visible(browser, stack, append, name):
    append("OrderPlaced")
    with open_stream(browser, stack, name) as page:
        state, names = page.locator("#live-state"), page.locator("#events .name")
        page.get_by_label("Follow live").focus()
        page.keyboard.press("Space")
        expect(state).to_have_text("Live")
        append("OrderShipped", "OrderPaid")
        expect(names).to_have_text(["OrderPaid", "OrderShipped", "OrderPlaced"])
        expect(state).to_have_text("Live, 2 new events")
        page.locator("#events summary").first.click()
        expect(page.locator("#events pre").first).to_contain_text('"payload": {\n    "number": 2\n  }')
        expect(page.get_by_role("button", name="Copy").first).to_be_visible()
        request_id = page.locator("#events .ids code").nth(1).text_content()
        trace = page.locator("#events .ids").get_by_role("link", name="Trace").first
        expect(trace).to_have_attribute("href", f"/console/trace/{request_id}")

        set_visibility(page, "hidden")
        expect(state).to_contain_text("Paused")
        append("OrderReturned")
        set_visibility(page, "visible")
        expect(names.first).to_have_text("OrderReturned")
        expect(positions(page)).to_have_text(["4", "3", "2", "1"])

        page.get_by_label("Follow live").uncheck()
        expect(state).to_be_empty()
        append("OrderLost")
        page.reload()
        expect(positions(page).first).to_have_text("5")


def set_visibility(page, visibility):
    page.evaluate(
        """visibility => {
            Object.defineProperty(document, 'visibilityState', { value: visibility, configurable: true });
            document.dispatchEvent(new Event('visibilitychange'));
        }""",
        visibility,
    )


def test_live_page_reconnects_after_the_service_was_unavailable(browser, stack, client, append, name):
    append("OrderPlaced")
    with open_stream(browser, stack, name) as page:
        stack.stop("event-web")
        try:
            page.get_by_label("Follow live").check()
            expect(page.locator("#live-state")).to_have_text("Reconnecting …")
        finally:
            stack.start("event-web")
        eventually(lambda: client.get("/health/event-service").ok)
        append("OrderShipped")
        expect(page.locator("#events .name")).to_have_text(["OrderShipped", "OrderPlaced"])
        expect(page.locator("#live-state")).to_have_text("Live, 1 new event")


def test_only_events_of_the_selected_name_appear(browser, stack, append, name):
    append("OrderPlaced", "OrderShipped")
    with open_stream(browser, stack, name, "?name=OrderShipped") as page:
        page.get_by_label("Follow live").check()
        expect(page.locator("#live-state")).to_have_text("Live")
        append("OrderPlaced", "OrderShipped")
        expect(page.locator("#live-state")).to_have_text("Live, 1 new event")
        expect(positions(page)).to_have_text(["4", "2"])


def test_reader_sees_events_and_no_actions(browser, stack, append, name):
    append("OrderPlaced")
    reader = f"reader-{secrets.token_hex(4)}"
    password = stack.add_user(reader, "reader")
    with open_stream(browser, stack, name, user=reader, password=password) as page:
        expect(positions(page)).to_have_text(["1"])
        expect(page.locator("form[method=post]")).to_have_count(0)
        for tab, heading in (("Consumers", "Consumers"), ("Settings", "Retention")):
            page.get_by_role("link", name=tab, exact=True).click()
            expect(page.get_by_role("heading", level=2, name=heading)).to_be_visible()
            expect(page.locator("form[method=post]")).to_have_count(0)
