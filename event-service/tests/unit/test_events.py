import json
import os
import uuid

import pytest
from pydantic import TypeAdapter, ValidationError

from event_service.domain.events import Posted, event_id, to_json

ADAPTER = TypeAdapter(Posted)


def problems(body):
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python(body, strict=True)
    return {".".join(map(str, error["loc"])) for error in caught.value.errors()}


def test_every_field_that_is_missing_is_named(an_event):
    assert problems({}) == {"event", "system", "trigger", "payload"}
    assert problems({**an_event(), "event": {}}) == {"event.name", "event.version"}


def test_in_an_array_the_place_is_named_too(an_event):
    assert problems([an_event(), {**an_event(), "payload": 1}]) == {"1.payload"}


@pytest.mark.parametrize("part", ["event", "system", "trigger", None])
def test_an_unknown_field_is_refused(an_event, part):
    body = an_event()
    (body[part] if part else body)["id2"] = "x"
    assert problems(body) == {f"{part}.id2" if part else "id2"}


def test_an_id_of_the_clients_own_is_refused(an_event):
    body = an_event()
    body["event"]["id"] = str(uuid.uuid4())
    assert problems(body) == {"event.id"}


@pytest.mark.parametrize("version", [1, 2**31 - 1, 2.0, 1e3])
def test_a_version_is_a_whole_number(an_event, version):
    assert ADAPTER.validate_python(an_event(version=version), strict=True)


@pytest.mark.parametrize("version", [0, -1, 1.5, 2**31, 10**30, "1", True, None, [1]])
def test_what_is_no_version_is_refused(an_event, version):
    assert problems(an_event(version=version)) == {"event.version"}


@pytest.mark.parametrize(
    "time",
    ["2017-09-06 13:58:12", "2017-09-06T13:58:12Z", "2017-09-06T13:58:12.123456+02:00", "20170906T135812",
     "2024-02-29 00:00"],
)  # fmt: skip
def test_a_time_is_iso_8601(an_event, time):
    body = an_event()
    body["system"]["time"] = time
    assert ADAPTER.validate_python(body, strict=True)


@pytest.mark.parametrize(
    "time",
    ["", "now", "2017-09-06", "2017-13-06 13:58:12", "2023-02-29 00:00:00", "2017-09-06x13:58:12",
     "2017-09-06 25:00:00",
     "२०१७-09-06 13:58:12", "2017-09-06 13:58:12\n", 1504706292, None],
)  # fmt: skip
def test_what_is_no_time_is_refused(an_event, time):
    body = an_event()
    body["system"]["time"] = time
    assert problems(body) == {"system.time"}


@pytest.mark.parametrize("timezone", ["", "europe/berlin", "Mars/Olympus", "../../etc/passwd", "Europe/Berlin ", 1])
def test_a_timezone_is_a_name_of_iana(an_event, timezone):
    body = an_event()
    body["system"]["timezone"] = timezone
    assert problems(body) == {"system.timezone"}


def test_one_to_a_thousand_events_at_once(an_event):
    assert len(ADAPTER.validate_python([an_event()] * 1000, strict=True)) == 1000
    assert problems([an_event()] * 1001) == {""}
    assert problems([]) == {""}


def checked(body):
    return ADAPTER.validate_python(body, strict=True)


def test_json_keeps_numbers_and_text_as_they_are(an_event):
    body = an_event(payload={"one": 1, "one point": 1.0, "text": "é🍷\u2028", "lines": "line\nbreak\r\x1e"})
    for big in ({}, {"big": 10**30}):
        body["payload"].update(big)
        text = to_json(checked(body)).decode()
        assert json.loads(text) == body
        assert '"one":1,"one point":1.0' in text


def test_ids_are_uuids_of_version_7_and_follow_the_time():
    ids = [event_id(milliseconds, os.urandom(10)) for milliseconds in (1, 2, 1 << 40) for _ in range(100)]
    assert len(set(ids)) == 300
    assert [id_[:13] for id_ in ids] == sorted(id_[:13] for id_ in ids)
    assert {uuid.UUID(id_).version for id_ in ids} == {7}
    assert all(uuid.UUID(id_).variant == uuid.RFC_4122 and str(uuid.UUID(id_)) == id_ for id_ in ids)
