"""The console's start page and its check of the invariants in a browser."""

import re
import secrets

from playwright.sync_api import expect

from quintet_e2e.browser import open_page
from quintet_e2e.clients import ok_json
from quintet_e2e.stacks import ON_ONE_STACK

# The pages are the same in both deployment modes.
pytestmark = ON_ONE_STACK

SERVICES = ("event-service", "factory-service", "orders-service", "sequence-service", "specstore-service")


def card(page, service):
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=service))


def test_overview_shows_each_service_with_its_traffic(browser, stack):
    with open_page(browser, stack, "/") as page:
        for service in SERVICES:
            expect(card(page, service)).to_contain_text("postgres")
            expect(card(page, service)).to_contain_text(re.compile(r"Requests\s*[\d.e-]+/s"))
            expect(card(page, service).get_by_role("img", name="Requests per minute")).to_be_visible()
            expect(card(page, service)).to_contain_text(re.compile(r"Outbox\s*[\d,]+ waiting"))


def test_requests_appear_in_the_traffic_once_their_minute_is_complete(browser, stack, client):
    """Wait for the end of the current minute, because only complete minutes are shown."""
    for _ in range(30):
        ok_json(client.get("/api/sprockets"))
    with open_page(browser, stack, "/") as page:
        factories = card(page, "factory-service")
        expect(factories).to_contain_text(re.compile(r"Requests\s*0?\.\d*[1-9]|Requests\s*[1-9]"), timeout=90_000)
        expect(factories.get_by_role("img", name="Latency per minute")).to_be_visible()


def test_new_event_appears_without_a_reload_and_leads_to_its_stream(browser, stack, client):
    with open_page(browser, stack, "/") as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        response = client.post("/api/factories", json={"name": f"e2e {secrets.token_hex(4)}"})
        request_id = response.headers["X-Request-ID"]
        row = page.get_by_role("row", name=request_id)
        expect(row).to_contain_text("FactoryCreated")
        row.get_by_role("button", name=f"Copy {request_id}").click()
        page.wait_for_function("id => navigator.clipboard.readText().then((text) => text === id)", arg=request_id)
        row.get_by_role("link", name="factory").press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("factory")


def test_refresh_keeps_the_focus_on_its_event_while_newer_ones_appear(browser, stack, client):
    first, second = (f"r-{secrets.token_hex(8)}" for _ in range(2))
    create = {"json": {"name": f"e2e {secrets.token_hex(4)}"}}
    ok_json(client.post("/api/factories", headers={"X-Request-ID": first}, **create))
    with open_page(browser, stack, "/") as page:
        link = page.get_by_role("row", name=first).get_by_role("link", name="factory", exact=True)
        link.focus()
        expect(link).to_be_focused()
        ok_json(client.post("/api/factories", headers={"X-Request-ID": second}, **create))
        expect(page.get_by_role("row", name=second)).to_be_visible()
        expect(link).to_be_focused()


def test_admin_checks_invariants_and_follows_a_full_run(browser, stack):
    with open_page(browser, stack, "/") as page:
        page.get_by_role("button", name="Check invariants").press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Invariants")
        for service in SERVICES:
            expect(page.get_by_role("heading", name=service)).to_contain_text("OK")
        expect(page.get_by_role("row", name="every recorded number was counted")).to_contain_text("OK")
        page.get_by_role("button", name="Start a full run").click()
        expect(page.get_by_role("status")).to_have_text("Started.")
        expect(page.get_by_text("The last full run ended")).to_have_count(len(SERVICES), timeout=90_000)
        # It is no longer refreshed.
        expect(page.locator("#reports[hx-get]")).to_have_count(0)


def test_reader_sees_pages_without_actions(browser, stack):
    reader = f"reader-{secrets.token_hex(4)}"
    with open_page(browser, stack, "/", reader, stack.add_user(reader, "reader")) as page:
        expect(page.get_by_role("heading", name="Newest events")).to_be_visible()
        expect(page.get_by_role("button", name="Check invariants")).to_have_count(0)
        page.goto("/console/invariants")
        expect(page.get_by_role("alert")).to_have_text("this requires the role admin")
        for heading in ("Factories", "Sprockets"):
            page.goto(f"/console/{heading.lower()}")
            expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
            expect(page.locator("form")).to_have_count(0)


def test_service_shows_charts_of_the_last_minutes_with_a_table_and_csv(browser, stack):
    with open_page(browser, stack, "/") as page:
        expect(card(page, "sequence-service").get_by_role("img", name="Messages that waited")).to_be_visible()
        page.get_by_role("link", name="sequence-service", exact=True).press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("sequence-service")
        expect(page.locator("figure canvas")).to_have_count(4)
        page.get_by_text("Show the data as a table").press("Enter")
        rows = page.get_by_role("table", name="Figures per minute").get_by_role("row")
        expect(rows).to_have_count(1 + 16)
        # A worker counts the outbox every 15 seconds.
        expect(rows.last.get_by_role("cell").last).to_have_text(re.compile(r"\d"), timeout=60_000)
        with page.expect_download() as download:
            page.get_by_role("link", name="Download these figures as CSV").click()
        text = download.value.path().read_text()
    assert text.splitlines()[0] == "time,requests,errors,median_ms,slow_ms,backlog"
    assert text.count("\n") == 17
