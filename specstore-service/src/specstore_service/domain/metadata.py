"""Properties of a package and its resources that are published unchanged, since they do not describe files."""

import re
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from specstore_service.domain.descriptors import OpenModel, property_error

# Properties of the published descriptor or its files. Those of the source would contradict them.
_REPLACED_IN_PACKAGE = frozenset(
    {"$schema", "$frictionless", "profile", "profiles", "type", "name", "resources", "bytes", "count_of_rows", "hash",
     "stats", "fields", "missingValues"}
)  # fmt: skip
_REPLACED_IN_RESOURCE = frozenset(
    {"$schema", "profile", "profiles", "type", "name", "path", "url", "data", "scheme", "format", "mediatype",
     "encoding", "compression", "compressionPath", "innerpath", "extrapaths", "dialect", "control", "layout",
     "detector", "checklist", "pipeline", "query", "basepath", "hashing", "hash", "bytes", "rows", "fields", "stats",
     "schema", "missingValues", "specstore"}
)  # fmt: skip

_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
# Python also parses shorter forms, which the standard does not allow.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?")


def _check_email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise ValueError("must be a valid email address")
    return value


def _check_time(value: str) -> str:
    try:
        datetime.fromisoformat(value)
        is_valid = _TIME.fullmatch(value) is not None
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("must be a valid time such as 2026-11-26T12:00:00Z")
    return value


class License(OpenModel):
    name: str = ""
    path: str = ""
    title: str = ""

    @model_validator(mode="after")
    def _check_license(self) -> Self:
        if not (self.name or self.path):
            raise property_error(message="must have a name or a path")
        return self


class Party(OpenModel):
    """A source or a contributor."""

    title: str = ""
    path: str = ""
    email: Annotated[str, AfterValidator(_check_email)] = ""


class Contributor(Party):
    role: str = ""
    organisation: str = ""


class Metadata(OpenModel):
    """Metadata of a package or a resource, as both versions of Data Package define them."""

    title: str = ""
    description: str = ""
    homepage: str = ""
    licenses: list[License] = Field(default_factory=list)
    sources: list[Party] = Field(default_factory=list)
    contributors: list[Contributor] = Field(default_factory=list)


class PackageMetadata(Metadata):
    version: str = ""
    keywords: list[str] = Field(default_factory=list)
    image: str = ""
    created: Annotated[str, AfterValidator(_check_time)] = ""


def package_properties(descriptor: PackageMetadata) -> dict[str, Any]:
    return _kept(descriptor, _REPLACED_IN_PACKAGE)


def resource_properties(resource: Metadata) -> dict[str, Any]:
    return _kept(resource, _REPLACED_IN_RESOURCE)


def _kept(model: OpenModel, replaced: frozenset[str]) -> dict[str, Any]:
    excluded = {"data", "dialect", "path", "resources", "table"}
    properties = model.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=excluded)
    # Unknown properties with these names were excluded, too.
    properties |= {name: value for name, value in (model.model_extra or {}).items() if name in excluded}
    return {name: value for name, value in properties.items() if name not in replaced}
