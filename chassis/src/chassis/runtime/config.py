"""Settings from environment variables, every wrong one named at once."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:,/?#@\s]+)(:[0-9]{1,5})?"
_AMQP_URL = re.compile(rf"amqps?://([^/?#]*@)?{_HOST}(,{_HOST})*(/[^/?#]*)?(\?[^#]*)?")


class ConfigError(Exception):
    """One line for each variable that is missing or wrong."""


class Settings(BaseModel):
    """A field `pool_size` is the variable `POOL_SIZE`, or the content of the file named in `POOL_SIZE_FILE`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Raises ConfigError naming every wrong variable. An empty variable counts as not set."""
        environ = os.environ if environ is None else environ
        wrong: list[str] = []
        given: dict[str, str] = {}
        for name in cls.model_fields:
            try:
                value = _value_of(name.upper(), environ)
            except ConfigError as error:
                wrong.append(f"{name.upper()}: {error}")
            else:
                if value:
                    given[name] = value
        try:
            settings = cls.model_validate(given)
        except ValidationError as error:
            for problem in error.errors():
                name = str(problem["loc"][0]).upper() if problem["loc"] else "settings"
                if not any(line.startswith(name + ":") for line in wrong):
                    wrong.append(f"{name}: {problem['msg']}")
        if wrong:
            raise ConfigError("\n".join(sorted(wrong)))
        return settings


class WebSettings(Settings):
    """Settings of every web process."""

    bind: str = Field("0.0.0.0:8000", description="Where web listens: `host:port` or `unix:/path`")
    web_concurrency: int = Field(2, ge=1, le=64, description="Web processes")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level that is logged")


class ServiceSettings(WebSettings):
    """Settings of every service: a web process and a worker on a database."""

    database_url: str = Field(
        repr=False,
        pattern="^postgres(ql)?://",
        description="Postgres: `postgresql://user:password@host:port/database`, or several `host:port,host:port`",
    )
    amqp_url: str = Field(
        "amqp://guest:guest@127.0.0.1:5672/%2F",
        repr=False,
        description="RabbitMQ, or several nodes `host:port,host:port`; only the worker connects",
    )
    pool_size: int = Field(8, ge=1, le=100, description="Postgres connections of each process at the most")
    pool_wait_seconds: float = Field(
        3, gt=0, le=60, description="How long a request waits for a connection before it is told 503"
    )
    worker_threads: int = Field(4, ge=1, le=64, description="Messages that a worker handles at the same time")

    @field_validator("amqp_url")
    @classmethod
    def _names_hosts(cls, url: str) -> str:
        if not _AMQP_URL.fullmatch(url):
            raise PydanticCustomError(
                "amqp_url", "must be amqp://user:password@host:port/vhost, with commas between several host:port"
            )
        return url


class UploadSettings(ServiceSettings):
    """For a service that takes files: how slow an upload may be (chassis.web.uploads)."""

    upload_min_bytes_per_second: int = Field(
        1024, ge=0, le=2**30, description="An upload that is slower on average is ended with 408; 0 allows any rate"
    )
    upload_max_seconds: float = Field(3600, gt=0, le=86400, description="An upload that takes longer is ended with 408")


def _value_of(variable: str, environ: Mapping[str, str]) -> str | None:
    file = environ.get(f"{variable}_FILE")
    if not file:
        return environ.get(variable)
    if environ.get(variable):
        raise ConfigError(f"set it or {variable}_FILE, not both")
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{variable}_FILE names {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{variable}_FILE names {file}: it must be valid UTF-8") from None


# Read by prometheus-client itself, when it is imported.
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def metrics_folder() -> str | None:
    return os.environ.get(METRICS_FOLDER)


def environment(**more: str) -> dict[str, str]:
    """This process's variables and some more, for a program that takes its place."""
    return {**os.environ, **more}
