"""Settings: all invalid variables are reported together; secrets come from files and are never printed."""

import os
from pathlib import Path

import pytest

from chassis.runtime.config import ConfigError, ServiceSettings

DATABASE = "postgresql://u:topsecret@127.0.0.1:5432/quintet"


def test_reports_all_invalid_variables_together() -> None:
    with pytest.raises(ConfigError) as caught:
        ServiceSettings.load({"WEB_CONCURRENCY": "many", "POOL_SIZE": "0", "LOG_LEVEL": "loud"})
    lines = str(caught.value).split("\n")
    assert [line.partition(":")[0] for line in lines] == [
        "DATABASE_URL",
        "LOG_LEVEL",
        "POOL_SIZE",
        "WEB_CONCURRENCY",
    ]


@pytest.mark.parametrize(
    ("memory_bytes", "processors", "count"), [(2**30, 4, 1), (2**31, 1, 1), (2**31, 2, 2), (2**36, 64, 2)]
)
def test_number_of_web_processes_depends_on_the_machine(
    memory_bytes: int, processors: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": memory_bytes // 4096, "SC_PAGE_SIZE": 4096}.__getitem__)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(processors)))
    assert ServiceSettings.load({"DATABASE_URL": DATABASE}).web_concurrency == count
    assert ServiceSettings.load({"DATABASE_URL": DATABASE, "WEB_CONCURRENCY": "auto"}).web_concurrency == count
    assert ServiceSettings.load({"DATABASE_URL": DATABASE, "WEB_CONCURRENCY": "3"}).web_concurrency == 3


def test_secret_file_is_read_without_its_trailing_newline(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(DATABASE + "\n")
    assert ServiceSettings.load({"DATABASE_URL_FILE": str(file)}).database_url == DATABASE


def test_rejects_a_variable_together_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(DATABASE)
    with pytest.raises(ConfigError, match="DATABASE_URL: must not be set together with DATABASE_URL_FILE"):
        ServiceSettings.load({"DATABASE_URL": DATABASE, "DATABASE_URL_FILE": str(file)})


def test_unreadable_file_is_reported_with_the_other_invalid_variables(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        ServiceSettings.load({"DATABASE_URL_FILE": str(tmp_path / "missing"), "POOL_SIZE": "0"})
    assert "DATABASE_URL: DATABASE_URL_FILE must name a readable file" in str(caught.value)
    assert "No such file" in str(caught.value)
    assert "POOL_SIZE" in str(caught.value)


def test_rejects_a_binary_file_without_printing_its_content(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_bytes(b"\xff\xfetopsecret")
    with pytest.raises(ConfigError, match="UTF-8") as caught:
        ServiceSettings.load({"DATABASE_URL_FILE": str(file)})
    assert "topsecret" not in str(caught.value)


def test_empty_variable_counts_as_unset() -> None:
    settings = ServiceSettings.load({"DATABASE_URL": DATABASE, "POOL_SIZE": "", "DATABASE_URL_FILE": ""})
    assert settings.pool_size == 8


def test_secrets_appear_neither_in_repr_nor_in_errors() -> None:
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
def test_accepts_several_broker_hosts(url: str) -> None:
    assert ServiceSettings.load({"DATABASE_URL": DATABASE, "AMQP_URL": url}).amqp_url == url


@pytest.mark.parametrize(
    "url", ["amqp://", "amqp://u:p@", "amqp://a,,b", "amqp://a:x", "amqp://a:1,b:", "amqp://u:topsecret@a b/", "a:5672"]
)
def test_rejects_an_invalid_broker_url(url: str) -> None:
    with pytest.raises(ConfigError, match="AMQP_URL: must be amqp://user:password@host:port/vhost") as caught:
        ServiceSettings.load({"DATABASE_URL": DATABASE, "AMQP_URL": url})
    assert "topsecret" not in str(caught.value)


def test_settings_are_immutable() -> None:
    settings = ServiceSettings.load({"DATABASE_URL": DATABASE})
    with pytest.raises(ValueError, match="frozen"):
        settings.pool_size = 3
