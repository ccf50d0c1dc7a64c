"""Schemas and dialects in files of their own, to which a resource refers by a URL or a path."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from chassis import strictjson
from chassis.errors import Invalid
from chassis.web.input_errors import checked
from specstore_service.domain.dialects import Dialect
from specstore_service.domain.plans import ORIGINAL, PACKAGE, PREVIEW, REPORT, TABULAR, ZIP
from specstore_service.domain.schemas import TableSchema
from specstore_service.domain.sources import FileLocation, Source
from specstore_service.operations.pipeline_context import PipelineContext, PipelineFailed
from specstore_service.operations.source_cache import cached_file

_MAX_BYTES = 1024 * 1024

Parsed = TypeVar("Parsed")


def resolve_references(context: PipelineContext) -> PipelineContext:
    """Return the context with the contents of all files to which the resources of its pipeline refer.

    Raise PipelineFailed.
    """
    task = context.task
    if task.kind in (TABULAR, ORIGINAL, PREVIEW):
        return context
    is_of_all_resources = task.kind in (REPORT, ZIP, PACKAGE)
    sources = [
        _resolve(context, source) if is_of_all_resources or source.name == task.target else source
        for source in task.sources
    ]
    return replace(context, task=replace(task, sources=sources))


def _resolve(context: PipelineContext, source: Source) -> Source:
    schema, dialect = source.schema, source.dialect
    if source.schema_location:
        schema = _read(context, source, source.schema_location, TableSchema.model_validate).descriptor()
    if source.dialect_location:
        dialect = _read(context, source, source.dialect_location, Dialect.model_validate)
    return replace(source, schema=schema, dialect=dialect)


def _read(context: PipelineContext, source: Source, location: FileLocation, parse: Callable[..., Parsed]) -> Parsed:
    with cached_file(context, source.name, location, _MAX_BYTES) as path:
        if path.stat().st_size > _MAX_BYTES:
            raise PipelineFailed(f"{source.name}: {location} must have at most {_MAX_BYTES} bytes")
        content = path.read_bytes()
    try:
        return checked(lambda: parse(strictjson.loads(content.removeprefix(b"\xef\xbb\xbf")), strict=True))
    except Invalid as problem:
        raise PipelineFailed(f"{source.name}: {location}: {problem.detail}") from None
