"""XLSX files: the first sheet is imported like a CSV file, with bounded memory and after a kill at any step."""

import datetime
import io
import itertools
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import openpyxl
import pytest

from chassis.messaging.delivery import Delivery
from orders_service.handlers import on_import_requested
from orders_service.operations.workbooks import WorkbookReader

PATH = "/acme_orders/api/v1/orders/import"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
COLUMNS = ("id", "name", "email", "state", "zipcode", "birthday")
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "xl/_rels/workbook.xml.rels"
BIRTHDAY = datetime.date(1963, 2, 27)
SHEET = f'<worksheet xmlns="{MAIN}"><sheetData>'


def build_workbook(*rows, header=COLUMNS, prepare=lambda sheet: None):
    book = openpyxl.Workbook()
    for row in (header, *rows):
        book.active.append(row)
    book.create_sheet("another").append(["not", "read"])
    prepare(book.active)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def replace_part(workbook, name, content):
    """Return the workbook with another content of this part, which may be new."""
    source, target = zipfile.ZipFile(io.BytesIO(workbook)), io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in {**{part: source.read(part) for part in source.namelist()}, name: content}.items():
            archive.writestr(*part)
    return target.getvalue()


def read_part(workbook, name):
    return zipfile.ZipFile(io.BytesIO(workbook)).read(name).decode()


def share_texts(workbook):
    """Return the workbook in the form that Excel writes: openpyxl writes each text in its cell."""
    texts = []

    def share(match):
        texts.append(match[2])
        return f'<c{match[1]} t="s"><v>{len(texts) - 1}</v></c>'

    sheet = read_part(workbook, "xl/worksheets/sheet1.xml")
    sheet = re.sub(r'<c([^>]*?) t="inlineStr"><is>(.*?)</is></c>', share, sheet, flags=re.DOTALL)
    relation = f'<Relationship Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml" Id="rId9"/></Relationships>'
    relations = read_part(workbook, RELATIONS).replace("</Relationships>", relation)
    phonetic = "<rPh sb='0' eb='1'><t>phonetic</t></rPh>"
    shared = f'<x:sst xmlns:x="{MAIN}">{"".join(f"<si>{text}{phonetic}</si>" for text in texts)}</x:sst>'
    workbook = replace_part(workbook, "xl/worksheets/sheet1.xml", sheet)
    return replace_part(replace_part(workbook, RELATIONS, relations), "xl/sharedStrings.xml", shared)


def build_rows(count, blank=""):
    """Return the XML of valid rows, with this XML of blank cells at the end of each."""
    values = ("Ann", "a@b.de", "TX", "10001", "1963-02-27")
    cells = "".join(f"<c t='inlineStr'><is><t>{value}</t></is></c>" for value in values)
    return "".join(f"<row><c><v>{id}</v></c>{cells}{blank}</row>" for id in range(count))


def build_sheet(rows, end=""):
    """Return a workbook whose first sheet has the usual header, these rows and this XML after them."""
    header = "".join(f"<c t='inlineStr'><is><t>{name}</t></is></c>" for name in COLUMNS)
    sheet = f"{SHEET}<row>{header}</row>{rows}</sheetData>{end}</worksheet>"
    return replace_part(build_workbook(), "xl/worksheets/sheet1.xml", sheet)


@pytest.fixture
def import_workbook(api):
    def run(content, query="", **options):
        response = api.client.put(f"{PATH}{query}", data=content, content_type=XLSX)
        assert response.status_code == 202, response.text
        return api.finish(response.json["result"]["task_id"], **options)

    return run


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr("orders_service.operations.workbooks._MAX_LINES_PER_STEP", 1)
    monkeypatch.setattr("orders_service.operations.workbooks._READ_BYTES", 100)
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 100)


