"""Fixtures that open pages in Chromium, a client with the role writer, and the Python client of the administrator."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from quintet import Quintet
from quintet_e2e import orders
from quintet_e2e.browser import chromium, open_page
from quintet_e2e.clients import Client
from quintet_e2e.command_line import CommandLine
from quintet_e2e.stacks import RunningStack


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, stack: RunningStack) -> Iterator[Page]:
    """Yield the page of orders in English."""
    with open_page(browser, stack, orders.PAGE, locale="en-US") as page:
        yield page


@pytest.fixture
def writer(stack: RunningStack) -> Iterator[Client]:
    name = f"writer-{secrets.token_hex(4)}"
    client = Client(stack, name, stack.add_user(name, "writer"))
    yield client
    client.close()


@pytest.fixture
def quintet(stack: RunningStack) -> Iterator[Quintet]:
    with Quintet(stack.client_url()) as client:
        yield client


@pytest.fixture
def cli(stack: RunningStack, tmp_path: Path) -> CommandLine:
    """Return the command line of the administrator, in a temporary folder."""
    return CommandLine(stack.client_url(), tmp_path)
