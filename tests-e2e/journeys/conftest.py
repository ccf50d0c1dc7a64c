"""The page of the orders in Chromium."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from quintet_e2e import orders
from quintet_e2e.browser import chromium, opened
from quintet_e2e.stacks import Running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, stack: Running) -> Iterator[Page]:
    """In English."""
    with opened(browser, stack, orders.PAGE, locale="en-US") as page:
        yield page
