import pytest

from chassis.runtime.config import ConfigError
from factory_service.settings import Settings

DATABASE = {"DATABASE_URL": "postgresql://factory:x@127.0.0.1:5432/quintet"}


def test_redis_and_read_replica_are_optional():
    settings = Settings.load(DATABASE)
    assert settings.redis_url is None and settings.read_database_url is None


@pytest.mark.parametrize("url", ["redis://:x@redis:6379/0", "rediss://redis", "unix:///run/redis.sock"])
def test_accepts_redis_url(url):
    assert Settings.load({**DATABASE, "REDIS_URL": url}).redis_url == url


def test_invalid_redis_url_names_the_variable_and_passwords_are_hidden():
    with pytest.raises(ConfigError, match="REDIS_URL"):
        Settings.load({**DATABASE, "REDIS_URL": "127.0.0.1"})
    assert "secret" not in repr(Settings.load({**DATABASE, "REDIS_URL": "redis://:secret@redis"}))
