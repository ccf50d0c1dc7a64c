"""The page of the orders in a browser: files go in, their progress is seen, and what came of them."""

import secrets

import pytest
from playwright.sync_api import expect

from quintet_e2e import orders
from quintet_e2e.browser import opened

# The page is the same in both ways to run.
pytestmark = pytest.mark.parametrize("stack", ["local"], indirect=True)

PHONE = {"width": 360, "height": 740}
ON_A_PAGE = 20
IMPORTED_MS = 90_000
MANY = 300_000
# What a progress bar shows is written down at each change, however short it is seen.
NOTE_CHANGES = """id => {
    const bar = document.getElementById(id), seen = bar.seen = [];
    new MutationObserver(() => seen.push(bar.value)).observe(bar, { attributeFilter: ['value'] });
}"""


def choose(page, content, name="orders.csv"):
    page.locator("#file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})


def import_file(page, content, name="orders.csv"):
    choose(page, content, name)
    page.evaluate("() => delete document.getElementById('import').dataset.status")
    page.locator("#send").click()
    page.locator("#import:is([data-status=SUCCESS], [data-status=FAILURE])").wait_for(timeout=IMPORTED_MS)
    expect(page.locator("#import-title")).to_contain_text(name)


def counts(page):
    return {fate: page.locator(f"#{fate}").inner_text() for fate in orders.FATES}


def filtered(page, **wanted):
    for name, value in wanted.items():
        field = page.locator(f"#filter [name={name}]")
        if name == "valid":
            field.select_option(value)
        else:
            field.fill(value)
    page.get_by_role("button", name="Filter").click()


def named(first, count, name):
    """So many orders of somebody."""
    return orders.orders(first, count).replace(b"|Stone Dominguez|", f"|{name}|".encode())


def ids_shown(page):
    return [int(cell) for cell in page.locator("#orders tbody tr td:first-child").all_inner_texts()]


def test_the_sample_is_imported_and_its_counts_and_errors_are_shown(page):
    first = orders.new_ids()
    import_file(page, orders.sample(first), "sample.csv")
    expect(page.locator("#import-message")).to_have_text("import finished")
    assert counts(page) == {"valid": "62", "invalid": "137", "duplicates": "2", "rejected": "0"}
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


def test_the_progress_of_a_big_file_is_seen_to_move(stack, page):
    content = orders.orders(orders.new_ids(), MANY)
    for bar in ("uploaded", "done"):
        page.evaluate(NOTE_CHANGES, bar)
    # As on a slow machine: there is time to look.
    with stack.slowed("orders-worker"):
        import_file(page, content, "big.csv")
    uploaded = page.locator("#uploaded").evaluate("bar => bar.seen")
    assert uploaded == sorted(uploaded) and uploaded[-1] == 1
    done = page.locator("#done").evaluate("bar => bar.seen")
    assert done == sorted(done) and done[-1] == 100
    assert len([share for share in done if 0 < share < 100]) >= 2, done
    assert counts(page)["valid"] == f"{orders.fates_of(MANY)['valid']:,}"


def test_an_earlier_import_is_shown_again(page):
    name = f"earlier-{secrets.token_hex(4)}.csv"
    import_file(page, orders.orders(orders.new_ids(), 8), name)
    import_file(page, orders.sample(orders.new_ids()), "later.csv")
    page.get_by_role("button", name=name).click()
    expect(page.locator("#import-title")).to_be_focused()
    expect(page.locator("#import-title")).to_contain_text(name)
    expect(page.locator("#current")).to_have_text("8 of 8")
    assert counts(page)["valid"] == str(orders.fates_of(8)["valid"])


def test_orders_are_filtered(page):
    first, name = orders.new_ids(), f"Zacharias {secrets.token_hex(4)}"
    import_file(page, named(first, 16, name))
    filtered(page, name=name.upper())
    expect(page.locator("#orders tbody tr")).to_have_count(2)
    assert ids_shown(page) == [first, first + 8]
    filtered(page, state="ia", zipcode="051", email="STONE@", valid="true")
    expect(page.locator("#orders tbody tr")).to_have_count(2)
    filtered(page, valid="false")
    expect(page.locator("#orders-summary")).to_have_text("No orders found.")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#orders-summary")).to_contain_text("Page 1.")
    filtered(page, state="I1")
    expect(page.locator("#orders-problem")).to_have_text("state must be a string")


def test_one_order_is_shown_with_what_is_wrong_with_it(page):
    first, name = orders.new_ids(), f"Davis {secrets.token_hex(4)}"
    import_file(page, orders.orders(first, 8).replace(b"Davis Walters", name.encode()))
    filtered(page, name=name)
    expect(page.locator("#orders tbody tr")).to_have_count(1)
    page.get_by_text(name).click()
    expect(page.locator(".order")).to_contain_text("March 21, 1941")
    expect(page.locator(".order")).to_contain_text("We don't ship to PA")


def test_pages_follow_each_other_and_go_back(page):
    first, name = orders.new_ids(), f"Yolanda {secrets.token_hex(4)}"
    import_file(page, named(first, 8 * 45, name))
    filtered(page, name=name)
    wanted = [first + 8 * place for place in range(45)]
    back, forward = (page.get_by_role("button", name=name) for name in ("Previous page", "Next page"))
    for number in range(3):
        expect(page.locator("#orders-summary")).to_have_text(f"Page {number + 1}.")
        assert ids_shown(page) == wanted[number * ON_A_PAGE : (number + 1) * ON_A_PAGE]
        assert back.is_enabled() == (number > 0)
        if number < 2:
            forward.click()
    assert forward.is_disabled()
    back.click()
    expect(page.locator("#orders-summary")).to_have_text("Page 2.")
    assert ids_shown(page) == wanted[ON_A_PAGE : 2 * ON_A_PAGE]


def test_an_id_is_shown_as_it_is_however_large(page):
    name = f"Xerxes {secrets.token_hex(4)}"
    ids = (-(2**63) + secrets.randbelow(2**40), 2**63 - 1 - secrets.randbelow(2**40))
    rows = (f"{number}|{name}|x@example.com|IA|05130|Jan 1, 1980" for number in ids)
    import_file(page, "\n".join(["id|name|email|state|zipcode|birthday", *rows]).encode())
    filtered(page, name=name)
    expect(page.locator("#orders tbody tr")).to_have_count(2)
    assert ids_shown(page) == list(ids)
    page.get_by_text(name).last.click()
    expect(page.locator(".order")).to_contain_text("x@example.com")


def test_what_a_file_holds_is_shown_and_never_run(page):
    first, mark = orders.new_ids(), secrets.token_hex(4)
    name = f"<img src=x onerror=alert(1)>{mark}"
    import_file(page, named(first, 8, name), f"<b>{mark}.csv")
    filtered(page, name=mark)
    expect(page.locator("#orders tbody tr")).to_have_count(1)
    expect(page.locator("#orders summary")).to_have_text(name)
    expect(page.locator("#imports b").first).to_contain_text(f"<b>{mark}.csv")
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize(
    ("locale", "query", "language", "upload", "finished", "of"),
    [
        ("en-GB", "", "en", "Upload", "import finished", "201 of 201"),
        ("pt-BR", "", "pt", "Enviar", "importação concluída", "201 de 201"),
        ("es-ES", "", "es", "Enviar", "importación terminada", "201 de 201"),
        ("de-DE", "", "en", "Upload", "import finished", "201 of 201"),
        ("en-GB", "?lang=es", "es", "Enviar", "importación terminada", "201 de 201"),
    ],
)
def test_the_page_speaks_three_languages(browser, stack, locale, query, language, upload, finished, of):
    with opened(browser, stack, orders.PAGE + query, locale=locale) as page:
        assert page.locator("html").get_attribute("lang") == language
        assert page.locator("#send").inner_text() == upload
        import_file(page, orders.sample(orders.new_ids()))
        expect(page.locator("#import-message")).to_have_text(finished)
        expect(page.locator("#current")).to_have_text(of)


def test_the_language_that_is_switched_to_stays(page):
    page.get_by_role("link", name="Português").click()
    expect(page.locator("h1")).to_have_text("Pedidos")
    expect(page.get_by_role("link", name="Português")).to_have_attribute("aria-current", "true")
    page.reload()
    expect(page.locator("h1")).to_have_text("Pedidos")
    choose(page, b"x", "orders.txt")
    page.locator("#send").click()
    expect(page.locator("#upload-problem")).to_contain_text("'.csv'")
    expect(page.locator("#upload-problem")).not_to_contain_text("only")
    import_file(page, orders.orders(orders.new_ids(), 8))
    with page.expect_download() as download:
        page.locator("#errors").click()
    assert "Não" in download.value.path().read_text(encoding="utf-8")


def test_a_keyboard_is_enough(page):
    def press_until(selector):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.locator(selector).evaluate("it => it === document.activeElement"):
                return
        raise AssertionError(f"{selector} is not to be reached")

    def assert_seen(selector):
        outline = page.locator(selector).evaluate("it => getComputedStyle(it).outlineStyle")
        assert outline != "none", f"{selector}: nobody sees that it has the focus"

    name = f"Wolfgang {secrets.token_hex(4)}"
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    press_until("#file")
    assert_seen("#drop")
    choose_with_the_keyboard(page, named(orders.new_ids(), 8, name))
    press_until("#dry-run")
    assert_seen("#dry-run")
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    press_until("#send")
    assert_seen("#send")
    page.keyboard.press("Enter")
    expect(page.locator("#import-title")).to_be_focused()
    expect(page.locator("#import-message")).to_have_text("import finished", timeout=IMPORTED_MS)
    press_until("#filter [name=name]")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    expect(page.locator("#orders tbody tr")).to_have_count(1)
    press_until("#orders summary")
    assert_seen("#orders summary")
    page.keyboard.press("Enter")
    expect(page.locator(".order")).to_contain_text("stone@example.org")


def choose_with_the_keyboard(page, content):
    """A browser that is slow to see that somebody is there opens nothing the first time."""
    choosers = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    for _ in range(40):
        page.keyboard.press("Enter")
        page.wait_for_timeout(500)
        if choosers:
            break
    choosers[0].set_files({"name": "keys.csv", "mimeType": "text/csv", "buffer": content})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(browser, stack, scheme):
    with opened(browser, stack, orders.PAGE, viewport=PHONE, locale="pt-BR", color_scheme=scheme) as page:
        long = "w" * 150 + secrets.token_hex(4)
        content = named(orders.new_ids(), 8, long).replace(b"stone@", long.encode() + b"@")
        import_file(page, content, f"{long}.csv")
        page.locator("#filter [name=name]").fill(long)
        page.locator("#filter [type=submit]").click()
        expect(page.locator("#orders tbody tr")).to_have_count(1)
        expect(page.locator("#orders summary")).to_contain_text(long)
        page.locator("#orders summary").click()
        expect(page.locator(".order dd").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
