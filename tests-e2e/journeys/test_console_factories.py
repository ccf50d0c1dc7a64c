"""The console's pages of factories and sprockets in a browser: charts, zoom, live points, loads and changes."""

import json
import re
import secrets

import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import open_page
from quintet_e2e.clients import ok_json
from quintet_e2e.stacks import ON_ONE_STACK

# The pages are the same in both deployment modes.
pytestmark = ON_ONE_STACK

MINUTE = 60
# Of the first point: 2024-01-01 00:00:00 UTC.
START = 1_704_067_200


@pytest.fixture
def name():
    return f"Hall {secrets.token_hex(4)}"


def a_factory(client, name, points=100):
    """Create a factory with a point per minute; every tenth misses its goal by 20. Return the path of its page."""
    chart = {
        "sprocket_production_actual": [80 if n % 10 == 9 else 110 for n in range(points)],
        "sprocket_production_goal": [100] * points,
        "time": [START + MINUTE * n for n in range(points)],
    }
    factory = ok_json(client.post("/api/factories", json={"name": name, "chart_data": chart}))
    return f"/console/factories/{factory['id']}"


def chart(page, heading="Actual production and goal"):
    return page.locator("figure", has_text=heading)


def record(page, actual, goal):
    page.get_by_label("Actual", exact=True).fill(actual)
    page.get_by_label("Goal", exact=True).fill(goal)
    page.keyboard.press("Enter")


def test_factory_is_created_used_and_deleted_by_keyboard(browser, stack, name):
    with open_page(browser, stack, "/console/factories") as page:
        if not page.get_by_label("Name").is_visible():
            page.get_by_text("New factory").focus()
            page.keyboard.press("Enter")
        page.get_by_label("Name").fill(name)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(page.get_by_text("This factory has no production yet.")).to_be_visible()

        record(page, "many", "9")
        expect(page.get_by_label("Actual", exact=True)).to_have_attribute("aria-invalid", "true")
        record(page, "7", "9")
        expect(page.get_by_role("status")).to_have_text("Accepted; the chart shows it within a second.")
        # Without a reload: the point is processed after the response.
        expect(chart(page)).to_be_visible()
        expect(page.locator(".facts")).to_contain_text("77.8 %")

        page.locator("summary", has_text="Delete").focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Delete factory").press("Enter")
        page.get_by_role("dialog").get_by_role("button", name="Delete").press("Enter")
        expect(page.get_by_role("status")).to_have_text("Deleted.")
        expect(page.get_by_role("link", name=name)).to_have_count(0)


def test_cursor_shows_values_and_dragging_zooms_to_a_range_that_can_be_shared(browser, stack, client, name):
    with open_page(browser, stack, a_factory(client, name)) as page:
        box = chart(page).locator(".u-over").bounding_box()
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] * 9 / 99, y)
        expect(chart(page).locator(".u-legend")).to_contain_text("2024-01-01 00:09:00")
        expect(chart(page).locator(".u-legend")).to_contain_text("Missed by20")
        page.mouse.move(box["x"] + box["width"] * 0.25, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=5)
        page.mouse.up()
        page.wait_for_url("**from=2024-01-01T00*to=2024-01-01T00*")
        expect(page.locator(".facts")).to_contain_text(re.compile(r"Last point2024-01-01 00:(49|50):"))
        shared = page.url
    with open_page(browser, stack, shared, java_script_enabled=False) as page:
        rows = page.locator("#production tbody tr")
        assert 24 <= rows.count() <= 26
        assert "from=" in page.get_by_role("link", name="Download all points").get_attribute("href")


def test_new_points_appear_while_the_page_is_open_and_keep_the_range(browser, stack, client, name):
    path = a_factory(client, name)
    with open_page(browser, stack, f"{path}?range=day") as page:
        page.get_by_text("Show the data as tables").click()
        expect(page.locator("#production tbody tr")).to_have_count(100)
        canvas = chart(page).locator("canvas").element_handle()
        point = {"time": START + 86400 + 10 * MINUTE, "actual": 5, "goal": 6}
        ok_json(client.post(f"{path.replace('console/factories', 'api/factory')}/production", json=point))
        # The range ends with the newest point, so that older ones leave it.
        expect(page.locator("#production tbody tr")).to_have_count(91)
        expect(page.locator(".facts")).to_contain_text("5, 6")
        # The table is still open, and the chart is the same.
        expect(page.locator("#production")).to_be_visible()
        assert canvas.evaluate("canvas => canvas.isConnected")
        assert page.url.endswith("?range=day")


