"""A service that does not run makes only its own part of the console unavailable."""

import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import open_page
from quintet_e2e.stacks import ON_ONE_STACK

pytestmark = [pytest.mark.fault, ON_ONE_STACK]

PAGES = {
    "sequence": "/console/sequences",
    "event": "/console/streams",
    "orders": "/console/orders",
    "specstore": "/console/datasets",
    "factory": "/console/factories",
}


@pytest.fixture
def stopped(stack):
    """Return a function that stops the web process of a service; it is started again after the test."""
    programs = []

    def stop(service):
        programs.append(f"{service}-web")
        stack.stop(programs[-1])

    yield stop
    for program in programs:
        stack.start(program)  # does nothing if it runs
    stack.wait_until_healthy()


@pytest.mark.parametrize("service", PAGES)
def test_service_that_is_down_affects_its_own_parts_only_until_it_is_back(browser, stack, stopped, service):
    with open_page(browser, stack, "/") as overview, open_page(browser, stack, "/") as page:
        card = overview.locator(".card", has=overview.get_by_role("heading", name=f"{service}-service"))
        expect(card.get_by_text("OK").first).to_be_visible()
        stopped(service)
        expect(card).to_contain_text("DOWN")
        expect(overview.locator(".card .state-good").first).to_be_visible()
        for other, path in PAGES.items():
            response = page.goto(path)
            if other == service:
                expect(page.get_by_role("alert").first).to_contain_text(f"{service}-service does not respond")
            else:
                assert response.status == 200
                expect(page.get_by_role("alert")).to_have_count(0)
        stack.start(f"{service}-web")
        # Without a reload.
        expect(card.get_by_role("heading").get_by_text("OK")).to_be_visible()
