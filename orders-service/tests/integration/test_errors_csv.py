"""Error reports: their content, and re-uploading a corrected report."""

import csv
import io

import pytest

PATH = "/acme_orders/api/v1/orders"
HEADER = "id|name|email|state|zipcode|birthday"
INVALID_ID = "id must be an integer between -2^63 and 2^63 - 1"
INVALID_FIELD_COUNT = "the row must have as many fields as the header has columns"


def parse_cells(report, separator="|"):
    return list(csv.reader(io.StringIO(report, newline=""), delimiter=separator))


def test_report_has_each_row_once_as_in_the_file_with_all_its_findings(api, build_csv, build_row):
    lines = [
        build_row(1),
        build_row(2, state="nj", zipcode="99999"),
        build_row(1),
        build_row("x"),
        "nothing",
        build_row(3, name='"Ann|""A"""', birthday="Nov 1, 2020"),
    ]
    status = api.run_import(build_csv(*lines))
    columns = ["ann@example.com", "TX", "10001", "Feb 27, 1963"]
    two_rules = "We don't ship to NJ; Your zipcode sum is too large"
    too_young = "you must be at least 21 years old for ordering alcoholic drinks"
    assert parse_cells(api.errors(status["task_id"])) == [
        [*HEADER.split("|"), "line", "rule", "message"],
        ["2", "Ann Smith", columns[0], "nj", "99999", columns[3], "3", "allowed_state; zipcode_sum", two_rules],
        ["1", "Ann Smith", *columns, "4", "duplicate", "an order with this id already exists"],
        ["x", "Ann Smith", *columns, "5", "id", INVALID_ID],
        ["nothing", "", "", "", "", "", "6", "fields", INVALID_FIELD_COUNT],
        ["3", 'Ann|"A"', *columns[:3], "Nov 1, 2020", "7", "allowed_age", too_young],
    ]


FORMULAS = {
    "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
    "+1": "'+1",
    "@SUM(A1)": "'@SUM(A1)",
    "-1+1": "'-1+1",
    "＝1": "'＝1",
    "＠SUM(A1)": "'＠SUM(A1)",
    "\u00a0=1": "'\u00a0=1",
    "\u3000+1": "'\u3000+1",
    "\t=1": "'\t'=1",
    "\n=1": "'\n'=1",
    "'=x": "''=x",
    "''@": "'''@",
    "a,=1": "a,'=1",
    "a; ＝1": "a;' ＝1",
    "a\t@x|-y": "a\t'@x|'-y",
    'a,"=1"': 'a,\'"=1"',
    "a\r\n'=1": "a\r\n''=1",
    "Smith, Ann-Marie = Ann @ home": "Smith, Ann-Marie = Ann @ home",
    "'tis": "'tis",
}


@pytest.mark.parametrize("cell", FORMULAS)
def test_formula_is_escaped_in_the_report_and_restored_on_re_upload(api, build_csv, build_row, cell):
    quoted = '"' + cell.replace('"', '""') + '"'
    first = api.run_import(build_csv(build_row(-5, name=quoted, state="NJ")))
    report = api.errors(first["task_id"])
    row = dict(zip(*parse_cells(report), strict=True))
    assert (row["name"], row["id"]) == (FORMULAS[cell], "-5")
    corrected = api.run_import(report.replace("|NJ|", "|TX|").replace("\n-5|", "\n-6|").encode())
    assert corrected["valid"] == 1
    assert api.order(-6).json["result"]["name"] == cell


def test_formula_in_a_malformed_row_is_escaped(api, build_csv):
    status = api.run_import(build_csv("=1", "x,＝1", "-7"))
    assert [row[0] for row in parse_cells(api.errors(status["task_id"]))[1:]] == ["'=1", "x,'＝1", "-7"]


def test_rows_are_reported_with_the_quotes_that_they_have_in_the_file(api, counts_of, build_csv, build_row):
    names = ['"Ann"', '"Ann|""A"""', 'Ann "A"', '""', '"A\nB"', "Ann"]
    lines = [build_row(id, name=name, state='"NJ"', zipcode=f"1000{id}") for id, name in enumerate(names)]
    lines += [build_row("x", name='"Ann"'), build_row(0, name='"Ann"')]
    status = api.run_import(build_csv(*lines))
    assert counts_of(status) == (0, 6, 1, 1)
    report = api.errors(status["task_id"])
    assert [line for line in lines if f"\n{line}|" not in report] == []


