"""The console's pages of datasets in a browser: upload, the graph of a flow, preview, files, cancel and run again."""

import json
import secrets

import pytest
from playwright.sync_api import expect

from quintet_e2e.browser import open_page
from quintet_e2e.specs import FLOW_SECONDS, Owner
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

# The pages are the same in both deployment modes.
pytestmark = ON_ONE_STACK

LIST = "/console/datasets"
FLOW_MS = 1000 * FLOW_SECONDS
INVALID_ROWS = [{"name": "Malbec", "year": 2020}, {"name": "Syrah", "year": "soon"}]


@pytest.fixture
def owner(client):
    return Owner(client)


@pytest.fixture
def dataset(owner):
    return owner.new_dataset_name()


def address(owner, dataset):
    return f"{LIST}/{owner.id}/{dataset}"


def open_form(page):
    page.goto(LIST)
    if not page.get_by_role("button", name="Upload spec").is_visible():
        page.get_by_text("Upload a spec", exact=True).click()


def upload_text(page, spec):
    open_form(page)
    page.get_by_label("Spec", exact=True).fill(json.dumps(spec))
    page.get_by_role("button", name="Upload spec").click()


def node(page, name):
    return page.locator("svg .node", has=page.get_by_text(name, exact=True))


def confirm(page, label):
    page.get_by_role("button", name=label).click()
    page.get_by_role("dialog").get_by_role("button", name=label).click()


def test_spec_is_uploaded_followed_and_run_again(browser, stack, owner, dataset):
    with open_page(browser, stack, "/") as page:
        page.get_by_role("link", name="Datasets", exact=True).click()
        expect(page).to_have_title("Datasets · Quintet")
        upload_text(page, owner.spec(dataset))
        expect(page.get_by_role("heading", level=1)).to_have_text(f"{owner.id}/{dataset}")
        expect(page.locator(".toast")).to_have_text("Uploaded as a new revision.")
        expect(page.locator("svg .node")).to_have_count(7)
        # The page follows the flow by itself, and shows the data at its end.
        expect(page.locator(".facts")).to_contain_text("SUCCEEDED", timeout=FLOW_MS)
        expect(page.locator("tbody tr", has_text="Malbec")).to_contain_text("2020")
        with page.expect_download() as download:
            page.get_by_role("link", name="reds.csv", exact=True).click()
        assert download.value.path().read_bytes() == b"name,year\nMalbec,2020\nSyrah,2021\n"

        page.get_by_role("button", name="Run again").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert owner.list_revisions(dataset) == [1]
        confirm(page, "Run again")
        expect(page.locator(".toast")).to_have_text("Queued as a new revision.")
        assert owner.list_revisions(dataset) == [2, 1]


def test_failed_pipeline_is_opened_by_keyboard_and_shows_its_errors_and_log(browser, stack, owner, dataset):
    flow_id = owner.upload(dataset, rows=INVALID_ROWS)
    owner.wait_for_end(flow_id)
    with open_page(browser, stack, address(owner, dataset)) as page:
        expect(node(page, "validation_report")).to_contain_text("FAILED")
        expect(node(page, "reds_csv")).to_contain_text("SUCCEEDED")
        node(page, "validation_report").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#pipeline")).to_contain_text("field year")
        expect(page.locator("#pipeline pre")).to_contain_text("2 rows checked")
        assert f"pipeline={flow_id}/validation_report" in page.url.replace("%2F", "/")


def test_graph_and_table_can_be_used_without_scripts(browser, stack, owner, dataset):
    owner.wait_for_end(owner.upload(dataset))
    with open_page(browser, stack, address(owner, dataset), java_script_enabled=False) as page:
        node(page, f"{dataset}_zip").click()
        expect(page.locator("#pipeline")).to_contain_text(f"Creating ZIP: {dataset}_zip")
        page.get_by_text("Pipelines as a table").click()
        row = page.locator("tr", has=page.get_by_role("link", name=f"{dataset}_zip", exact=True))
        expect(row.first).to_contain_text("validation_report, reds_csv, reds_json")


