"""The sources of a spec: where the data of each resource comes from, and how it is read."""

import posixpath
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin

from chassis.errors import Invalid
from specstore_service.domain.names import is_url
from specstore_service.domain.specs import Input, Resource, Spec, TableSchema, Tabulator

TABULAR_FORMATS = frozenset({"csv", "tsv", "xlsx"})


@dataclass(frozen=True)
class Source:
    """A resource of the plan and the location of its data.

    Exactly one of `url`, `file` (a path among the owner's uploaded files) and `rows` is set.
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
            sources[index] = replace(source, is_tabular=source.schema is not None)
            sources.append(replace(source, name=step.output, path=None, tabulator=step.tabulator, is_tabular=True))
    duplicates = [name for name, count in Counter(source.name for source in sources).items() if count > 1]
    if duplicates:
        raise Invalid.field(
            "inputs.0.parameters.descriptor.resources", f"must not give two resources the name {duplicates[0]}"
        )
    return sources


def _source(package: Input, resource: Resource) -> Source:
    mapping = package.parameters.mapping
    location = mapping.get(resource.name) or mapping.get(resource.path or "") or resource.path
    format_ = (resource.format or posixpath.splitext(resource.path or location or "")[1].removeprefix(".")).lower()
    schema = _schema(resource.table) if resource.table else None
    rows = None if location else resource.data
    url = file = None
    if location and is_url(location):
        url = location
    elif location and is_url(package.url):
        url = urljoin(package.url, location)
    elif location:
        file = posixpath.join(posixpath.dirname(package.url), location)
    is_tabular = schema is not None or rows is not None or format_ in TABULAR_FORMATS
    return Source(resource.name, resource.path, url, file, rows, format_, schema, Tabulator(), is_tabular)


def _schema(table: TableSchema) -> dict[str, Any]:
    """Return the schema unchanged, except that a field without a type accepts any value."""
    schema = table.model_dump(mode="json", exclude_unset=True)
    return {**schema, "fields": [{"type": "any", **field} for field in schema["fields"]]}