@pytest.mark.parametrize("convert", [bytes, share_texts], ids=["texts in the cells", "shared texts"])
def test_numbers_and_dates_are_imported_as_a_spreadsheet_shows_them(api, counts_of, import_workbook, convert):
    def prepare(sheet):
        sheet["E3"].number_format = "00000"
        sheet["E4"].number_format = "00000\\-0000"
        sheet["F4"].number_format = "[$-409]d/mmm/yyyy"
        sheet["B7"].data_type = "s"

    rows = [
        (1, "Ann", "a@b.de", "TX", "10001", BIRTHDAY),
        (2.0, "Zoë 😀", "a@b.de", "TX", 501, datetime.datetime(1963, 2, 27, 12)),
        (3, "a|b\n\"c\" _x000D_", "a@b.de", "TX", 5010001, BIRTHDAY),
        (10**15, True, "a@b.de", "TX", 10001, "1963-02-27"),
        (5.5, None, "a@b.de", "NJ", 10001, BIRTHDAY),
        (6, "=1", "a@b.de", "NJ", 10002, BIRTHDAY),
    ]  # fmt: skip
    status = import_workbook(convert(build_workbook(*rows, prepare=prepare)))
    assert (status["status"], counts_of(status), status["total"]) == ("SUCCESS", (4, 1, 0, 1), 6)
    assert status["file_name"] == "orders.xlsx"
    orders = {id: api.order(id).json["result"] for id in (2, 3, 10**15)}
    assert [order["zipcode"] for order in orders.values()] == ["00501", "00501-0001", "10001"]
    assert {order["birthday"] for order in orders.values()} == {"February 27, 1963"}
    assert [order["name"] for order in orders.values()] == ["Zoë 😀", 'a|b\n"c" \r', "TRUE"]
    lines = api.errors(status["task_id"]).splitlines()
    assert lines[1].startswith("5.5||a@b.de|NJ|10001|Feb 27, 1963|")
    assert lines[2].startswith("6|'=1|a@b.de|NJ|10002|Feb 27, 1963|")


def test_dates_count_from_1904_if_the_workbook_states_it(api, import_workbook):
    def prepare(sheet):
        sheet.parent.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904

    import_workbook(build_workbook((1, "Ann", "a@b.de", "TX", 10001, BIRTHDAY), prepare=prepare))
    assert api.order(1).json["result"]["birthday"] == "February 27, 1963"


@pytest.mark.parametrize(
    ("name", "content_type"), [("a.xlsx", "application/octet-stream"), ("A.XLSX", XLSX), ("a.csv", XLSX)]
)
def test_workbook_is_recognized_by_its_name_or_content_type(api, counts_of, name, content_type):
    content = build_workbook((1, "Ann", "a@b.de", "TX", 10001, BIRTHDAY))
    response = api.client.post(PATH, data={"csv_file": (io.BytesIO(content), name, content_type)})
    assert counts_of(api.finish(response.json["result"]["task_id"])) == (1, 0, 0, 0)


def test_parameters_and_tolerated_rows_are_as_in_csv_files(api, counts_of, import_workbook):
    header = ("Order ID", "Name\nof customer", "E-mail", "State", "PLZ", None, "Date of birth", "note", None)
    rows = [
        *((None,) * 7, (1, "Ann", "a@b.de", "Texas", 10001, None, "27.02.1963", "x")),
        *((), (" ",), (2, "Bo", "a@b.de", "TX", 10002, None, BIRTHDAY), ("x", "y")),
    ]
    query = '?date_format=%25d.%25m.%25Y&encoding=cp1252&columns={"zipcode":"PLZ","name":"Name of customer"}'
    status = import_workbook(build_workbook(*rows, header=header), query)
    assert counts_of(status) == (2, 0, 0, 1)
    assert status["ignored_columns"] == ["#6", "note"]
    assert api.findings(status["task_id"]) == {7: "id"}


def test_sheet_without_rows_succeeds_and_missing_columns_fail(counts_of, import_workbook):
    assert counts_of(import_workbook(build_workbook())) == (0, 0, 0, 0)
    assert import_workbook(build_workbook(header=()))["status"] == "SUCCESS"
    status = import_workbook(build_workbook((1, 2), header=("id", "name")))
    assert "lacks the columns email, state, zipcode, birthday; its columns are id, name; " in status["message"]


@pytest.mark.parametrize("convert", [bytes, share_texts], ids=["texts in the cells", "shared texts"])
@pytest.mark.parametrize("steps", [1, 3])
def test_import_continues_at_the_row_after_each_slice(api, counts_of, import_workbook, small_steps, convert, steps):
    rows = [(id, f"n{id % 7}", "a@b.de", ("TX", "NJ")[id % 2], 10001, BIRTHDAY) for id in range(40)]
    rows[20:20] = [(), ()]
    status = import_workbook(convert(build_workbook(*rows, (3, "Bo"), ("x",) * 6)), steps=steps)
    assert counts_of(status) == (20, 20, 0, 2)
    assert max(api.findings(status["task_id"])) == 45
    # Each step adds a section to the report, in the order of the sheet.
    lines = [int(line.rsplit("|", 3)[1]) for line in api.errors(status["task_id"]).splitlines()[1:]]
    assert lines == sorted(lines) and len(lines) == 22