def test_range_is_chosen_by_keyboard_and_an_invalid_one_is_explained(browser, stack, client, name):
    with open_page(browser, stack, a_factory(client, name)) as page:
        page.get_by_text("Choose a range").focus()
        page.keyboard.press("Enter")
        page.get_by_label("From (UTC)").fill("2024-01-01T01:00:00")
        page.get_by_label("To (UTC)").fill("2024-01-01T00:30:00")
        page.get_by_role("button", name="Show").press("Enter")
        expect(page.locator("#to-help")).to_contain_text("must not be before from")
        page.get_by_label("To (UTC)").fill("2024-01-01T01:10:00")
        page.get_by_role("button", name="Show").press("Enter")
        expect(page.locator(".facts")).to_contain_text("2024-01-01 01:10:00")
        expect(page.get_by_label("To (UTC)")).to_have_value("2024-01-01T01:10")


def test_file_of_factories_is_loaded_and_its_state_is_shown(browser, stack, tmp_path):
    value, file = secrets.randbelow(2**31), tmp_path / "factories.json"
    with open_page(browser, stack, "/console/factories") as page:

        def load(content):
            file.write_text(content)
            if not page.get_by_label("File", exact=True).is_visible():
                page.get_by_text("Load factories or sprockets from a file").click()
            page.get_by_label("File", exact=True).set_input_files(file)
            page.get_by_role("button", name="Load", exact=True).click()

        load("")
        expect(page.get_by_role("alert")).to_contain_text("must not be empty")
        load('{"factories": [5]}')
        expect(page.get_by_text("FAILURE")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("factories")
        series = ("sprocket_production_actual", "sprocket_production_goal", "time")
        chart_data = {name: [value] for name in series}
        load(json.dumps({"factories": [{"factory": {"chart_data": chart_data}}]}))
        expect(page.get_by_text("SUCCESS")).to_be_visible()
        expect(page.get_by_role("status")).to_contain_text("Loaded: 1 factory, 0 sprockets, 1 point.")


def test_csv_file_of_production_is_loaded(browser, stack, client, name, tmp_path):
    file = tmp_path / "production.csv"
    file.write_text("time,actual,goal\n" + "".join(f"{START + n},{n},50\n" for n in range(30)))
    with open_page(browser, stack, a_factory(client, name, 0)) as page:
        page.get_by_label("File", exact=True).set_input_files(file)
        page.get_by_role("button", name="Load", exact=True).click()
        expect(page.get_by_text("SUCCESS")).to_be_visible()
        expect(page.locator(".facts")).to_contain_text("29, 50")


def test_list_shows_the_newest_point_of_each_factory(browser, stack, client, name):
    path = a_factory(client, name, 70)
    count = ok_json(client.get("/api/factories?limit=1"))["count"]
    with open_page(browser, stack, f"/console/factories?offset={count - 1}") as page:
        row = page.get_by_role("row", name=name)
        # 60 points, of which six missed their goal.
        expect(row).to_contain_text("107.0 %")
        expect(row.get_by_role("img", name="Actual production and goal")).to_be_visible()
        row.get_by_role("link", name=name).click()
        assert page.url.endswith(path)


def test_sprocket_is_created_changed_and_deleted(browser, stack, client):
    def ids():
        return {sprocket["id"] for sprocket in ok_json(client.get("/api/sprockets?limit=1000"))["sprockets"]}

    existing = ids()
    page_offset = len(existing) // 50 * 50
    with open_page(browser, stack, f"/console/sprockets?offset={page_offset}") as page:
        if not page.get_by_label("Teeth", exact=True).is_visible():
            page.get_by_text("New sprocket").click()
        for label in ("Teeth", "Pitch diameter", "Outside diameter", "Pitch"):
            page.get_by_label(label, exact=True).fill("7")
        page.get_by_role("button", name="Create sprocket").click()
        expect(page.get_by_role("status")).to_have_text("Created.")
        (id_,) = ids() - existing
        teeth = page.get_by_label(f"Teeth of sprocket {id_}", exact=True)
        teeth.fill("0")
        page.keyboard.press("Enter")
        expect(teeth).to_have_attribute("aria-invalid", "true")
        teeth.fill("9")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_have_text("Changed.")
        assert ok_json(client.get(f"/api/sprocket/{id_}"))["sprocket"]["teeth"] == 9
        row = page.get_by_role("row").filter(has=teeth)
        row.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("status")).to_have_text("Deleted.")
        assert ids() == existing


def test_form_that_is_sent_twice_creates_one_factory(browser, stack, client, name):
    with open_page(browser, stack, "/console/factories") as page:
        form = page.locator("form", has_text="Create factory")
        fields = form.evaluate("form => Object.fromEntries(new FormData(form))") | {"name": name}
        urls = {page.request.post("/console/factories", form=fields).url for _ in range(2)}
        assert len(urls) == 1
