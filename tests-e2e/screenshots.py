"""Takes screenshots of all pages of the console, filled with realistic data, from a stack of its own.

Usage: screenshots.py [--docs]. They are written to build/screenshots/: each page in light, dark and 360 px wide. With
--docs, those that docs/console.md and the README show are written to docs/images/ as well.
"""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, expect

from quintet_e2e import demo_data
from quintet_e2e.browser import chromium, open_page
from quintet_e2e.stacks import CHECKOUT, RunningStack, local_stack

FOLDER = CHECKOUT / "build" / "screenshots"
DOCS_FOLDER = CHECKOUT / "docs" / "images"
# File name, path with the names of `demo_data.fill`, and the height of the picture for the documents, if it is one.
PAGES = [
    ("overview", "/", 900),
    ("service", "/console/services/orders-service", None),
    ("sequences", "/console/sequences", 520),
    ("sequence", "/console/sequences/{sequence}", 700),
    ("streams", "/console/streams", None),
    ("stream", "/console/streams/{stream}", 760),
    ("consumers", "/console/streams/{stream}/consumers", 560),
    ("consumer", "/console/streams/{stream}/consumers/notifications", None),
    ("stream-settings", "/console/streams/{stream}/settings", None),
    ("orders", "/console/orders", 900),
    ("import", "/console/orders/imports/{import}", 760),
    ("datasets", "/console/datasets", None),
    ("dataset", "/console/datasets/{dataset}", 900),
    ("failed-dataset", "/console/datasets/{failed_dataset}", None),
    ("factories", "/console/factories", 620),
    ("factory", "/console/factories/{factory}?range=week", 900),
    ("sprockets", "/console/sprockets", None),
    ("invariants", "/console/invariants", None),
    ("messages", "/console/messages", 700),
    ("dead-letters", "/console/messages/specstore.refresh", None),
    ("trace", "/console/trace/{request_id}", 520),
    ("users", "/console/users", None),
    ("upload", "/acme_orders", None),
]
WIDTH, PHONE_WIDTH = 1200, 360


def take(page: Page, folder: Path, name: str, height: int | None) -> None:
    for scheme, width in (("light", WIDTH), ("dark", WIDTH), ("light", PHONE_WIDTH)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": height or 900})
        file = folder / f"{name}-{scheme if width == WIDTH else 'phone'}.png"
        page.screenshot(path=file, full_page=True)
    if height:
        page.set_viewport_size({"width": WIDTH, "height": height})
        page.screenshot(path=folder / f"docs-{name}.png")


def take_all(stack: RunningStack) -> None:
    names = demo_data.fill(stack)
    with chromium() as browser:
        for name, path, height in PAGES:
            with open_page(browser, stack, path.format(**names)) as page:
                if name == "overview":
                    # The requests of a minute are shown after it has ended.
                    expect(page.locator(".traffic dd").first).not_to_have_text("0/s", timeout=90_000)
                take(page, FOLDER, name, height)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="also update docs/images/")
    arguments = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with local_stack() as stack:
        take_all(stack)
    if arguments.docs:
        DOCS_FOLDER.mkdir(exist_ok=True)
        for file in FOLDER.glob("docs-*.png"):
            shutil.copy(file, DOCS_FOLDER / file.name.removeprefix("docs-"))


if __name__ == "__main__":
    sys.exit(main())