def test_file_is_uploaded_by_keyboard(browser, stack, owner, dataset):
    with open_page(browser, stack, LIST) as page:
        open_form(page)
        file = {"name": "spec.json", "mimeType": "application/json", "buffer": json.dumps(owner.spec(dataset)).encode()}
        page.get_by_label("File with the spec").set_input_files(file)
        page.get_by_role("button", name="Upload spec").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(f"{owner.id}/{dataset}")


def test_each_invalid_field_is_explained_and_the_text_is_kept(browser, stack, owner, dataset):
    with open_page(browser, stack, LIST) as page:
        upload_text(page, owner.spec(dataset, schedule="hourly") | {"outputs": [{"kind": 1}]})
        expect(page.get_by_role("alert")).to_contain_text("outputs.0.kind")
        assert dataset in page.get_by_label("Spec", exact=True).input_value()
        page.get_by_label("Spec", exact=True).fill("{")
        page.get_by_role("button", name="Upload spec").click()
        expect(page.get_by_role("alert")).to_contain_text("must be valid JSON")
        upload_text(page, owner.spec(dataset) | {"meta": {}})
        expect(page.get_by_role("alert")).to_contain_text("Missing owner in spec")


def test_form_that_is_sent_twice_creates_one_revision(browser, stack, owner, dataset):
    with open_page(browser, stack, LIST) as page:
        key = page.locator("[name=key]").first.get_attribute("value")
        form = {"key": key, "spec": json.dumps(owner.spec(dataset))}
        urls = {page.request.post(page.url, form=form).url for _ in range(2)}
        assert len(urls) == 1
    assert owner.list_revisions(dataset) == [1]


def test_waiting_flow_is_cancelled_after_confirmation(browser, stack, owner, dataset):
    stack.stop("specstore-worker")
    try:
        owner.upload(dataset)
        with open_page(browser, stack, address(owner, dataset)) as page:
            expect(page.locator(".facts")).to_contain_text("QUEUED")
            confirm(page, "Cancel flow")
            expect(page.locator(".facts")).to_contain_text("FAILED")
            expect(page.locator(".errors")).to_contain_text("cancelled")
            expect(page.get_by_role("button", name="Cancel flow")).to_have_count(0)
    finally:
        stack.start("console")
        stack.start("specstore-worker")


def refresh(page):
    """Load the refreshed part of the page again now, and wait for the response."""
    with page.expect_response("**/flow?*"):
        page.evaluate("document.body.dispatchEvent(new Event('refresh'))")


def test_refresh_keeps_the_focus_and_opened_parts_and_survives_an_outage(browser, stack, client, owner, dataset):
    stack.stop("specstore-worker")
    try:
        owner.upload(dataset)
        with open_page(browser, stack, address(owner, dataset)) as page:
            page.get_by_text("Pipelines as a table").click()
            node(page, "reds_csv").focus()
            stack.stop("console")
            refresh(page)
            stack.start("console")
            eventually(lambda: client.get("/").ok)
            refresh(page)
            expect(page.get_by_role("region", name="Table of the pipelines")).to_be_visible()
            expect(node(page, "reds_csv")).to_be_focused()
            stack.start("specstore-worker")
            expect(page.locator(".facts")).to_contain_text("SUCCEEDED", timeout=FLOW_MS)
    finally:
        stack.start("console")
        stack.start("specstore-worker")


def test_reader_sees_published_datasets_and_no_actions(browser, stack, owner, dataset):
    secret = owner.new_dataset_name()
    owner.upload(dataset)
    meta = {**owner.spec(secret)["meta"], "findability": "private"}
    owner.wait_for_end(owner.upload(secret, meta=meta))
    reader = f"reader-{secrets.token_hex(4)}"
    with open_page(browser, stack, LIST, reader, stack.add_user(reader, "reader")) as page:
        for path in (LIST, address(owner, dataset)):
            page.goto(path)
            expect(page.locator("main")).to_contain_text(dataset)
            expect(page.locator("main form, main button:visible")).to_have_count(0)
        page.goto(address(owner, secret))
        expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    with open_page(browser, stack, address(owner, secret)) as page:
        with page.expect_download() as download:
            page.get_by_role("link", name="reds.csv", exact=True).click()
        assert b"Malbec" in download.value.path().read_bytes()
