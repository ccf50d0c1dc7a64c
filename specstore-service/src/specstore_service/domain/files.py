"""What the files of a flow are called, and the data package that lists them."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from specstore_service.domain.plans import CSV, JSON, ORIGINAL, PACKAGE, PREVIEW, REPORT, TABULAR, ZIP
from specstore_service.domain.sources import Source

DESCRIPTOR = "datapackage.json"
CSV_TYPE, JSON_TYPE, ZIP_TYPE = "text/csv; charset=utf-8", "application/json", "application/zip"
# What is not known to be harmless in a browser comes as bytes.
_TYPES = {"csv": CSV_TYPE, "json": JSON_TYPE, "zip": ZIP_TYPE, "tsv": "text/tab-separated-values; charset=utf-8"}
BYTES_TYPE = "application/octet-stream"

_NAMES: dict[str, Callable[[str, str], str]] = {
    REPORT: lambda _target, _format: "validation_report.json",
    CSV: lambda target, _format: f"{target}.csv",
    JSON: lambda target, _format: f"{target}.json",
    ZIP: lambda target, _format: target,
    PREVIEW: lambda target, _format: f"{target}_preview.csv",
    TABULAR: lambda target, format_: f"{target}_source.{format_}",
    ORIGINAL: lambda target, format_: f"{target}.{format_}" if format_ else target,
    PACKAGE: lambda _target, _format: DESCRIPTOR,
}
# frictionless looks into these, and cannot tell the size of one that it has from a URL.
_ARCHIVES = ("zip", "gz", "bz2", "xz")
_ENDINGS = {CSV: "_csv", JSON: "_json", ZIP: "_zip", PREVIEW: "_csv_preview", TABULAR: "", ORIGINAL: ""}


@dataclass(frozen=True)
class PackageFile:
    """A file of a package."""

    kind: str
    target: str
    path: str
    bytes: int
    hash: str
    rows: int | None


def file_paths(planned: Sequence[tuple[str, str]], formats: dict[str, str]) -> list[str]:
    """A name for the file of each (kind, target); two that would have one get their place in the plan before it."""
    taken, paths = {DESCRIPTOR}, []
    for place, (kind, target) in enumerate(planned):
        path = _NAMES[kind](target, formats.get(target) or "")
        while path.casefold() in taken and kind != PACKAGE:
            path = f"{place}-{path}"
        taken.add(path.casefold())
        paths.append(path)
    return paths


def content_type(path: str) -> str:
    return _TYPES.get(path.rpartition(".")[2].lower(), BYTES_TYPE)


def package_descriptor(dataset: str, sources: Iterable[Source], files: Sequence[PackageFile]) -> dict[str, Any]:
    """The descriptor of a data package of these files, which lie beside it."""
    names = unique_slugs(f"{it.target.removesuffix('.zip')}{_ENDINGS[it.kind]}" if it.target else "" for it in files)
    tables = {it.target: name for name, it in zip(names, files, strict=True) if it.kind == CSV}
    schemas = {source.name: retarget_foreign_keys(source.schema, tables) for source in sources if source.schema}
    return {
        "name": _slug(dataset),
        "resources": [_resource(name, it, schemas.get(it.target)) for name, it in zip(names, files, strict=True)],
        "bytes": sum(it.bytes for it in files),
        "count_of_rows": sum(it.rows or 0 for it in files if it.kind == CSV),
    }


def _resource(name: str, file: PackageFile, schema: dict[str, Any] | None) -> dict[str, Any]:
    common: dict[str, Any] = {"name": name, "path": file.path, "bytes": file.bytes, "hash": file.hash}
    format_ = file.path.rpartition(".")[2].lower() if "." in file.path else ""
    if file.kind in (CSV, PREVIEW):
        dialect = {"csv": {"delimiter": ",", "lineTerminator": "\n", "quoteChar": '"', "doubleQuote": True}}
        kind = {"type": "table", "format": "csv", "mediatype": "text/csv", "encoding": "utf-8", "dialect": dialect}
        if schema and file.kind == PREVIEW:
            # The rows that others refer to need not be among the first.
            schema = {key: value for key, value in schema.items() if key != "foreignKeys"}
        return {**common, **kind, "rows": file.rows, **({"schema": schema} if schema else {})}
    if file.kind == JSON:
        return {**common, "type": "json", "format": "json", "mediatype": JSON_TYPE, "encoding": "utf-8"}
    if format_ in _ARCHIVES:
        del common["bytes"]
    return {**common, "type": "file", **({"format": format_} if format_ else {})}


def retarget_foreign_keys(schema: dict[str, Any], tables: dict[str, str]) -> dict[str, Any]:
    """With its foreign keys leading to tables of these names."""
    keys = schema.get("foreignKeys")
    if not isinstance(keys, list):
        return schema
    return {**schema, "foreignKeys": [_leading(key, tables) for key in keys]}


def _leading(key: Any, tables: dict[str, str]) -> Any:
    reference = key.get("reference") if isinstance(key, dict) else None
    if not isinstance(reference, dict) or reference.get("resource") not in tables:
        return key
    return {**key, "reference": {**reference, "resource": tables[reference["resource"]]}}


def _slug(name: str) -> str:
    """As a data package wants names: small letters, digits, `-._`."""
    return re.sub(r"[^a-z0-9._-]", "-", name.lower())


def unique_slugs(names: Iterable[str]) -> list[str]:
    taken: list[str] = []
    for place, name in enumerate(names):
        slug = _slug(name) or "validation_report"
        taken.append(slug if slug not in taken else f"{place}-{slug}")
    return taken