@pytest.fixture
def before_seek(monkeypatch):
    """Return a list of functions that are called each time before a workbook is unpacked up to the next row."""
    functions, seek = [], WorkbookReader._seek

    def run(*arguments):
        for function in functions:
            function()
        seek(*arguments)

    monkeypatch.setattr(WorkbookReader, "_seek", run)
    return functions


def test_no_transaction_is_idle_while_a_workbook_is_unpacked(api, import_workbook, small_steps, before_seek):
    def lock_all_imports():
        with api.db.transaction() as tx:
            locked.append(len(tx.rows("SELECT id FROM imports FOR UPDATE NOWAIT")))

    locked = []
    before_seek.append(lock_all_imports)
    status = import_workbook(build_workbook(*[(id, "Ann", "a@b.de", "TX", 10001, BIRTHDAY) for id in range(5)]))
    assert (status["valid"], set(locked)) == (5, {1})
    assert len(locked) > 3


def test_most_of_a_slice_is_spent_on_rows(api, job_context, small_steps, before_seek, monkeypatch):
    times = itertools.count(0, 30)
    before_seek.append(lambda: [next(times), next(times)])
    monkeypatch.setattr("orders_service.handlers.time", SimpleNamespace(monotonic=lambda: next(times)))
    content = build_workbook(*[(id, "Ann", "a@b.de", "TX", 10001, BIRTHDAY) for id in range(40)])
    task_id = api.client.put(PATH, data=content, content_type=XLSX).json["result"]["task_id"]
    delivery = Delivery("orders.import", "", "", "", "", {}, {"task_id": task_id, "turn": 1})
    on_import_requested(job_context, delivery)
    # Unpacking takes a minute, and each step half a minute.
    assert 10 < api.status(task_id)["current"] < 40


NOT_A_WORKBOOK = "the file must be a valid XLSX workbook; save it again as XLSX or CSV"
TOO_LARGE = "the workbook is too large to be read from XLSX; save it as CSV"


def build_archive(**parts):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"id|name\n",
        b"PK\x03\x04",
        b"PK\x05\x06" + b"\0" * 18,
        build_archive(a="x"),
        build_workbook()[:-200],
        b"\xd0\xcf\x11\xe0" + b"\0" * 5000,
    ],
    ids=["empty", "CSV", "PK", "empty archive", "another archive", "truncated", "encrypted or XLS"],
)
def test_other_file_fails_the_import_with_an_explanation(import_workbook, content):
    status = import_workbook(content)
    assert (status["status"], status["message"]) == ("FAILURE", NOT_A_WORKBOOK)


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("xl/worksheets/sheet1.xml", f"{SHEET}<row r='2'/><row r='1'/></sheetData></worksheet>"),
        ("xl/worksheets/sheet1.xml", f"{SHEET}<row r='9999999'/></sheetData></worksheet>"),
        ("xl/worksheets/sheet1.xml", f"{SHEET}<row><c t='s'><v>99</v></c></row></sheetData></worksheet>"),
        ("xl/worksheets/sheet1.xml", f"{SHEET}<row><c t='s'><v>x</v></c></row></sheetData></worksheet>"),
        ("xl/worksheets/sheet1.xml", f"{SHEET}<row"),
        ("xl/worksheets/sheet1.xml", f"{SHEET}<row a='{'x' * 3_000_000}'/></sheetData></worksheet>"),
        ("xl/worksheets/sheet1.xml", f"{SHEET}{'<a>' * 99}{'</a>' * 99}</sheetData></worksheet>"),
        ("xl/worksheets/sheet1.xml", f"{SHEET}<row>{'<c/>' * 20_000}</row></sheetData></worksheet>"),
        ("xl/worksheets/sheet1.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"),
        ("xl/workbook.xml", "<workbook/>"),
        ("xl/_rels/workbook.xml.rels", "<Relationships/>"),
        ("_rels/.rels", "<x"),
    ],
    ids=["order of rows", "row number", "text number", "text index", "incomplete", "huge tag", "depth",
         "cells in a row", "entity", "no sheet", "no relations", "no workbook"],
)  # fmt: skip
def test_damaged_workbook_fails_the_import_with_an_explanation(import_workbook, part, content):
    status = import_workbook(replace_part(build_workbook((1, "Ann")), part, content))
    assert (status["status"], status["message"]) == ("FAILURE", NOT_A_WORKBOOK)


