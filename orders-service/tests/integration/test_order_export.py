"""The stored orders as a CSV file."""

import csv
import io

import pytest

from orders_service.app import create_app
from quintet_testing.postgres import free_port

PATH = "/acme_orders/api/v1/orders.csv"


@pytest.fixture
def export(client):
    def export(**query):
        response = client.get(PATH, query_string=query)
        assert response.status_code == 200
        return list(csv.DictReader(io.StringIO(response.text, newline="")))

    return export


def test_export_has_all_columns_ordered_by_id(api, client, build_csv, build_row):
    api.run_import(build_csv(build_row(7, state="NJ", zipcode="99999"), build_row(-5, name='"Ann, ""A"""')))
    response = client.get(PATH)
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="orders.csv"'
    assert response.text.split("\r\n") == [
        "id,name,email,state,zipcode,birthday,valid,rule",
        '-5,"Ann, ""A""",ann@example.com,TX,10001,1963-02-27,true,',
        "7,Ann Smith,ann@example.com,NJ,99999,1963-02-27,false,allowed_state; zipcode_sum",
        "",
    ]


def test_export_without_orders_has_only_the_header(export, client):
    assert export() == []
    assert client.get(PATH).text.count("\n") == 1


@pytest.mark.parametrize("orders_per_read", [1, 3, 1000])
@pytest.mark.parametrize(
    ("query", "is_match"),
    [
        ({}, lambda id: True),
        ({"state": "nj"}, lambda id: id % 3 > 0),
        ({"valid": "1", "name": "NAME 3"}, lambda id: id % 3 == 0 and id % 5 == 3),
        ({"zipcode": "2", "email": "ANN@"}, lambda id: id % 4 == 2),
        ({"valid": "0", "zipcode": "30"}, lambda id: id % 3 > 0 and id % 4 == 3),
        ({"name": "unknown"}, lambda id: False),
    ],
)
def test_export_has_the_orders_that_the_list_has(
    api, export, build_csv, build_row, monkeypatch, query, is_match, orders_per_read
):
    monkeypatch.setattr("orders_service.routes.order_export._MAX_ORDERS_PER_READ", orders_per_read)
    ids = [-(2**63), *range(0, 200, 7), 2**63 - 1]
    lines = [
        build_row(id, state=("TX", "NJ", "nj")[id % 3], name=f"name {id % 5}", zipcode=f"{id % 4}0001") for id in ids
    ]
    api.run_import(build_csv(*reversed(lines)))
    exported = [int(row["id"]) for row in export(**query)]
    assert exported == [id for id in ids if is_match(id)]
    assert exported == [order["id"] for order in api.orders(**query, limit=1000).json["result"]]


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "@SUM(A1)", "＝1", "\t=1", "a; ＝1", "x\n+1", "-1+1"])
def test_formula_is_escaped(api, export, build_csv, build_row, cell):
    api.run_import(build_csv(build_row(-5, name='"' + cell + '"')))
    (row,) = export()
    assert (row["id"], row["name"].replace("'", "")) == ("-5", cell.replace("'", ""))
    assert "'" in row["name"] and row["name"] != cell


NAMES = ("=1", "'=1", "''@x", "O'Neil", 'a,"b"', "x\r\n+1", "\t=1", "a;＝1", "-7", "Zoë 😀", "", " ")


@pytest.mark.parametrize("edit", [str, lambda text: text.replace(",", ";").replace("valid;rule", "Valid;Rule")])
def test_export_can_be_uploaded_again_without_loss(api, client, counts_of, build_csv, build_row, edit):
    names = NAMES if edit is str else [name for name in NAMES if not {",", ";"} & set(name)]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    states = ("TX", "NJ", "nowhere")
    api.run_import(build_csv(*(build_row(id, name=name, state=states[id % 3]) for id, name in enumerate(quoted))))
    exported, orders = client.get(PATH).text, [api.order(id).json["result"] for id in range(len(names))]
    assert [order["name"] for order in orders] == list(names)
    again = api.run_import(edit(exported).encode(), "?on_duplicate=update")
    assert (again["updated"], again["rejected"], again["ignored_columns"]) == (
        len(names),
        0,
        edit("valid,rule").split(edit(",")),
    )
    assert [api.order(id).json["result"] for id in range(len(names))] == orders
    assert client.get(PATH).text == exported


def test_error_report_of_an_export_can_be_corrected(api, client, counts_of, build_csv, build_row):
    api.run_import(build_csv(build_row(1, name="'=1", state="NJ")))
    first = api.run_import(client.get(PATH).data, "?on_duplicate=update")
    report = api.errors(first["task_id"])
    assert report.splitlines()[1].startswith("1,''=1,ann@example.com,NJ,10001,1963-02-27,false,allowed_state,2,")
    corrected = api.run_import(report.replace(",NJ,", ",TX,").encode(), "?on_duplicate=update")
    assert (counts_of(corrected), api.order(1).json["result"]["name"]) == ((1, 0, 0, 0), "'=1")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"valid": "yes"}, {"valid": "valid must be a bool value"}),
        ({"state": "1"}, {"state": "state must be a string"}),
        ({"limit": "1"}, {"limit": "is not a known parameter"}),
    ],
)
def test_invalid_parameters_are_named(client, query, message):
    response = client.get(PATH, query_string=query)
    assert (response.status_code, response.json["message"]) == (400, message)


def test_export_without_postgres_returns_503(settings):
    url = f"postgresql://orders:orders@127.0.0.1:{free_port()}/orders"
    client = create_app(settings.model_copy(update={"database_url": url})).test_client()
    assert client.get(PATH).status_code == 503


def test_slow_client_holds_no_transaction_and_sees_orders_that_are_stored_meanwhile(
    api, client, db, build_csv, build_row, monkeypatch
):
    monkeypatch.setattr("orders_service.routes.order_export._MAX_ORDERS_PER_READ", 10)
    api.run_import(build_csv(*(build_row(id) for id in range(30))))
    response = client.get(PATH, buffered=False)
    chunks = iter(response.response)
    first = next(chunks)
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM pg_stat_activity WHERE starts_with(state, 'idle in transaction')") == 0
    api.run_import(build_csv(build_row(100)))
    text = (first + b"".join(chunks)).decode()
    assert len(text.splitlines()) == 1 + 31
    response.close()


def test_memory_does_not_grow_with_long_names_of_earlier_versions(api, client, db, build_csv, build_row):
    api.run_import(build_csv(*(build_row(id) for id in range(8))))
    with db.transaction() as tx:
        tx.run("UPDATE orders SET name = repeat('x', 1000000)")
    response = client.get(PATH, buffered=False)
    sizes = [len(chunk) for chunk in response.response]
    assert sum(sizes) > 8_000_000 and max(sizes) < 3_000_000
    response.close()
