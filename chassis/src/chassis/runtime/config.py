"""Settings from environment variables; all invalid ones are reported together."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:,/?#@\s]+)(:[0-9]{1,5})?"
_AMQP_URL = re.compile(rf"amqps?://([^/?#]*@)?{_HOST}(,{_HOST})*(/[^/?#]*)?(\?[^#]*)?")


class ConfigError(Exception):
    """The environment is invalid; the message has one line for each invalid variable."""


class Settings(BaseModel):
    """A field `pool_size` is read from `POOL_SIZE`, or from the file that `POOL_SIZE_FILE` names."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raise ConfigError that names every invalid variable. An empty variable counts as unset."""
        environ = os.environ if environ is None else environ
        errors: list[str] = []
        values: dict[str, str] = {}
        for name in cls.model_fields:
            try:
                value = _read_variable(name.upper(), environ)
            except ConfigError as error:
                errors.append(f"{name.upper()}: {error}")
            else:
                if value:
                    values[name] = value
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            for problem in error.errors():
                name = str(problem["loc"][0]).upper() if problem["loc"] else "settings"
                if not any(line.startswith(name + ":") for line in errors):
                    errors.append(f"{name}: {problem['msg']}")
        if errors:
            raise ConfigError("\n".join(sorted(errors)))
        return settings


_MEMORY_OF_TWO_PROCESSES = 2 * 1024**3


def _resolve_web_concurrency(value: object) -> object:
    """Return 2 for `auto`, or 1 on a small machine.

    The memory is that of the machine, which runs all services: the limit of a container suffices for two processes.
    """
    if value != "auto":
        return value
    is_small = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < _MEMORY_OF_TWO_PROCESSES
    return 1 if is_small or len(os.sched_getaffinity(0)) == 1 else 2


class WebSettings(Settings):
    """Settings of every web process."""

    bind: str = Field("0.0.0.0:8000", description="Address on which web listens: `host:port` or `unix:/path`")
    web_concurrency: Annotated[int, BeforeValidator(_resolve_web_concurrency)] = Field(
        "auto",
        validate_default=True,
        ge=1,
        le=64,
        description="Number of web processes; `auto` is 2, or 1 with one processor or less than 2 GiB of memory",
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Lowest level that is logged")
    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        pattern="^https?://",
        description="URL of an OpenTelemetry collector that receives traces; none are recorded if empty",
    )


class ServiceSettings(WebSettings):
    """Settings of every service with a database: its web process and its worker have the same settings."""

    # The number of queues that the worker consumes.
    queue_count: ClassVar[int] = 0

    database_url: str = Field(
        repr=False,
        pattern="^postgres(ql)?://",
        description="Postgres: `postgresql://user:password@host:port/database`, or several `host:port,host:port`",
    )
    amqp_url: str = Field(
        "amqp://guest:guest@127.0.0.1:5672/%2F",
        repr=False,
        description="RabbitMQ, or several nodes `host:port,host:port`; only the worker connects to it",
    )
    pool_size: int = Field(8, ge=1, le=100, description="Maximum number of Postgres connections per process")
    pool_wait_seconds: float = Field(
        3, gt=0, le=60, description="How long a request waits for a connection before it fails with 503"
    )
    worker_threads: int = Field(4, ge=1, le=64, description="Messages of one queue that a worker handles concurrently")
    worker_bind: str = Field(
        "0.0.0.0:9100",
        pattern="^(unix:.+|.+:[0-9]{1,5})$",
        description="Address on which the worker serves `/livez` and `/metrics`: `host:port` or `unix:/path`",
    )

    @property
    def web_connection_count(self) -> int:
        """The maximum number of Postgres connections of one web program, with its processes."""
        return self.web_concurrency * self.pool_size

    @property
    def worker_connection_count(self) -> int:
        """The maximum number of Postgres connections of one worker: its pool, and one of the relay."""
        return worker_pool_size(self.worker_threads, self.queue_count) + 1

    @property
    def connection_count(self) -> int:
        return self.web_connection_count + self.worker_connection_count

    @field_validator("amqp_url")
    @classmethod
    def _check_amqp_url(cls, url: str) -> str:
        if not _AMQP_URL.fullmatch(url):
            raise PydanticCustomError(
                "amqp_url", "must be amqp://user:password@host:port/vhost, with commas between several host:port"
            )
        return url


def worker_pool_size(threads: int, queue_count: int) -> int:
    """Return how many connections a worker pools: one for each concurrent message, and three for timers and reports.

    There are more timers than three, but each uses a connection briefly, and can wait 30 s for one.
    """
    return threads * max(1, queue_count) + 3


class UploadSettings(ServiceSettings):
    """Settings of a service that accepts files: limits on slow uploads (chassis.web.uploads)."""

    upload_min_bytes_per_second: int = Field(
        1024, ge=0, le=2**30, description="An upload that is slower on average is ended with 408; 0 allows any rate"
    )
    upload_max_seconds: float = Field(3600, gt=0, le=86400, description="An upload that takes longer is ended with 408")


def _read_variable(variable: str, environ: Mapping[str, str]) -> str | None:
    file = environ.get(f"{variable}_FILE")
    if not file:
        return environ.get(variable)
    if environ.get(variable):
        raise ConfigError(f"must not be set together with {variable}_FILE")
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{variable}_FILE must name a readable file: {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{variable}_FILE must name a file in valid UTF-8: {file}") from None


# prometheus-client itself reads this variable when it is imported.
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def metrics_directory() -> str | None:
    return os.environ.get(METRICS_VARIABLE)


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of this process with additional variables, for a program that replaces it."""
    return {**os.environ, **variables}
