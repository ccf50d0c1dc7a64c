"""The page of a sequence; a small HTTP server responds for the service."""

import pytest

SEQUENCE = {
    "name": "invoices", "minimum": 1, "maximum": 99, "remaining": 9, "next": 91, "format": "{}", "cycle": False,
    "cycles": 0, "audit": True, "reset": None, "period": None, "timezone": "UTC",
}  # fmt: skip
RECORD = {"user": "ann", "issued_at": "2026-01-02T03:04:05Z", "period": None, "request_id": "r-1"}


@pytest.mark.parametrize(("count", "has_older"), [(20, False), (21, True)])
def test_older_numbers_are_linked_only_if_there_are_some(get, services, count, has_older):
    records = [RECORD | {"id": id_, "first": id_, "last": id_} for id_ in range(count, 0, -1)]
    issued = {"issued": records, "total": count}
    services["sequence"].respond = lambda request: request.send_json(
        200, issued if "issued" in request.path else SEQUENCE
    )
    text = get("/console/sequences/invoices", X_Authenticated_User="rita", X_Authenticated_Role="reader").text
    assert ('?before=2" rel="next"' in text) == has_older
    assert text.count("<td>ann</td>") == 20
