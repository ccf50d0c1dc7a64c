"""Every environment variable of this service."""

from typing import Any
from urllib.parse import quote

from pydantic import Field, model_validator

from chassis.runtime.config import ServiceSettings

_SEED_DEFAULTS = {"host": "127.0.0.1", "port": "5432", "name": "sdx", "user": "sdx", "password": "sdx"}
_SEED_PREFIX = "sdx_sequence_postgres_"


class Settings(ServiceSettings):
    """Where DATABASE_URL is not set and one of the names of sdx-sequence is, they make it up."""

    sdx_sequence_postgres_host: str | None = Field(None, description="In place of DATABASE_URL: 127.0.0.1 if left out")
    sdx_sequence_postgres_port: int | None = Field(None, ge=1, le=65535, description="5432 if left out")
    sdx_sequence_postgres_name: str | None = Field(None, description="Database; `sdx` if left out")
    sdx_sequence_postgres_user: str | None = Field(None, description="`sdx` if left out")
    sdx_sequence_postgres_password: str | None = Field(None, repr=False, description="`sdx` if left out")

    @model_validator(mode="before")
    @classmethod
    def _from_seed_names(cls, given: dict[str, Any]) -> dict[str, Any]:
        seed = {name: given.get(_SEED_PREFIX + name) for name in _SEED_DEFAULTS}
        if given.get("database_url") or not any(seed.values()):
            return given
        part = {name: quote(str(value or _SEED_DEFAULTS[name]), safe="") for name, value in seed.items()}
        address = f"{part['user']}:{part['password']}@{part['host']}:{part['port']}"
        return {**given, "database_url": f"postgresql://{address}/{part['name']}"}
