"""Chromium for the journeys that use web pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, HttpCredentials, Page, expect, sync_playwright

from quintet_e2e.stacks import RunningStack

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
# Without these, Chromium would contact other hosts, require a graphics card and start background tasks.
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
TIMEOUT_MS = 30_000


@contextmanager
def chromium() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, EXECUTABLES)), None)
    if executable is None:
        pytest.skip(f"Chromium is not installed (searched for {', '.join(EXECUTABLES)})")
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(
    browser: Browser, stack: RunningStack, path: str, user: str = "", password: str = "", **options: Any
) -> Iterator[Page]:
    """Yield the page, signed in. Errors of its scripts or of the browser fail the test, except rejected requests."""
    credentials: HttpCredentials = {"username": user or stack.user, "password": password or stack.password}
    context = browser.new_context(http_credentials=credentials, base_url=stack.url, **options)
    context.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    try:
        page.goto(path)
        yield page
        assert [error for error in errors if "Failed to load resource" not in error] == []
    finally:
        context.close()


def accessibility_violations(page: Page) -> list[str]:
    """Return what axe-core finds serious or critical: rule, help and the elements concerned."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {violation['help']}: {[node['target'] for node in violation['nodes']]}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    ]
