"""Times of RFC 3339 and ISO 8601, and the names of time zones."""

import zoneinfo
from datetime import UTC, datetime, timedelta, timezone
from importlib import resources

import pytest
from pydantic import BaseModel

from chassis.errors import Invalid
from chassis.timestamps import Timestamp, TimezoneName, load_timezone, parse_iso_8601, parse_rfc_3339
from chassis.web.input_errors import checked

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
LEAP_SECOND = datetime(2017, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-21T12:00:00Z", NOON),
        ("2026-11-21t12:00:00z", NOON),
        ("2026-11-21 12:00:00z", NOON),
        ("2026-11-21T13:30:00+01:30", NOON),
        ("2026-11-21T12:00:00-00:00", NOON),
        ("2026-11-21T12:00:00.5Z", NOON + timedelta(seconds=0.5)),
        ("2026-11-21T12:00:00.1234567890123Z", NOON + timedelta(microseconds=123456)),
        ("2016-12-31T23:59:60Z", LEAP_SECOND),
        ("2016-12-31t23:59:60.25z", LEAP_SECOND + timedelta(seconds=0.25)),
        ("2017-01-01T05:44:60+05:45", LEAP_SECOND),
        ("2016-12-31T15:59:60-08:00", LEAP_SECOND),
    ],
)
def test_rfc_3339_time_is_parsed(text, time):
    assert parse_rfc_3339(text) == time
    assert parse_rfc_3339(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-21", "2026-11-21T12:00:00", "2026-11-21T12:00Z", "20261121T120000Z", "2026-11-21T12:00:00,5Z",
     "2026-11-21T12:00:00.Z", "2026-11-21T12:00:00+0100", "2026-11-21T12:00:00+01", "2026-11-21T24:00:00Z",
     "2026-11-21T12:00:61Z", "2026-11-21T12:00:60Z", "2016-12-31T22:59:60Z", "2016-12-31T23:59:60+01:00",
     "2026-11-21T12:60:00Z", "2026-02-29T12:00:00Z", "2026-13-01T12:00:00Z", "2026-11-21T12:00:00+24:00",
     "2026-11-21T12:00:00+01:60", "2026-11-21T12:00:00Z\n", " 2026-11-21T12:00:00Z", "2026-11-21x12:00:00Z",
     "٢026-11-21T12:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
     "9999-12-31T23:59:60Z", "2026-11-21T12:00:00." + "0" * 100 + "Z"],
)  # fmt: skip
def test_text_that_is_not_rfc_3339_is_rejected(text):
    with pytest.raises(ValueError, match="must be an RFC 3339 time"):
        parse_rfc_3339(text)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2017-09-06 13:58:12", datetime(2017, 9, 6, 13, 58, 12)),
        ("2017-09-06t13:58", datetime(2017, 9, 6, 13, 58)),
        ("20170906T135812,5+0200", datetime(2017, 9, 6, 13, 58, 12, 500000, timezone(timedelta(hours=2)))),
        ("20161231T235960Z", LEAP_SECOND),
        ("2017-01-01 05:44:60", datetime(2017, 1, 1, 5, 45)),
        ("20170606T160660", None),
        ("20170606T160606.60z", datetime(2017, 6, 6, 16, 6, 6, 600000, UTC)),
        ("2017-09-06 13:58:60", None),
        ("2017-W36-3T13:58:12", None),
        ("2017-09-06", None),
        ("9999-12-31 23:59:60", None),
        ("0001-01-01T00:00:00+01:00", None),
    ],
)
def test_iso_8601_time_is_parsed_or_rejected(text, time):
    if time is None:
        with pytest.raises(ValueError, match="must be YYYY-MM-DD HH:MM:SS"):
            parse_iso_8601(text)
    else:
        assert parse_iso_8601(text) == time
        assert parse_iso_8601(text).tzinfo == time.tzinfo


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12", "US/Pacific"])
def test_iana_time_zone_is_loaded(name):
    zone = load_timezone(name)
    assert zone.key == name
    assert NOON.astimezone(zone) == NOON


@pytest.mark.parametrize(
    "name",
    ["localtime", "posixrules", "Factory", "posix/Europe/Berlin", "right/Europe/Berlin", "", "europe/berlin",
     "Europe/Berlin ", "Europe/Berlin\n", "Europe", "../../etc/passwd", "/etc/localtime", "leapseconds", "tzdata.zi"],
)  # fmt: skip
def test_name_that_iana_does_not_define_is_rejected(name):
    with pytest.raises(ValueError, match="must be an IANA time zone name"):
        load_timezone(name)


def test_time_zones_do_not_depend_on_the_files_of_the_system(tmp_path):
    system_path = zoneinfo.TZPATH
    (tmp_path / "localtime").write_bytes(b"TZif")
    (tmp_path / "UTC").write_bytes(b"not a time zone")
    zoneinfo.reset_tzpath([tmp_path])
    load_timezone.cache_clear()
    try:
        assert load_timezone("UTC").utcoffset(NOON) == timedelta(0)
        with pytest.raises(ValueError):
            load_timezone("localtime")
    finally:
        zoneinfo.reset_tzpath(system_path)


def test_every_name_can_be_loaded():
    names = resources.files("tzdata").joinpath("zones").read_text("utf-8").split()
    assert len(names) > 500
    for name in set(names) - {"Factory"}:
        assert load_timezone(name).utcoffset(NOON) is not None


class Body(BaseModel):
    time: Timestamp | None = None
    timezone: TimezoneName = "UTC"


@pytest.mark.parametrize("value", [0, 1.5, True, [], "2026-11-21"])
def test_invalid_value_of_a_field_is_reported_with_its_name(value):
    with pytest.raises(Invalid) as caught:
        checked(lambda: Body.model_validate({"time": value, "timezone": "localtime"}, strict=True))
    assert dict(caught.value.errors) == {
        "time": "must be an RFC 3339 time, such as 2026-11-21T12:00:00Z",
        "timezone": "must be an IANA time zone name, such as Europe/Berlin",
    }


def test_field_of_a_json_body_becomes_a_time():
    assert Body.model_validate({"time": "2026-11-21t12:00:00z"}, strict=True).time == NOON
    assert Body.model_json_schema()["properties"]["time"]["anyOf"][0]["format"] == "date-time"