def test_row_whose_quotes_hide_a_formula_is_written_with_its_own(api, build_csv, build_row):
    status = api.run_import(build_csv(build_row(1, name='""=1', state='"NJ"')))
    assert "\n1|'=1|ann@example.com|NJ|" in api.errors(status["task_id"])


@pytest.mark.parametrize("cell", ["\ufdd3\ufded1+1", "\ufffe\ue03d\ue031\ufffeX\uffff"])
def test_noncharacters_that_could_hide_a_formula_are_rejected_and_reported_unchanged(api, build_csv, build_row, cell):
    status = api.run_import(build_csv(build_row(1, name=cell), build_row(2)))
    assert (status["rejected"], status["valid"]) == (1, 1)
    assert parse_cells(api.errors(status["task_id"]))[1][1] == cell


def test_report_is_complete_for_every_read_size(api, build_csv, build_row, monkeypatch):
    lines = [build_row(id, name="Zoë 😀" * (id % 7), state="NJ", zipcode=f"{id:05}") for id in range(60)]
    task = api.run_import(build_csv(*lines))["task_id"]
    report = api.errors(task)
    assert [line.rsplit("|", 3)[0] for line in report.splitlines()[1:]] == lines
    for size in (1, 7, 1000):
        monkeypatch.setattr("orders_service.routes.import_errors._REPORT_READ_BYTES", size)
        assert api.errors(task) == report


def test_corrected_report_is_imported_as_valid_orders(api, counts_of, build_csv, build_row):
    lines = [build_row(id, state="NJ", zipcode=f"1000{id}", name='"A|B"') for id in range(9)]
    first = api.run_import(build_csv(*lines, "broken"), "?dry_run=1")
    assert counts_of(first) == (0, 9, 0, 1)
    report = api.errors(first["task_id"])
    second = api.run_import(report.replace("|NJ|", "|TX|").encode())
    assert counts_of(second) == (9, 0, 0, 1)
    rows = parse_cells(api.errors(second["task_id"]))
    assert rows == [
        parse_cells(report)[0],
        ["broken", "", "", "", "", "", "11", "id", INVALID_ID],
    ]


def test_corrected_report_of_a_file_with_columns_of_the_same_names_is_imported(api, counts_of, build_csv, build_row):
    header = "id|name|email|state|zipcode|birthday|Message|line"
    content = build_csv(build_row(1, state="NJ") + "|hello|7", header=header)
    report = api.errors(api.run_import(content, "?dry_run=1")["task_id"])
    assert report.splitlines()[0] == f"{header}|line|rule|message"
    second = api.run_import(report.replace("|NJ|", "|TX|").encode())
    assert (counts_of(second), second["ignored_columns"]) == ((1, 0, 0, 0), ["Message", "line"])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_report_has_the_columns_and_separator_of_the_file(api, separator):
    header = ["zipcode", "state", "id", "name", "email", "birthday"]
    lines = [header, ["10001", "NJ", "1", "Ann", "a@b.de", "1963-02-27"]]
    status = api.run_import("\n".join(separator.join(row) for row in lines).encode())
    report = parse_cells(api.errors(status["task_id"]), separator)
    assert [row[:6] for row in report] == lines
    assert report[1][6:] == ["2", "allowed_state", "We don't ship to NJ"]


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("pt-BR,pt;q=0.9", "Não entregamos em NJ"),
        ("es", "No hacemos envíos a NJ"),
        ("de,*;q=0.1", "We don't ship to NJ"),
    ],
)
def test_messages_follow_the_accepted_language(api, build_csv, build_row, language, message):
    status = api.run_import(build_csv(build_row(1, state="NJ")))
    assert message in api.errors(status["task_id"], language)
    order = api.order(1, **{"Accept-Language": language}).json["result"]
    assert order["errors"] == [{"rule": "allowed_state", "message": message}]


def test_report_of_an_unknown_import_is_not_found(client):
    for task in ("8bd73d8d-8019-4bec-aaf9-0a04a343f1b0", "x", "../../etc"):
        assert client.get(f"{PATH}/import/{task}/errors.csv").status_code == 404
