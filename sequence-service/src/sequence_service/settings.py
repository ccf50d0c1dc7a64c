"""Settings of the sequence-service, from environment variables."""

from typing import Any
from urllib.parse import quote

from pydantic import Field, model_validator

from chassis.runtime.config import ServiceSettings

_POSTGRES_DEFAULTS = {"host": "127.0.0.1", "port": "5432", "name": "sdx", "user": "sdx", "password": "sdx"}
_POSTGRES_PREFIX = "sdx_sequence_postgres_"


class Settings(ServiceSettings):
    """If DATABASE_URL is not set, it is composed from the SDX_SEQUENCE_POSTGRES_* variables."""

    sdx_sequence_postgres_host: str | None = Field(
        None, description="Host, if DATABASE_URL is not set; default 127.0.0.1"
    )
    sdx_sequence_postgres_port: int | None = Field(None, ge=1, le=65535, description="Port; default 5432")
    sdx_sequence_postgres_name: str | None = Field(None, description="Database; default `sdx`")
    sdx_sequence_postgres_user: str | None = Field(None, description="User; default `sdx`")
    sdx_sequence_postgres_password: str | None = Field(None, repr=False, description="Password; default `sdx`")

    @model_validator(mode="before")
    @classmethod
    def _compose_database_url(cls, values: dict[str, Any]) -> dict[str, Any]:
        parts = {name: values.get(_POSTGRES_PREFIX + name) for name in _POSTGRES_DEFAULTS}
        if values.get("database_url") or not any(parts.values()):
            return values
        quoted = {name: quote(str(value or _POSTGRES_DEFAULTS[name]), safe="") for name, value in parts.items()}
        authority = f"{quoted['user']}:{quoted['password']}@{quoted['host']}:{quoted['port']}"
        return {**values, "database_url": f"postgresql://{authority}/{quoted['name']}"}
