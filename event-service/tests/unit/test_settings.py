import pytest

from chassis.runtime.config import ConfigError
from event_service.settings import Settings


def test_only_database_url_is_required():
    settings = Settings.load({"DATABASE_URL": "postgresql://event@db/quintet"})
    assert (settings.nack_limit, settings.live_heartbeat_seconds) == (5, 15)


def test_reserved_streams_are_comma_separated():
    url = "postgresql://event@db/quintet"
    assert Settings.load({"DATABASE_URL": url}).reserved == {"sequence", "event", "orders", "specstore", "factory"}
    assert Settings.load({"DATABASE_URL": url, "RESERVED_STREAMS": "one,two"}).reserved == {"one", "two"}
    for invalid in ("one, two", "one,,two", ",", "a b", "a/b"):
        with pytest.raises(ConfigError, match=r"^RESERVED_STREAMS: "):
            Settings.load({"DATABASE_URL": url, "RESERVED_STREAMS": invalid})


def test_error_names_every_invalid_variable():
    with pytest.raises(ConfigError) as caught:
        Settings.load({"NACK_LIMIT": "0", "LIVE_HEARTBEAT_SECONDS": "soon"})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "DATABASE_URL",
        "LIVE_HEARTBEAT_SECONDS",
        "NACK_LIMIT",
    ]
