"""Where the data of each resource comes from, and how it is read."""

import posixpath
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin

from chassis.errors import Invalid
from specstore_service.domain.names import is_url
from specstore_service.domain.specs import Input, Resource, Spec, Tabulator

TABULAR_FORMATS = frozenset({"csv", "tsv", "xlsx"})


@dataclass(frozen=True)
class Source:
    """A resource of the plan: what it is called, and how its data is come by.

    Exactly one of `url`, `file` (of those that its owner has uploaded) and `rows` is set.
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
    """Resources as described, then what processing makes of them. Raises Invalid where a step names none."""
    given = spec.inputs[0]
    found = [_source(given, resource) for resource in given.parameters.descriptor.resources]
    for number, step in enumerate(spec.processing):
        place = next((i for i, source in enumerate(found) if step.input in (source.name, source.path)), None)
        if place is None:
            raise Invalid.field(f"processing.{number}.input", "names no resource")
        taken = found[place]
        if step.output == taken.name:
            found[place] = replace(taken, tabulator=step.tabulator, is_tabular=True)
        else:
            # What only feeds a step is kept as it came.
            found[place] = replace(taken, is_tabular=taken.schema is not None)
            found.append(replace(taken, name=step.output, path=None, tabulator=step.tabulator, is_tabular=True))
    twins = [name for name, count in Counter(source.name for source in found).items() if count > 1]
    if twins:
        raise Invalid.field("inputs.0.parameters.descriptor.resources", f"two resources would be called {twins[0]}")
    return found


def _source(given: Input, resource: Resource) -> Source:
    mapping = given.parameters.mapping
    location = mapping.get(resource.name) or mapping.get(resource.path or "") or resource.path
    format_ = (resource.format or posixpath.splitext(resource.path or location or "")[1].removeprefix(".")).lower()
    schema = resource.table.model_dump(mode="json", exclude_unset=True) if resource.table else None
    rows = None if location else resource.data
    url = file = None
    if location and is_url(location):
        url = location
    elif location and is_url(given.url):
        url = urljoin(given.url, location)
    elif location:
        file = posixpath.join(posixpath.dirname(given.url), location)
    is_tabular = schema is not None or rows is not None or format_ in TABULAR_FORMATS
    return Source(resource.name, resource.path, url, file, rows, format_, schema, Tabulator(), is_tabular)
