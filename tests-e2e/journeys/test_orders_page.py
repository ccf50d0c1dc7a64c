"""The page of orders in a browser: upload, progress, results and the list of orders."""

import secrets

import pytest
from playwright.sync_api import expect

from quintet_e2e import orders
from quintet_e2e.browser import open_page
from quintet_e2e.stacks import ON_ONE_STACK

# The page is the same in both deployment modes.
pytestmark = ON_ONE_STACK

PHONE = {"width": 360, "height": 740}
PAGE_SIZE = 20
IMPORT_MS = 90_000
LARGE_ROWS = 100_000
# Record each value of a progress bar, regardless of how long it is visible.
RECORD_VALUES = """id => {
    const bar = document.getElementById(id), values = bar.recordedValues = [];
    new MutationObserver(() => values.push(bar.value)).observe(bar, { attributeFilter: ['value'] });
}"""


def choose(page, content, name="orders.csv"):
    page.locator("#file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})


def import_file(page, content, name="orders.csv"):
    choose(page, content, name)
    page.evaluate("() => delete document.getElementById('import').dataset.status")
    page.locator("#send").click()
    page.locator("#import:is([data-status=SUCCESS], [data-status=FAILURE])").wait_for(timeout=IMPORT_MS)
    expect(page.locator("#import-title")).to_contain_text(name)


def shown_counts(page):
    return {counter: page.locator(f"#{counter}").inner_text() for counter in orders.COUNTERS}


def apply_filter(page, **values):
    for name, value in values.items():
        field = page.locator(f"#filter [name={name}]")
        if name == "valid":
            field.select_option(value)
        else:
            field.fill(value)
    page.get_by_role("button", name="Filter").click()


def orders_named(first_id, count, name):
    """Return a file of orders, one in eight of which has this name."""
    return orders.orders_file(first_id, count).replace(b"|Stone Dominguez|", f"|{name}|".encode())


def shown_ids(page):
    return [int(cell) for cell in page.locator("#orders tbody tr td:first-child").all_inner_texts()]


def test_sample_is_imported_and_its_counts_and_errors_are_shown(page):
    first_id = orders.first_unused_id()
    import_file(page, orders.sample_file(first_id), "sample.csv")
    expect(page.locator("#import-message")).to_have_text("import finished")
    assert shown_counts(page) == {"valid": "62", "invalid": "137", "duplicates": "2", "rejected": "0"}
    expect(page.locator("#current")).to_have_text("201 of 201")
    assert page.locator("#done").evaluate("bar => bar.value") == 100
    expect(page.locator("#announcement")).to_contain_text("import finished, 100%: valid 62, invalid 137")
    with page.expect_download() as download:
        page.get_by_role("link", name="errors.csv").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 137 + 2
    assert any(line.endswith("|We don't ship to PA") for line in lines)
    expect(page.locator("#imports li").first).to_contain_text("sample.csv")
    expect(page.locator("#imports li").first).to_contain_text("finished")


@pytest.mark.slow
def test_progress_of_large_file_is_shown(stack, page):
    content = orders.orders_file(orders.first_unused_id(), LARGE_ROWS)
    for bar in ("uploaded", "done"):
        page.evaluate(RECORD_VALUES, bar)
    # With a slow worker, intermediate values are shown.
    with stack.slowed("orders-worker"):
        import_file(page, content, "large.csv")
    uploaded = page.locator("#uploaded").evaluate("bar => bar.recordedValues")
    assert uploaded == sorted(uploaded) and uploaded[-1] == 1
    progress = page.locator("#done").evaluate("bar => bar.recordedValues")
    assert progress == sorted(progress) and progress[-1] == 100
    assert len([percent for percent in progress if 0 < percent < 100]) >= 2, progress
    assert shown_counts(page)["valid"] == f"{orders.expected_counts(LARGE_ROWS)['valid']:,}"


@pytest.mark.slow
def test_earlier_import_is_shown_after_selection(page):
    name = f"earlier-{secrets.token_hex(4)}.csv"
    import_file(page, orders.orders_file(orders.first_unused_id(), 8), name)
    import_file(page, orders.sample_file(orders.first_unused_id()), "later.csv")
    page.get_by_role("button", name=name).click()
    expect(page.locator("#import-title")).to_be_focused()
    expect(page.locator("#import-title")).to_contain_text(name)
    expect(page.locator("#current")).to_have_text("8 of 8")
    assert shown_counts(page)["valid"] == str(orders.expected_counts(8)["valid"])


@pytest.mark.slow
def test_filter_limits_listed_orders(page):
    first_id, name = orders.first_unused_id(), f"Zacharias {secrets.token_hex(4)}"
    import_file(page, orders_named(first_id, 16, name))
    apply_filter(page, name=name.upper())
    expect(page.locator("#orders tbody tr")).to_have_count(2)
    assert shown_ids(page) == [first_id, first_id + 8]
    apply_filter(page, state="ia", zipcode="051", email="STONE@", valid="true")
    expect(page.locator("#orders tbody tr")).to_have_count(2)
    apply_filter(page, valid="false")
    expect(page.locator("#orders-summary")).to_have_text("No orders found.")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#orders-summary")).to_contain_text("Page 1.")
    apply_filter(page, state="I1")
    expect(page.locator("#orders-problem")).to_have_text("state must be a string")


@pytest.mark.slow
def test_order_is_shown_with_its_errors(page):
    first_id, name = orders.first_unused_id(), f"Davis {secrets.token_hex(4)}"
    import_file(page, orders.orders_file(first_id, 8).replace(b"Davis Walters", name.encode()))
    apply_filter(page, name=name)
    expect(page.locator("#orders tbody tr")).to_have_count(1)
    page.get_by_text(name).click()
    expect(page.locator(".order")).to_contain_text("March 21, 1941")
    expect(page.locator(".order")).to_contain_text("We don't ship to PA")


@pytest.mark.slow
def test_paging_moves_forward_and_back(page):
    first_id, name = orders.first_unused_id(), f"Yolanda {secrets.token_hex(4)}"
    import_file(page, orders_named(first_id, 8 * 45, name))
    apply_filter(page, name=name)
    expected_ids = [first_id + 8 * index for index in range(45)]
    back, forward = (page.get_by_role("button", name=label) for label in ("Previous page", "Next page"))
    for number in range(3):
        expect(page.locator("#orders-summary")).to_have_text(f"Page {number + 1}.")
        assert shown_ids(page) == expected_ids[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]
        assert back.is_enabled() == (number > 0)
        if number < 2:
            forward.click()
    assert forward.is_disabled()
    back.click()
    expect(page.locator("#orders-summary")).to_have_text("Page 2.")
    assert shown_ids(page) == expected_ids[PAGE_SIZE : 2 * PAGE_SIZE]


@pytest.mark.slow
def test_large_ids_are_shown_exactly(page):
    name = f"Xerxes {secrets.token_hex(4)}"
    ids = (-(2**63) + secrets.randbelow(2**40), 2**63 - 1 - secrets.randbelow(2**40))
    rows = (f"{number}|{name}|x@example.com|IA|05130|Jan 1, 1980" for number in ids)
    import_file(page, "\n".join(["id|name|email|state|zipcode|birthday", *rows]).encode())
    apply_filter(page, name=name)
    expect(page.locator("#orders tbody tr")).to_have_count(2)
    assert shown_ids(page) == list(ids)
    page.get_by_text(name).last.click()
    expect(page.locator(".order")).to_contain_text("x@example.com")


@pytest.mark.slow
def test_markup_in_file_is_shown_as_text(page):
    first_id, suffix = orders.first_unused_id(), secrets.token_hex(4)
    name = f"<img src=x onerror=alert(1)>{suffix}"
    import_file(page, orders_named(first_id, 8, name), f"<b>{suffix}.csv")
    apply_filter(page, name=suffix)
    expect(page.locator("#orders tbody tr")).to_have_count(1)
    expect(page.locator("#orders summary")).to_have_text(name)
    expect(page.locator("#imports b").first).to_contain_text(f"<b>{suffix}.csv")
    assert page.locator("main img").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("locale", "query", "language", "upload", "finished", "progress"),
    [
        ("en-GB", "", "en", "Upload", "import finished", "201 of 201"),
        ("pt-BR", "", "pt", "Enviar", "importação concluída", "201 de 201"),
        ("es-ES", "", "es", "Enviar", "importación terminada", "201 de 201"),
        ("de-DE", "", "en", "Upload", "import finished", "201 of 201"),
        ("en-GB", "?lang=es", "es", "Enviar", "importación terminada", "201 de 201"),
    ],
    ids=["English", "Portuguese", "Spanish", "other locale", "query parameter"],
)
def test_page_uses_language_of_locale_or_query(browser, stack, locale, query, language, upload, finished, progress):
    with open_page(browser, stack, orders.PAGE + query, locale=locale) as page:
        assert page.locator("html").get_attribute("lang") == language
        assert page.locator("#send").inner_text() == upload
        import_file(page, orders.sample_file(orders.first_unused_id()))
        expect(page.locator("#import-message")).to_have_text(finished)
        expect(page.locator("#current")).to_have_text(progress)