@pytest.mark.parametrize(
    "part", ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml"]
)
def test_zip_bomb_fails_the_import_before_it_is_unpacked(import_workbook, part, monkeypatch):
    for name in ("_MAX_SHEET_BYTES", "_MAX_SHARED_BYTES", "_MAX_PART_BYTES"):
        monkeypatch.setattr(f"orders_service.operations.workbooks.{name}", 100_000)
    monkeypatch.setattr("orders_service.operations.workbooks._read_part.__defaults__", (100_000,))
    status = import_workbook(replace_part(share_texts(build_workbook((1, "Ann"))), part, b" " * 100_001))
    assert (status["status"], status["message"]) == ("FAILURE", TOO_LARGE)


def test_row_of_very_much_xml_fails_the_import(import_workbook, monkeypatch):
    monkeypatch.setattr("orders_service.domain.sheets._MAX_ROW_XML_BYTES", 100_000)
    rows = build_rows(2)
    huge = f"<row>{'<c><v>1</v></c>' * 8000}</row>"
    for sheet in (rows + huge, huge + rows, f"{rows}<row>{'<x></x>' * 20_000}</row>"):
        status = import_workbook(build_sheet(sheet))
        assert (status["status"], status["message"]) == ("FAILURE", TOO_LARGE)


def test_much_xml_in_many_rows_and_after_them_is_imported_in_short_steps(api, counts_of, monkeypatch):
    monkeypatch.setattr("orders_service.domain.sheets._MAX_ROW_XML_BYTES", 100_000)
    monkeypatch.setattr("orders_service.operations.workbooks._MAX_XML_BYTES_PER_STEP", 100_000)
    content = build_sheet(build_rows(20, blank="<c/>" * 5000), "<mergeCell ref='A1:B1'/>" * 10_000)
    task_id = api.client.put(PATH, data=content, content_type=XLSX).json["result"]["task_id"]
    api.run_slice(task_id)
    assert 0 < api.status(task_id)["current"] < 10
    assert counts_of(api.finish(task_id)) == (20, 0, 0, 0)


def test_damage_after_the_rows_fails_the_import(import_workbook):
    assert import_workbook(build_sheet(build_rows(1), "<mergeCell>"))["message"] == NOT_A_WORKBOOK


def test_very_many_files_or_styles_fail_the_import(import_workbook):
    files = build_archive(**{f"{number:0100}": "" for number in range(8000)})
    styles = replace_part(build_workbook(), "xl/styles.xml", f"<styleSheet>{'<xf/>' * 100_001}</styleSheet>")
    assert {import_workbook(content)["message"] for content in (files, styles)} == {TOO_LARGE}


def test_escape_of_a_surrogate_stays_as_it_is_written(api, counts_of, import_workbook):
    order = ("_x0041__xD83D__xdfff_", "a@b.de", "TX", 10001, BIRTHDAY)
    workbook = build_workbook((1, *order), (2, *order))
    sheet = read_part(workbook, "xl/worksheets/sheet1.xml").replace("_x005F_", "_")
    assert counts_of(import_workbook(replace_part(workbook, "xl/worksheets/sheet1.xml", sheet))) == (2, 0, 0, 0)
    assert api.order(1).json["result"]["name"] == "A_xD83D__xdfff_"


def test_too_many_shared_texts_fail_the_import(import_workbook, monkeypatch):
    monkeypatch.setattr("orders_service.domain.sheets.MAX_SHARED_BYTES", 10_000)
    rows = [(id, f"name {id}") for id in range(1000)]
    assert import_workbook(share_texts(build_workbook(*rows)))["message"] == TOO_LARGE


def test_very_long_rows_of_a_workbook_are_rejected_but_not_their_neighbors(api, counts_of, import_workbook):
    good = ("Ann", "a@b.de", "TX", 10001, BIRTHDAY)
    text = "x" * 32_000
    rows = ((1, *good), (2, *[text] * 60), (3, *good), (4, *good, *[None] * 5000, 1))
    status = import_workbook(build_workbook(*rows))
    assert counts_of(status) == (2, 0, 0, 2)
    assert api.findings(status["task_id"]) == {3: "too_long", 5: "fields"}


def peak_memory_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_sheet(api, import_workbook):
    row = '<row><c><v>%d</v></c><c t="inlineStr"><is><t>Ann</t></is></c>' + "<c><v>5</v></c>" * 4 + "</row>"
    content = build_sheet("".join(row % id for id in range(200_000)))
    response = api.client.put(PATH, data=content, content_type=XLSX)
    del content
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_memory_mib()["VmRSS"]
    status = api.finish(response.json["result"]["task_id"], steps=20)
    assert status["rejected"] == 200_000
    assert peak_memory_mib()["VmHWM"] - before < 64
