"""Chromium, as somebody uses it who looks at the pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from quintet_e2e.stacks import Running

NAMES = ("chromium", "chromium-browser", "google-chrome")
# No other host, nothing at a graphics card, nothing that it does of its own accord.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-features=OptimizationHints,MediaRouter,Translate",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)
PATIENCE_MS = 30_000


@contextmanager
def chromium() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"there is no Chromium here: none of {', '.join(NAMES)} is installed")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser, stack: Running, path: str, user: str = "", password: str = "", **options: Any
) -> Iterator[Page]:
    """The page, signed in; what its scripts or the browser complain of fails the test, but for refused requests."""
    credentials = {"username": user or stack.user, "password": password or stack.password}
    context = browser.new_context(http_credentials=credentials, base_url=stack.url, **options)
    context.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    try:
        page.goto(path)
        yield page
        assert [said for said in complaints if "Failed to load resource" not in said] == []
    finally:
        context.close()
