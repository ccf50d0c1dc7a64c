import pytest

from chassis.runtime.config import ConfigError
from event_service.settings import Settings


def test_only_the_database_has_to_be_named():
    settings = Settings.load({"DATABASE_URL": "postgresql://event@db/quintet"})
    assert (settings.nack_limit, settings.live_heartbeat_seconds) == (5, 15)


def test_the_reserved_streams_are_separated_by_commas():
    url = "postgresql://event@db/quintet"
    assert Settings.load({"DATABASE_URL": url}).reserved == {"sequence", "event", "orders", "specstore", "factory"}
    assert Settings.load({"DATABASE_URL": url, "RESERVED_STREAMS": "one,two"}).reserved == {"one", "two"}
    for wrong in ("one, two", "one,,two", ",", "a b", "a/b"):
        with pytest.raises(ConfigError, match=r"^RESERVED_STREAMS: "):
            Settings.load({"DATABASE_URL": url, "RESERVED_STREAMS": wrong})


def test_every_wrong_variable_is_named():
    with pytest.raises(ConfigError) as caught:
        Settings.load({"NACK_LIMIT": "0", "WATCH_SECONDS": "soon"})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "DATABASE_URL",
        "NACK_LIMIT",
        "WATCH_SECONDS",
    ]
