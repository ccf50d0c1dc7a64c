"""The README's first round in a browser: issue numbers, import orders, and read which rows are invalid and why."""

import secrets

from playwright.sync_api import expect

from quintet_e2e import orders
from quintet_e2e.browser import open_page


def test_first_round_of_the_readme_is_done_in_the_console(browser, stack):
    name = f"receipt-{secrets.token_hex(4)}"
    file = orders.sample_file(orders.first_unused_id())
    with open_page(browser, stack, "/") as page:
        navigation = page.get_by_role("navigation", name="Main")
        navigation.get_by_role("link", name="Sequences", exact=True).click()
        if not page.get_by_label("Name", exact=True).is_visible():
            page.get_by_text("New sequence").click()
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_label("Format").fill("R-{:05d}")
        page.get_by_role("button", name="Create sequence").click()
        page.get_by_label("How many").fill("2")
        page.get_by_role("button", name="Issue").click()
        expect(page.locator("#issued-numbers")).to_have_text("R-00001\nR-00002")

        navigation.get_by_role("link", name="Orders", exact=True).click()
        upload = {"name": "orders.csv", "mimeType": "text/csv", "buffer": file}
        page.get_by_label("CSV or XLSX file").set_input_files([upload])
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Import of orders.csv")
        expect(page.get_by_text("201 of 201 rows")).to_be_visible()
        expect(page.get_by_text("We don't ship to").first).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("link", name="errors.csv").click()
        assert b"|line|rule|message" in download.value.path().read_bytes().splitlines()[0]
