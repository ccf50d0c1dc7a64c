"""The URL: passed, from the environment, or from the file of `quintet login`."""

import stat

import pytest

from quintet import NotConfigured, Quintet, config

URL = "http://ann:p%40ss@127.0.0.1:8080/base/"


@pytest.fixture(autouse=True)
def configuration_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("QUINTET_URL", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_url_is_separated_from_the_credentials():
    address = config.parse_url(f" {URL} ")
    assert (address.url, address.user, address.password) == ("http://127.0.0.1:8080/base", "ann", "p@ss")
    assert "p@ss" not in repr(address)
    assert config.parse_url("https://a:b@[::1]:8443").url == "https://[::1]:8443"


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8080", "ftp://a:secret@host", "http://a:secret@", "http://a:secret@host:x", "http://[a:secret"],
)
def test_invalid_url_is_rejected_without_showing_the_password(url):
    with pytest.raises(NotConfigured) as raised:
        config.parse_url(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://ann@127.0.0.1:8080"])
def test_url_without_credentials_is_rejected(url):
    with pytest.raises(NotConfigured, match="user name and the password"):
        config.parse_url(url)


def test_url_that_is_passed_precedes_environment_and_file(monkeypatch):
    with pytest.raises(NotConfigured, match="quintet login"):
        config.find_url()
    config.save_login("http://file:x@h")
    assert config.find_url() == "http://file:x@h"
    monkeypatch.setenv("QUINTET_URL", "http://env:x@h")
    assert config.find_url() == "http://env:x@h"
    assert config.find_url("http://passed:x@h") == "http://passed:x@h"


def test_only_the_user_may_read_the_file(configuration_folder):
    file = config.save_login("http://old:x@h")
    file.chmod(0o644)
    assert config.save_login(URL) == file == configuration_folder / "quintet" / "login.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["login.json"]
    with Quintet() as client:
        assert repr(client) == "Quintet('http://127.0.0.1:8080/base', user='ann')"


def test_invalid_url_is_not_stored():
    with pytest.raises(NotConfigured):
        config.save_login("http://127.0.0.1")
    assert not config.login_file().exists()


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_damaged_file_is_reported(content):
    config.save_login(URL).write_text(content)
    with pytest.raises(NotConfigured, match="login"):
        config.find_url()


def test_login_can_be_deleted():
    assert config.delete_login() is False
    config.save_login(URL)
    assert config.delete_login() is True
    assert not config.login_file().exists()
