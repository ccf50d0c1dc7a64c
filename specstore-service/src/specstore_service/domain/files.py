"""The names of a flow's files, and the data package that lists them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from specstore_service.domain.plans import CSV, JSON, ORIGINAL, PACKAGE, PARQUET, PREVIEW, REPORT, TABULAR, ZIP
from specstore_service.domain.resources import ORIGIN
from specstore_service.domain.schemas import retarget_foreign_keys
from specstore_service.domain.sources import Source

DESCRIPTOR = "datapackage.json"
CSV_TYPE, JSON_TYPE, ZIP_TYPE = "text/csv; charset=utf-8", "application/json", "application/zip"
PARQUET_TYPE = "application/vnd.apache.parquet"
# Other types might be harmful in a browser, so they are sent as bytes.
_CONTENT_TYPES = {
    "csv": CSV_TYPE,
    "json": JSON_TYPE,
    "parquet": PARQUET_TYPE,
    "zip": ZIP_TYPE,
    "tsv": "text/tab-separated-values; charset=utf-8",
}
BYTES_TYPE = "application/octet-stream"

_FILE_NAMES: dict[str, Callable[[str, str], str]] = {
    REPORT: lambda _target, _format: "validation_report.json",
    CSV: lambda target, _format: f"{target}.csv",
    JSON: lambda target, _format: f"{target}.json",
    PARQUET: lambda target, _format: f"{target}.parquet",
    ZIP: lambda target, _format: target,
    PREVIEW: lambda target, _format: f"{target}_preview.csv",
    TABULAR: lambda target, format_: f"{target}_source.{format_}",
    ORIGINAL: lambda target, format_: f"{target}.{format_}" if format_ else target,
    PACKAGE: lambda _target, _format: DESCRIPTOR,
}
# frictionless opens archives, and cannot determine the size of one that it reads from a URL.
_ARCHIVE_FORMATS = ("zip", "gz", "bz2", "xz")
_NAME_SUFFIXES = {
    CSV: "_csv",
    JSON: "_json",
    PARQUET: "_parquet",
    ZIP: "_zip",
    PREVIEW: "_csv_preview",
    TABULAR: "",
    ORIGINAL: "",
}
_PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
_NO_PROPERTIES: Mapping[str, Any] = MappingProxyType({})
_CSV_PROPERTIES = {
    "type": "table",
    "format": "csv",
    "mediatype": "text/csv",
    "encoding": "utf-8",
    "dialect": {"delimiter": ",", "lineTerminator": "\n", "quoteChar": '"', "doubleQuote": True},
}
_MEDIA_TYPES = {
    JSON: {"type": "json", "format": "json", "mediatype": JSON_TYPE, "encoding": "utf-8"},
    # frictionless cannot read Parquet without further libraries.
    PARQUET: {"type": "file", "format": "parquet", "mediatype": PARQUET_TYPE},
}


@dataclass(frozen=True)
class PackageFile:
    """A file of a data package."""

    kind: str
    target: str
    path: str
    bytes: int
    hash: str
    rows: int | None


def file_paths(planned: Sequence[tuple[str, str]], formats: dict[str, str]) -> list[str]:
    """Return a unique file name for each (kind, target); duplicates are prefixed with their position in the plan."""
    used, paths = {DESCRIPTOR}, []
    for position, (kind, target) in enumerate(planned):
        path = _FILE_NAMES[kind](target, formats.get(target) or "")
        while path.casefold() in used and kind != PACKAGE:
            path = f"{position}-{path}"
        used.add(path.casefold())
        paths.append(path)
    return paths


def content_type(path: str) -> str:
    return _CONTENT_TYPES.get(path.rpartition(".")[2].lower(), BYTES_TYPE)


def package_descriptor(
    dataset: str,
    sources: Iterable[Source],
    files: Sequence[PackageFile],
    properties: Mapping[str, Any] = _NO_PROPERTIES,
) -> dict[str, Any]:
    """Return the descriptor of a data package that consists of these files, in the folder of the descriptor.

    `properties` are those of the package in the spec that do not describe files.
    """
    names = unique_slugs(
        f"{file.target.removesuffix('.zip')}{_NAME_SUFFIXES[file.kind]}" if file.target else "" for file in files
    )
    tables = {file.target: name for name, file in zip(names, files, strict=True) if file.kind == CSV}
    sources_by_name = {source.name: source for source in sources}
    return {
        "$schema": _PROFILE,
        "name": _slug(dataset),
        **properties,
        "resources": [
            # From this, an upload of the published package restores the sources (resources.py).
            {
                **_resource(name, file, sources_by_name.get(file.target), tables),
                ORIGIN: {"kind": file.kind, "resource": file.target},
            }
            for name, file in zip(names, files, strict=True)
        ],
        "bytes": sum(file.bytes for file in files),
        "count_of_rows": sum(file.rows or 0 for file in files if file.kind == CSV),
    }


def _resource(name: str, file: PackageFile, source: Source | None, tables: dict[str, str]) -> dict[str, Any]:
    properties = source.properties if source else {}
    common: dict[str, Any] = {"name": name, **properties, "path": file.path, "bytes": file.bytes, "hash": file.hash}
    format_ = file.path.rpartition(".")[2].lower() if "." in file.path else ""
    if file.kind in (CSV, PREVIEW):
        return {**common, **_CSV_PROPERTIES, "rows": file.rows, **_published_schema(file, source, tables)}
    if file.kind in _MEDIA_TYPES:
        return {**common, **_MEDIA_TYPES[file.kind]}
    if format_ in _ARCHIVE_FORMATS:
        del common["bytes"]
    copied = source.file_properties if source and file.kind in (TABULAR, ORIGINAL) and source.rows is None else {}
    return {**common, "type": "file", **({"format": format_} if format_ else {}), **copied}


def _published_schema(file: PackageFile, source: Source | None, tables: dict[str, str]) -> dict[str, Any]:
    if source is None or source.schema is None:
        return {}
    schema = retarget_foreign_keys(source.schema, tables)
    # A preview may lack the rows that foreign keys refer to.
    omitted = {"foreignKeys"} if file.kind == PREVIEW else set()
    return {"schema": {name: value for name, value in schema.items() if name not in omitted}}


def _slug(name: str) -> str:
    """Return the name as Data Package requires it: lower-case letters, digits, `-._`."""
    return re.sub(r"[^a-z0-9._-]", "-", name.lower())


def unique_slugs(names: Iterable[str]) -> list[str]:
    """Return a valid resource name for each name; duplicates are prefixed with their position."""
    slugs: list[str] = []
    for position, name in enumerate(names):
        slug = _slug(name) or "validation_report"
        slugs.append(slug if slug not in slugs else f"{position}-{slug}")
    return slugs
