"""The gateway's pages in Chromium."""

import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import chromium

RESPONSES = {"200": {"description": "OK"}}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "event-service", "version": "1"},
    "paths": {
        "/api/v1/streams": {"get": {"tags": ["streams"], "responses": RESPONSES}},
        "/api/v1/streams/{stream}": {
            "parameters": [{"name": "stream", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"tags": ["streams"], "responses": RESPONSES},
            "delete": {"tags": ["retention"], "responses": RESPONSES},
        },
        "/events": {"get": {"tags": ["events"], "responses": RESPONSES}},
    },
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(gateway, browser):
    """Return a function that opens a page as a reader, and fail the test if a script reports an error."""
    errors, contexts = [], []

    def open_page(path, color_scheme="light"):
        credentials = {"username": "rita", "password": gateway.passwords["rita"]}
        context = browser.new_context(http_credentials=credentials, color_scheme=color_scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(f"http://127.0.0.1:{gateway.port}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def background_is_dark(page, selector):
    color = page.locator(selector).evaluate("element => getComputedStyle(element).backgroundColor")
    return max(int(channel) for channel in color.removeprefix("rgb(").removesuffix(")").split(",")) < 64


def test_operations_are_grouped_by_tag(gateway, open_page):
    gateway.services["console"].handler = lambda request: request.send_json(200, DOCUMENT)
    page = open_page("/docs/?service=console")
    for group, operations in {
        "streams": ["GET/api/v1/streams", "GET/api/v1/streams/{stream}"],
        "retention": ["DELETE/api/v1/streams/{stream}"],
        "events": ["GET/events"],
    }.items():
        section = page.locator(".opblock-tag-section", has=page.locator(f'[data-tag="{group}"]'))
        expect(section.locator(".opblock")).to_have_count(len(operations))
        methods = section.locator(".opblock-summary-method").all_inner_texts()
        paths = section.locator(".opblock-summary-path").all_text_contents()
        shown = [method + path.replace("\u200b", "") for method, path in zip(methods, paths, strict=True)]
        assert shown == operations
    expect(page.locator(".opblock-tag-section")).to_have_count(3)


def test_page_follows_the_color_scheme(gateway, open_page):
    gateway.services["sequence"].handler = lambda request: request.send_json(200, DOCUMENT)
    for color_scheme in ("light", "dark"):
        page = open_page("/docs/", color_scheme)
        assert background_is_dark(page, "body") is (color_scheme == "dark")
    expect(page.locator(".opblock-tag-section")).to_have_count(3)
    assert background_is_dark(page, ".swagger-ui")
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).not_to_have_class("dark-mode")
