"""The sources of a spec: where the data of each resource comes from, and how it is read."""

import posixpath
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

from chassis.errors import Invalid
from specstore_service.domain.dialects import Dialect
from specstore_service.domain.metadata import resource_properties
from specstore_service.domain.names import is_url
from specstore_service.domain.resources import DELIMITED, Resource
from specstore_service.domain.schemas import TableSchema
from specstore_service.domain.specs import Input, Spec, Tabulator

TABULAR_FORMATS = frozenset({"csv", "tsv", "xlsx"})
_COMPRESSIONS = ("gz", "zip")
_MEDIA_TYPES = {
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_RESOURCES = "inputs.0.parameters.descriptor.resources"


@dataclass(frozen=True)
class FileLocation:
    """A URL, or a path among the owner's uploaded files: exactly one of the two is set."""

    url: str | None
    file: str | None

    def __str__(self) -> str:
        return self.url or self.file or ""


@dataclass(frozen=True)
class Source:
    """A resource of the plan and the location of its data.

    Exactly one of `url`, `file` (a path among the owner's uploaded files) and `rows` is set. `more_parts` are the
    following parts of a file. `schema_location` and `dialect_location` refer to files that contain them.
    """

    name: str
    path: str | None
    url: str | None
    file: str | None
    rows: list[Any] | None
    format: str
    schema: dict[str, Any] | None
    tabulator: Tabulator
    is_tabular: bool
    dialect: Dialect = field(default_factory=Dialect)
    encoding: str | None = None
    compression: str | None = None
    innerpath: str | None = None
    more_parts: tuple[FileLocation, ...] = ()
    schema_location: FileLocation | None = None
    dialect_location: FileLocation | None = None
    # Properties with which the file is compared, as stated: their types were not checked.
    stated_bytes: Any = None
    stated_hash: Any = None
    # Properties that are published unchanged, and those that describe the unchanged copy.
    properties: dict[str, Any] = field(default_factory=dict)
    file_properties: dict[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[FileLocation, ...]:
        return (FileLocation(self.url, self.file), *self.more_parts)

    @property
    def has_schema(self) -> bool:
        return self.schema is not None or self.schema_location is not None

    @property
    def copy_format(self) -> str:
        """The file name extension of an unchanged copy."""
        if self.rows is not None:
            return "json"
        format_ = self.format or ("csv" if self.is_tabular else "")
        return ".".join(part for part in (format_, self.compression) if part)

    @property
    def header_rows(self) -> list[int]:
        """The numbers of the rows that contain the headers: none if the file has no headers."""
        if "headers" in self.tabulator.model_fields_set:
            return [self.tabulator.headers]
        return (self.dialect.header_rows or [1]) if self.dialect.has_header else []

    @property
    def sheet(self) -> int | str:
        return self.tabulator.sheet if "sheet" in self.tabulator.model_fields_set else self.dialect.sheet


def sources_of(spec: Spec) -> list[Source]:
    """Return the described resources, then those that processing steps create. Raise Invalid for an unknown input."""
    package = spec.inputs[0]
    sources = [_source(package, resource) for resource in package.parameters.descriptor.resources]
    for number, step in enumerate(spec.processing):
        index = next((i for i, source in enumerate(sources) if step.input in (source.name, source.path)), None)
        if index is None:
            raise Invalid.field(f"processing.{number}.input", "must be the name or path of a resource")
        source = sources[index]
        if step.output == source.name:
            sources[index] = replace(source, tabulator=step.tabulator, is_tabular=True)
        else:
            # A resource without a schema that is only the input of a step is copied unchanged.
            sources[index] = replace(source, is_tabular=source.has_schema)
            sources.append(replace(source, name=step.output, path=None, tabulator=step.tabulator, is_tabular=True))
    duplicates = [name for name, count in Counter(source.name for source in sources).items() if count > 1]
    if duplicates:
        raise Invalid.field(_RESOURCES, f"must not give two resources the name {duplicates[0]}")
    for source in sources:
        _check_table(source)
    return sources


def _check_table(source: Source) -> None:
    """Raise Invalid if the parts of a table cannot be joined: only those of delimited text can."""
    if source.is_tabular and source.more_parts and source.format not in DELIMITED:
        raise Invalid.field(_RESOURCES, f"must have one path, not several, in {source.name}: its format is not csv")


def _source(package: Input, resource: Resource) -> Source:
    mapping = package.parameters.mapping
    mapped = mapping.get(resource.name)
    paths = [mapped] if mapped else [mapping.get(part) or part for part in resource.parts]
    original_path = next(iter(resource.parts), None)
    format_, compression = _format(resource, original_path or mapped or "")
    locations = [_locate(package, path) for path in paths] or [FileLocation(None, None)]
    schema, dialect = resource.table, resource.dialect
    is_table = resource.is_table
    return Source(
        name=resource.name,
        path=original_path,
        url=locations[0].url,
        file=locations[0].file,
        rows=None if paths else resource.data,
        format=format_,
        schema=schema.descriptor() if isinstance(schema, TableSchema) else None,
        tabulator=Tabulator(),
        is_tabular=format_ in TABULAR_FORMATS if is_table is None else is_table,
        dialect=dialect if isinstance(dialect, Dialect) else Dialect(),
        encoding=resource.encoding,
        compression=compression,
        innerpath=resource.innerpath,
        more_parts=tuple(locations[1:]),
        schema_location=_locate(package, schema) if isinstance(schema, str) else None,
        dialect_location=_locate(package, dialect) if isinstance(dialect, str) else None,
        stated_bytes=(resource.model_extra or {}).get("bytes"),
        stated_hash=(resource.model_extra or {}).get("hash"),
        properties=resource_properties(resource),
        file_properties=resource.file_properties,
    )


def _format(resource: Resource, path: str) -> tuple[str, str | None]:
    """Return format and compression, which follow from the extension of the path unless they are stated."""
    stem, extension = posixpath.splitext(urlsplit(path).path if is_url(path) else path)
    format_, extension = (resource.format or "").lower(), extension.removeprefix(".").lower()
    compression: str | None = resource.compression
    is_compressed_table = format_ not in _COMPRESSIONS and (format_ in TABULAR_FORMATS or resource.is_table)
    if compression is None and extension in _COMPRESSIONS and is_compressed_table:
        compression = extension
    if compression and extension in _COMPRESSIONS:
        extension = posixpath.splitext(stem)[1].removeprefix(".").lower()
    if compression and format_ in _COMPRESSIONS:
        format_ = ""
    return format_ or extension or _MEDIA_TYPES.get(resource.mediatype or "", ""), compression


def _locate(package: Input, location: str) -> FileLocation:
    if is_url(location):
        return FileLocation(location, None)
    if is_url(package.url):
        return FileLocation(urljoin(package.url, location), None)
    return FileLocation(None, posixpath.join(posixpath.dirname(package.url), location))
