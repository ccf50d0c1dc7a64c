"""Settings: every wrong variable at once, secrets from files and never in what is printed."""

from pathlib import Path

import pytest

from chassis.runtime.config import ConfigError, ServiceSettings

DATABASE = "postgresql://u:topsecret@127.0.0.1:5432/quintet"


def test_every_wrong_variable_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        ServiceSettings.load({"WEB_CONCURRENCY": "many", "POOL_SIZE": "0", "LOG_LEVEL": "loud"})
    lines = str(caught.value).split("\n")
    assert [line.partition(":")[0] for line in lines] == [
        "DATABASE_URL",
        "LOG_LEVEL",
        "POOL_SIZE",
        "WEB_CONCURRENCY",
    ]


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(DATABASE + "\n")
    assert ServiceSettings.load({"DATABASE_URL_FILE": str(file)}).database_url == DATABASE


def test_a_variable_and_its_file_are_not_both_given(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(DATABASE)
    with pytest.raises(ConfigError, match="not both"):
        ServiceSettings.load({"DATABASE_URL": DATABASE, "DATABASE_URL_FILE": str(file)})


def test_a_file_that_cannot_be_read_is_named_with_its_variable_beside_the_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        ServiceSettings.load({"DATABASE_URL_FILE": str(tmp_path / "gone"), "POOL_SIZE": "0"})
    assert "DATABASE_URL: DATABASE_URL_FILE names" in str(caught.value)
    assert "No such file" in str(caught.value)
    assert "POOL_SIZE" in str(caught.value)


def test_a_file_that_is_no_text_is_refused_without_its_content(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_bytes(b"\xff\xfetopsecret")
    with pytest.raises(ConfigError, match="UTF-8") as caught:
        ServiceSettings.load({"DATABASE_URL_FILE": str(file)})
    assert "topsecret" not in str(caught.value)


def test_an_empty_variable_counts_as_not_set() -> None:
    settings = ServiceSettings.load({"DATABASE_URL": DATABASE, "POOL_SIZE": "", "DATABASE_URL_FILE": ""})
    assert settings.pool_size == 8


def test_secrets_show_in_no_repr_and_no_error() -> None:
    assert "topsecret" not in repr(ServiceSettings.load({"DATABASE_URL": DATABASE}))
    with pytest.raises(ConfigError) as caught:
        ServiceSettings.load({"DATABASE_URL": "host=topsecret", "AMQP_URL": "http://topsecret"})
    assert "topsecret" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    [
        "amqp://u:p@a:5672,b:5672,c/vhost",
        "amqp://a,b,c",
        "amqps://u:p%40@[::1]:5671,host-1.example/%2F?heartbeat=5",
        "amqp://u:p@w@127.0.0.1/",
    ],
)
def test_a_broker_may_have_several_hosts(url: str) -> None:
    assert ServiceSettings.load({"DATABASE_URL": DATABASE, "AMQP_URL": url}).amqp_url == url


@pytest.mark.parametrize(
    "url", ["amqp://", "amqp://u:p@", "amqp://a,,b", "amqp://a:x", "amqp://a:1,b:", "amqp://u:topsecret@a b/", "a:5672"]
)
def test_an_address_of_the_broker_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="AMQP_URL: must be amqp://user:password@host:port/vhost") as caught:
        ServiceSettings.load({"DATABASE_URL": DATABASE, "AMQP_URL": url})
    assert "topsecret" not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    settings = ServiceSettings.load({"DATABASE_URL": DATABASE})
    with pytest.raises(ValueError, match="frozen"):
        settings.pool_size = 3
