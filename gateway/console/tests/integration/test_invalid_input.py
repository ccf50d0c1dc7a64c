"""Parameters of URLs and fields of forms that are not valid: a page names them, whatever the services would respond."""

import pytest

ADMIN = {"X_Authenticated_User": "root", "X_Authenticated_Role": "admin"}

# Each parameter that a page reads as a number.
NUMBERS = [
    ("/console/sequences", "offset"),
    ("/console/sequences/invoices", "before"),
    ("/console/streams/shop", "before"),
    ("/console/streams/shop", "from"),
    ("/console/streams/shop/consumers", "offset"),
    ("/console/streams/shop/consumers/billing", "offset"),
    ("/console/streams/shop/settings", "offset"),
    ("/console/orders", "offset"),
    ("/console/orders/imports", "offset"),
    ("/console/datasets/ann/wines", "offset"),
    ("/console/factories", "offset"),
    ("/console/sprockets", "offset"),
]


@pytest.mark.parametrize(("path", "name"), NUMBERS)
@pytest.mark.parametrize("value", ["x", "-1", "1.5", "1e3", "%00", "9" * 5000, "<b>"])
def test_number_that_is_none_is_named(get, services, path, name, value):
    page = get(f"{path}?{name}={value}", **ADMIN)
    assert page.status_code == 400
    assert page.headers["Content-Type"].startswith("text/html")
    assert (f"{name}: must be an integer" if value != "%00" else "query: must not contain") in page.text
    assert not any(service.requests for service in services.values())


def test_request_id_that_is_none_is_named(get, services):
    page = get("/console/trace?id=a/b", **ADMIN)
    assert page.status_code == 400
    assert 'aria-invalid="true"' in page.text and "Request ID must have" in page.text


@pytest.mark.parametrize("path", ["/console/datasets?after=x", "/console/streams?prefix=x", "/console/orders?state=x"])
def test_parameter_that_a_service_rejects_is_named(get, services, path):
    body = {"detail": "x: must be valid", "errors": [{"field": "x", "message": "must be valid"}]}
    for service in services.values():
        service.respond = lambda request: request.send_json(400, body)
    page = get(path, X_Authenticated_User="rita", X_Authenticated_Role="reader")
    assert page.status_code == 400
    assert "x: must be valid" in page.text


@pytest.mark.parametrize(
    ("path", "form", "missing"),
    [
        ("/console/sequences", {}, "name"),
        ("/console/sequences/invoices", {}, "action"),
        ("/console/streams", {}, "stream"),
        ("/console/streams/shop/consumers/billing", {}, "action"),
        ("/console/streams/shop/consumers/billing", {"action": "replay"}, "event"),
        ("/console/streams/shop/settings", {"action": "retention"}, "max_age_days"),
        ("/console/orders/1", {"action": "delete"}, "key"),
        ("/console/datasets/ann/wines", {}, "revision"),
        ("/console/factories", {}, "name"),
        ("/console/factories/1", {"action": "record"}, "time"),
        ("/console/sprockets", {"action": "delete"}, "id"),
        ("/console/messages/orders.import", {}, "action"),
    ],
)
def test_missing_field_is_named(get, services, path, form, missing):
    page = get(path, "POST", form=form, **ADMIN)
    assert page.status_code == 400
    assert f"{missing}: is required</p>" in page.text
    assert not any(service.changes for service in services.values())
