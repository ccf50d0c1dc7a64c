"""The resources of a data package, as version 1 or 2 of the standard describes them."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from specstore_service.domain.descriptors import OrLocation, property_error
from specstore_service.domain.dialects import Dialect
from specstore_service.domain.encodings import check_encoding
from specstore_service.domain.metadata import Metadata, PackageMetadata
from specstore_service.domain.names import NAME_PATTERN, Location, Name, is_url
from specstore_service.domain.schemas import TableSchema, retarget_foreign_keys

MAX_RESOURCES = 500
MAX_PARTS = 1000
SPREADSHEETS, DOCUMENTS, DELIMITED = ("xlsx", "xlsm"), ("json",), ("csv", "tsv", "tab", "txt", "dat", "")
# A property of each published resource: {kind of the pipeline, resource of the spec}.
ORIGIN = "specstore"
_NAME = re.compile(NAME_PATTERN)
# Kinds of pipelines (plans.py).
TABLE_KIND, FILE_KIND = "derived/csv", "source/original"
_PACKAGE_KINDS = ("derived/report", "derived/zip", "final")

# Properties of earlier versions of frictionless, and of its extensions, that determine how data is read.
_UNSUPPORTED = (
    "basepath", "checklist", "compressionPath", "control", "detector", "extrapaths", "layout", "pipeline", "query",
)  # fmt: skip
# Types of frictionless for files that are not tables.
_FILE_TYPES = ("document", "file", "image", "json", "text")
_TABULAR_PROFILES = (
    "tabular-data-resource",
    "https://specs.frictionlessdata.io/schemas/tabular-data-resource.json",
)


class Resource(Metadata):
    name: Name
    path: Annotated[
        str | list[str] | None, OrLocation(Annotated[list[Location], Field(min_length=1, max_length=MAX_PARTS)] | None)
    ] = Field(None, description="A URL or a path, or a list of those of the parts of one file")
    data: list[Any] | None = Field(None, description="Inline rows, each an object or an array")
    format: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9]{1,20}$")] | None = None
    mediatype: str | None = None
    encoding: Annotated[str, AfterValidator(check_encoding)] | None = None
    compression: Literal["gz", "zip"] | None = None
    innerpath: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        None, description="Path of the file in a zip archive that contains several"
    )
    type: str | None = None
    profile: str | None = None
    dialect: Annotated[Dialect | str | None, OrLocation(Dialect | None)] = None
    table: Annotated[TableSchema | str | None, OrLocation(TableSchema | None)] = Field(None, alias="schema")

    @model_validator(mode="before")
    @classmethod
    def _accept_url(cls, value: Any) -> Any:
        """Accept `url` instead of `path`, as version 0 of the standard spelled it."""
        if isinstance(value, dict) and "url" in value and value.get("path") is None and value.get("data") is None:
            return {**{name: item for name, item in value.items() if name != "url"}, "path": value["url"]}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.path is None) == (self.data is None):
            raise ValueError("must have either path or data")
        if len({is_url(part) for part in self.parts}) > 1:
            raise property_error("path", message="must contain only URLs, or only relative paths")
        if self.innerpath and self.compression != "zip":
            raise property_error("innerpath", message="must only be set with the compression zip")
        if self.compression == "zip" and len(self.parts) > 1:
            raise property_error("compression", message="must be gz if there are several parts")
        if self.is_table and self.format and self.format.lower() not in SPREADSHEETS + DOCUMENTS + DELIMITED:
            raise property_error("format", message="must be csv, tsv, xlsx or json for a table")
        for name in _UNSUPPORTED:
            if (self.model_extra or {}).get(name):
                raise property_error(name)
        return self

    @property
    def parts(self) -> list[str]:
        return [self.path] if isinstance(self.path, str) else self.path or []

    @property
    def is_table(self) -> bool | None:
        """Whether the resource states that it is a table, or that it is not; None if it states neither."""
        if self.table is not None or self.data is not None or self.type == "table":
            return True
        if self.profile in _TABULAR_PROFILES:
            return True
        return False if self.type in _FILE_TYPES else None

    @property
    def file_properties(self) -> dict[str, Any]:
        """The properties that state how an unchanged copy of the file is read."""
        properties = self.model_dump(include={"encoding", "mediatype"}, exclude_none=True)
        if isinstance(self.dialect, Dialect):
            # A dialect in a file is not published.
            properties["dialect"] = self.dialect.descriptor()
        return properties

    @property
    def origin(self) -> tuple[str, str] | None:
        """The kind of the pipeline that published the resource, and the name of the resource in its spec."""
        origin = (self.model_extra or {}).get(ORIGIN)
        if not isinstance(origin, dict) or not isinstance(origin.get("kind"), str):
            return None
        name = origin.get("resource")
        return origin["kind"], name if isinstance(name, str) and _NAME.fullmatch(name) else self.name


class Descriptor(PackageMetadata):
    name: Name | None = None
    resources: Annotated[list[Resource], Field(min_length=1, max_length=MAX_RESOURCES)]

    @model_validator(mode="after")
    def _restore_sources(self) -> Self:
        resources = _sources_of_published(self.resources)
        return self if resources is None else self.model_copy(update={"resources": resources})


def _sources_of_published(resources: list[Resource]) -> list[Resource] | None:
    """Return the sources of a published package, or None if no resource of it was published.

    A published table becomes the source that it was created from. Files that are created from it again are omitted.
    """
    origins = [(resource, origin) for resource in resources if (origin := resource.origin)]
    tables = {name for _, (kind, name) in origins if kind == TABLE_KIND}
    if not origins:
        return None
    kept = [
        resource
        for resource in resources
        if not (origin := resource.origin)
        or origin[0] in (TABLE_KIND, FILE_KIND)
        or not (origin[1] in tables or origin[0] in _PACKAGE_KINDS)
    ]
    names = {resource.name: origin[1] for resource, origin in origins if origin[0] in (TABLE_KIND, FILE_KIND)}
    return [_renamed(resource, names) for resource in kept] or None


def _renamed(resource: Resource, names: dict[str, str]) -> Resource:
    changes: dict[str, Any] = {"name": names.get(resource.name, resource.name)}
    if isinstance(resource.table, TableSchema) and resource.table.foreign_keys:
        keys = retarget_foreign_keys({"foreignKeys": resource.table.foreign_keys}, names)["foreignKeys"]
        changes["table"] = resource.table.model_copy(update={"foreign_keys": keys})
    return resource.model_copy(update=changes)
