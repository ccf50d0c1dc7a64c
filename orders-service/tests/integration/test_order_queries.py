from datetime import date

import pytest

from chassis.db import Transaction
from orders_service.app import create_app
from orders_service.domain.rules import latest_birthday
from orders_service.store.order_queries import OrderFilter, list_orders
from quintet_testing.postgres import free_port

PATH = "/acme_orders/api/v1/orders"


@pytest.fixture
def five_orders(api, build_csv, build_row):
    api.run_import(
        build_csv(
            build_row(30, name="Carl 100%", state="tx", zipcode="10001"),
            build_row(10, name="Ann_A", state="NJ", zipcode="10002"),
            build_row(20, name="ÄNNE", email="B@example.com", state="NY", zipcode="00501-1234"),
            build_row(-5, name="Dan", state="XYZ", zipcode="10003"),
            build_row(40, name="Eve", state="Nj", zipcode="10004"),
        )
    )


def list_ids(api, **query):
    return [order["id"] for order in api.orders(**query).json["result"]]


def test_pages_are_ordered_by_id(api, five_orders):
    page = api.orders(limit=2, offset=1).json
    assert page["result"] == [{"id": 10, "name": "Ann_A", "valid": False}, {"id": 20, "name": "ÄNNE", "valid": True}]
    assert page["total"] == 5
    assert list_ids(api, limit=2, after=20) == [30, 40]
    assert list_ids(api, after=40) == []


@pytest.mark.parametrize(
    ("query", "expected", "total"),
    [
        ({"valid": "true"}, [20, 30], 2),
        ({"valid": "0"}, [-5, 10, 40], 3),
        ({"state": "nj"}, [10, 40], 2),
        ({"state": "TX", "valid": "1"}, [30], 1),
        ({"state": "XY"}, [], 0),
        ({"name": "ann"}, [10], None),
        ({"name": "%"}, [30], None),
        ({"name": "_", "total": "1"}, [10], 1),
        ({"name": "änn"}, [20], None),
        ({"email": "b@EX", "total": "true"}, [20], 1),
        ({"zipcode": "1000", "total": "1"}, [-5, 10, 30, 40], 4),
        ({"zipcode": "0501"}, [], None),
        ({"name": "\\"}, [], None),
        ({"name": "'; DROP TABLE orders; --"}, [], None),
    ],
)
def test_filters_select_orders_and_text_filters_omit_the_total(api, five_orders, query, expected, total):
    assert list_ids(api, **query) == expected
    assert api.orders(**query).json.get("total") == total


PAGES = [
    (1, 0, None),
    (5, 3, 20),
    (1000, 0, -(2**63)),
    (7, 40, None),
    (4, 44, None),
    (4, 45, None),
    (5, 0, 2**63 - 1),
]


def test_every_filter_returns_the_same_page_as_filtering_in_python(api, build_csv, build_row):
    ids = [-(2**63), *range(0, 300, 7), 2**63 - 1]
    lines = [
        build_row(id, state=("TX", "NJ", "nj")[id % 3], name=f"name {id % 5}", zipcode=f"{id % 4}0001") for id in ids
    ]
    api.run_import(build_csv(*reversed(lines)))
    filters = [
        ({}, lambda id: True),
        ({"state": "NJ"}, lambda id: id % 3 > 0),
        ({"valid": "1", "name": "NAME 3"}, lambda id: id % 3 == 0 and id % 5 == 3),
        ({"zipcode": "2"}, lambda id: id % 4 == 2),
        ({"zipcode": "20001", "state": "nj"}, lambda id: id % 4 == 2 and id % 3 > 0),
        ({"state": "TX", "name": "e 1"}, lambda id: id % 3 == 0 and id % 5 == 1),
        ({"valid": "0", "zipcode": "30"}, lambda id: id % 3 > 0 and id % 4 == 3),
        ({"email": "unknown"}, lambda id: False),
    ]
    for query, is_match in filters:
        assert api.orders(**query, total=1).json["total"] == sum(map(is_match, ids)), query
        for limit, offset, after in PAGES:
            cursor = {} if after is None else {"after": after}
            expected = [id for id in ids if is_match(id) and (after is None or id > after)][offset : offset + limit]
            assert list_ids(api, limit=limit, offset=offset, **cursor, **query) == expected, (
                query,
                limit,
                offset,
                after,
            )


