"""What is told of the rows that became no valid orders, and that it can be corrected and sent again."""

import csv
import io

import pytest

PATH = "/acme_orders/api/v1/orders"
HEADER = "id|name|email|state|zipcode|birthday"


def cells(report, separator="|"):
    return list(csv.reader(io.StringIO(report, newline=""), delimiter=separator))


def test_every_row_is_there_once_as_it_stood_with_all_its_findings(api, a_file, an_order):
    lines = [
        an_order(1),
        an_order(2, state="nj", zipcode="99999"),
        an_order(1),
        an_order("x"),
        "nothing",
        an_order(3, name='"Ann|""A"""', birthday="Nov 1, 2020"),
    ]
    status = api.imported(a_file(*lines))
    usual = ["ann@example.com", "TX", "10001", "Feb 27, 1963"]
    sums = "We don't ship to NJ; Your zipcode sum is too large"
    too_young = "you must be at least 21 years old for ordering alcoholic drinks"
    assert cells(api.errors(status["task_id"])) == [
        [*HEADER.split("|"), "line", "rule", "message"],
        ["2", "Ann Smith", usual[0], "nj", "99999", usual[3], "3", "allowed_state; zipcode_sum", sums],
        ["1", "Ann Smith", *usual, "4", "duplicate", "an order with this id is there already"],
        ["x", "Ann Smith", *usual, "5", "id", "id must be a whole number of 64 bits"],
        ["nothing", "", "", "", "", "", "6", "fields", "not as many fields as the header has columns"],
        ["3", 'Ann|"A"', *usual[:3], "Nov 1, 2020", "7", "allowed_age", too_young],
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
def test_a_formula_is_made_harmless_and_comes_back_as_it_was(api, a_file, an_order, cell):
    quoted = '"' + cell.replace('"', '""') + '"'
    first = api.imported(a_file(an_order(-5, name=quoted, state="NJ")))
    report = api.errors(first["task_id"])
    row = dict(zip(*cells(report), strict=True))
    assert (row["name"], row["id"]) == (FORMULAS[cell], "-5")
    corrected = api.imported(report.replace("|NJ|", "|TX|").replace("\n-5|", "\n-6|").encode())
    assert corrected["valid"] == 1
    assert api.order(-6).json["result"]["name"] == cell


def test_a_row_that_cannot_be_split_is_made_harmless_too(api, a_file):
    status = api.imported(a_file("=1", "x,＝1", "-7"))
    assert [row[0] for row in cells(api.errors(status["task_id"]))[1:]] == ["'=1", "x,'＝1", "-7"]


def test_a_report_is_whole_however_it_is_cut_into_parts(api, a_file, an_order, monkeypatch):
    lines = [an_order(id, name="Zoë 😀" * (id % 7), state="NJ", zipcode=f"{id:05}") for id in range(60)]
    task = api.imported(a_file(*lines))["task_id"]
    whole = api.errors(task)
    assert [line.rsplit("|", 3)[0] for line in whole.splitlines()[1:]] == lines
    for size in (1, 7, 1000):
        monkeypatch.setattr("orders_service.routes.imports._REPORT_READ_BYTES", size)
        assert api.errors(task) == whole


def test_a_report_that_is_corrected_and_sent_again_gives_valid_orders(api, counted, a_file, an_order):
    lines = [an_order(id, state="NJ", zipcode=f"1000{id}", name='"A|B"') for id in range(9)]
    first = api.imported(a_file(*lines, "broken"), "?dry_run=1")
    assert counted(first) == (0, 9, 0, 1)
    report = api.errors(first["task_id"])
    second = api.imported(report.replace("|NJ|", "|TX|").encode())
    assert counted(second) == (9, 0, 0, 1)
    again = cells(api.errors(second["task_id"]))
    assert again == [
        cells(report)[0],
        ["broken", "", "", "", "", "", "11", "id", "id must be a whole number of 64 bits"],
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_it_has_the_columns_and_the_separator_of_the_file(api, separator):
    header = ["zipcode", "state", "id", "name", "email", "birthday"]
    rows = [header, ["10001", "NJ", "1", "Ann", "a@b.de", "1963-02-27"]]
    status = api.imported("\n".join(separator.join(row) for row in rows).encode())
    report = cells(api.errors(status["task_id"]), separator)
    assert [row[:6] for row in report] == rows
    assert report[1][6:] == ["2", "allowed_state", "We don't ship to NJ"]


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("pt-BR,pt;q=0.9", "Não entregamos em NJ"),
        ("es", "No hacemos envíos a NJ"),
        ("de,*;q=0.1", "We don't ship to NJ"),
    ],
)
def test_it_speaks_the_readers_language(api, a_file, an_order, language, message):
    status = api.imported(a_file(an_order(1, state="NJ")))
    assert message in api.errors(status["task_id"], language)
    answer = api.order(1, **{"Accept-Language": language}).json["result"]
    assert answer["errors"] == [{"rule": "allowed_state", "message": message}]


def test_of_an_unknown_import_there_is_none(client):
    for task in ("8bd73d8d-8019-4bec-aaf9-0a04a343f1b0", "x", "../../etc"):
        assert client.get(f"{PATH}/import/{task}/errors.csv").status_code == 404