@pytest.mark.slow
def test_selected_language_persists(page):
    page.get_by_role("link", name="Português").click()
    expect(page.locator("h1")).to_have_text("Pedidos")
    expect(page.get_by_role("link", name="Português")).to_have_attribute("aria-current", "true")
    page.reload()
    expect(page.locator("h1")).to_have_text("Pedidos")
    choose(page, b"x", "orders.txt")
    page.locator("#send").click()
    expect(page.locator("#upload-problem")).to_contain_text("'.csv'")
    expect(page.locator("#upload-problem")).not_to_contain_text("only")
    import_file(page, orders.orders_file(orders.first_unused_id(), 8))
    with page.expect_download() as download:
        page.locator("#errors").click()
    assert "Não" in download.value.path().read_text(encoding="utf-8")


@pytest.mark.slow
def test_page_is_usable_by_keyboard(page):
    def press_until(selector):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.locator(selector).evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"{selector} cannot be reached by Tab")

    def assert_focus_visible(selector):
        outline = page.locator(selector).evaluate("element => getComputedStyle(element).outlineStyle")
        assert outline != "none", f"{selector} must show that it has the focus"

    name = f"Wolfgang {secrets.token_hex(4)}"
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    press_until("#file")
    assert_focus_visible("#drop")
    choose_by_keyboard(page, orders_named(orders.first_unused_id(), 8, name))
    press_until("#options-title")
    assert_focus_visible("#options-title")
    page.keyboard.press("Enter")
    press_until("#dry-run")
    assert_focus_visible("#dry-run")
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    press_until("#send")
    assert_focus_visible("#send")
    page.keyboard.press("Enter")
    expect(page.locator("#import-title")).to_be_focused()
    expect(page.locator("#import-message")).to_have_text("import finished", timeout=IMPORT_MS)
    press_until("#filter [name=name]")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    expect(page.locator("#orders tbody tr")).to_have_count(1)
    press_until("#orders summary")
    assert_focus_visible("#orders summary")
    page.keyboard.press("Enter")
    expect(page.locator(".order")).to_contain_text("stone@example.org")


def choose_by_keyboard(page, content):
    """Press Enter until the file chooser opens, because a slow browser may ignore the first one."""
    choosers = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    for _ in range(40):
        page.keyboard.press("Enter")
        page.wait_for_timeout(500)
        if choosers:
            break
    choosers[0].set_files({"name": "keys.csv", "mimeType": "text/csv", "buffer": content})


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_width_of_phone(browser, stack, scheme):
    with open_page(browser, stack, orders.PAGE, viewport=PHONE, locale="pt-BR", color_scheme=scheme) as page:
        long_name = "w" * 150 + secrets.token_hex(4)
        content = orders_named(orders.first_unused_id(), 8, long_name).replace(b"stone@", long_name.encode() + b"@")
        import_file(page, content, f"{long_name}.csv")
        page.locator("#filter [name=name]").fill(long_name)
        page.locator("#filter [type=submit]").click()
        expect(page.locator("#orders tbody tr")).to_have_count(1)
        expect(page.locator("#orders summary")).to_contain_text(long_name)
        page.locator("#orders summary").click()
        expect(page.locator(".order dd").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