def test_large_offset_reads_only_the_index(api, build_csv, build_row):
    api.run_import(build_csv(*(build_row(id) for id in range(30_000))))
    plans = []

    class Explaining(Transaction):
        def all(self, sql, **params):
            plans.extend(line for (line,) in self.rows(f"EXPLAIN {sql}", **params))
            return super().all(sql, **params)

    with api.db.transaction() as tx:
        tx.run("ANALYZE orders")
        tx.__class__ = Explaining
        page = list_orders(tx, OrderFilter(), limit=10, offset=20_000, after=None)
    assert [order["id"] for order in page] == list(range(20_000, 20_010))
    assert any("Index Only Scan using orders_pkey" in line for line in plans)
    assert not any("Seq Scan" in line for line in plans)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": "ten"}, {"limit": "limit must be a number"}),
        ({"offset": "1.5"}, {"offset": "offset must be a number"}),
        ({"limit": "１"}, {"limit": "limit must be a number"}),
        ({"limit": "0"}, {"limit": "limit must be between 1 and 1000"}),
        ({"limit": "1001"}, {"limit": "limit must be between 1 and 1000"}),
        ({"offset": "-1"}, {"offset": "offset must be between 0 and 2147483647"}),
        ({"valid": "yes"}, {"valid": "valid must be a bool value"}),
        ({"state": "1"}, {"state": "state must be a string"}),
        ({"state": "New York"}, {"state": "state must be a string"}),
        ({"after": str(2**63)}, {"after": "after must be between -2^63 and 2^63 - 1"}),
        ({"sort": "name"}, {"sort": "is not a known parameter"}),
        ({"limit": ["1", "2"]}, {"limit": "must not be repeated"}),
        (
            {"limit": "x", "offset": "y", "valid": "z"},
            {
                "limit": "limit must be a number",
                "offset": "offset must be a number",
                "valid": "valid must be a bool value",
            },
        ),
    ],
)
def test_invalid_parameters_are_named_with_what_is_allowed(api, query, message):
    response = api.orders(**query)
    assert (response.status_code, response.json["message"]) == (400, message)
    assert (response.json["result"], response.json["status_code"]) == (None, 400)


def test_order_lists_all_violated_rules(api, build_csv, build_row):
    api.run_import(build_csv(build_row(7, email="x.net", state="ny", zipcode="9", birthday="2020-01-31")))
    assert api.order(7).json["result"] == {
        "id": 7,
        "name": "Ann Smith",
        "email": "x.net",
        "state": "NY",
        "zipcode": "9",
        "birthday": "January 31, 2020",
        "valid": False,
        "errors": [
            {"rule": "email_pattern", "message": "incorrect email pattern"},
            {"rule": "zipcode_length", "message": "incorrect zipcode length"},
            {"rule": "email_state", "message": "users from NY can't have .net email address"},
            {"rule": "allowed_age", "message": "you must be at least 21 years old for ordering alcoholic drinks"},
        ],
    }


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{PATH}/ab", "endpoint not found"),
        (f"{PATH}/1.5", "endpoint not found"),
        (f"{PATH}/１", "endpoint not found"),
        ("/acme_orders/api/v2/orders", "endpoint not found"),
        (f"{PATH}/0", "order not found"),
        (f"{PATH}/-1", "order not found"),
        (f"{PATH}/{10**30}", "order not found"),
        (f"{PATH}/import/status/x", "import not found"),
        (f"{PATH}/import/status?task_id=x", "import not found"),
    ],
)
def test_unknown_resource_returns_404_in_the_common_shape(client, path, message):
    response = client.get(path, headers={"X-Request-ID": "mine"})
    body = {"result": None, "status_code": 404, "uuid": "mine", "message": message}
    assert (response.status_code, response.json) == (404, body)


def test_uuid_of_the_query_is_returned_instead_of_the_request_id(client):
    assert client.get(f"{PATH}?uuid=caller-1", headers={"X-Request-ID": "mine"}).json["uuid"] == "caller-1"
    assert client.get(f"{PATH}/0?uuid=caller-1").json["uuid"] == "caller-1"


def test_wrong_method_lists_allowed_methods(client):
    response = client.post(f"{PATH}")
    assert (response.status_code, response.json["status_code"]) == (405, 405)
    assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("en", "query: must be valid UTF-8"),
        ("pt", "query: deve ser UTF-8 válido"),
        ("es", "query: debe ser UTF-8 válido"),
    ],
)
def test_query_that_is_not_utf_8_is_rejected_in_the_accepted_language(client, language, message):
    response = client.get(
        PATH, headers={"Accept-Language": language}, environ_overrides={"RAW_URI": f"{PATH}?name=%ff"}
    )
    assert (response.status_code, response.json["message"]) == (400, message)


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("en", "Postgres is unreachable"),
        ("pt", "o Postgres está inacessível"),
        ("es", "Postgres no está accesible"),
    ],
)
def test_request_without_postgres_returns_503_in_the_accepted_language(settings, language, message):
    url = f"postgresql://orders:orders@127.0.0.1:{free_port()}/orders"
    client = create_app(settings.model_copy(update={"database_url": url})).test_client()
    response = client.get(PATH, headers={"Accept-Language": language})
    assert (response.status_code, response.json["message"]) == (503, message)
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("today", "latest"),
    [
        (date(2026, 11, 22), date(2005, 11, 22)),
        (date(2025, 2, 28), date(2004, 2, 28)),
        (date(2024, 2, 29), date(2003, 2, 28)),
    ],
)
def test_person_born_on_february_29_reaches_an_age_on_march_1(today, latest):
    assert latest_birthday(today, 21) == latest
