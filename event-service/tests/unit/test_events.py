import json
import os
import uuid

import pytest
from pydantic import TypeAdapter, ValidationError

from event_service.domain.events import AppendBody, create_event_id, to_json

ADAPTER = TypeAdapter(AppendBody)


def invalid_fields(body):
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python(body, strict=True)
    return {".".join(map(str, error["loc"])) for error in caught.value.errors()}


def test_every_missing_field_is_named(an_event):
    assert invalid_fields({}) == {"event", "system", "trigger", "payload"}
    assert invalid_fields({**an_event(), "event": {}}) == {"event.name", "event.version"}


def test_error_in_an_array_names_the_index(an_event):
    assert invalid_fields([an_event(), {**an_event(), "payload": 1}]) == {"1.payload"}


@pytest.mark.parametrize("part", ["event", "system", "trigger", None])
def test_unknown_field_is_rejected(an_event, part):
    body = an_event()
    (body[part] if part else body)["id2"] = "x"
    assert invalid_fields(body) == {f"{part}.id2" if part else "id2"}


def test_client_supplied_id_is_rejected(an_event):
    body = an_event()
    body["event"]["id"] = str(uuid.uuid4())
    assert invalid_fields(body) == {"event.id"}


@pytest.mark.parametrize("version", [1, 2**31 - 1, 2.0, 1e3])
def test_integer_version_is_accepted(an_event, version):
    assert ADAPTER.validate_python(an_event(version=version), strict=True)


@pytest.mark.parametrize("version", [0, -1, 1.5, 2**31, 10**30, "1", True, None, [1]])
def test_invalid_version_is_rejected(an_event, version):
    assert invalid_fields(an_event(version=version)) == {"event.version"}


@pytest.mark.parametrize(
    "time",
    ["2017-09-06 13:58:12", "2017-09-06T13:58:12Z", "2017-09-06T13:58:12.123456+02:00", "20170906T135812",
     "2024-02-29 00:00", "2017-09-06t13:58:12z", "2016-12-31T23:59:60Z", "2016-12-31 23:59:60"],
)  # fmt: skip
def test_iso_8601_time_is_accepted(an_event, time):
    body = an_event()
    body["system"]["time"] = time
    assert ADAPTER.validate_python(body, strict=True)["system"]["time"] == time


@pytest.mark.parametrize(
    "time",
    ["", "now", "2017-09-06", "2017-13-06 13:58:12", "2023-02-29 00:00:00", "2017-09-06x13:58:12",
     "2017-09-06 25:00:00", "2017-09-06 13:58:61", "2017-09-06T13:58:60Z",
     "२०१७-09-06 13:58:12", "2017-09-06 13:58:12\n", 1504706292, None],
)  # fmt: skip
def test_invalid_time_is_rejected(an_event, time):
    body = an_event()
    body["system"]["time"] = time
    assert invalid_fields(body) == {"system.time"}


@pytest.mark.parametrize(
    "timezone",
    [
        "",
        "europe/berlin",
        "Mars/Olympus",
        "../../etc/passwd",
        "Europe/Berlin ",
        1,
        "localtime",
        "Factory",
        "posixrules",
    ],
)
def test_timezone_other_than_an_iana_name_is_rejected(an_event, timezone):
    body = an_event()
    body["system"]["timezone"] = timezone
    assert invalid_fields(body) == {"system.timezone"}


def test_array_must_have_1_to_1000_events(an_event):
    assert len(ADAPTER.validate_python([an_event()] * 1000, strict=True)) == 1000
    assert invalid_fields([an_event()] * 1001) == {""}
    assert invalid_fields([]) == {""}


def validate(body):
    return ADAPTER.validate_python(body, strict=True)


def test_to_json_preserves_numbers_and_text(an_event):
    body = an_event(payload={"one": 1, "one point": 1.0, "text": "é🍷\u2028", "lines": "line\nbreak\r\x1e"})
    for extra_payload in ({}, {"big": 10**30}):
        body["payload"].update(extra_payload)
        text = to_json(validate(body)).decode()
        assert json.loads(text) == body
        assert '"one":1,"one point":1.0' in text


def test_ids_are_version_7_uuids_in_order_of_time():
    ids = [create_event_id(milliseconds, os.urandom(10)) for milliseconds in (1, 2, 1 << 40) for _ in range(100)]
    assert len(set(ids)) == 300
    assert [id_[:13] for id_ in ids] == sorted(id_[:13] for id_ in ids)
    assert {uuid.UUID(id_).version for id_ in ids} == {7}
    assert all(uuid.UUID(id_).variant == uuid.RFC_4122 and str(uuid.UUID(id_)) == id_ for id_ in ids)
