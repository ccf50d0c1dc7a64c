"""Files that combine or copy others: the zip, the descriptor of the data package, the copy of a source."""

import hashlib
import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

from chassis import strictjson
from specstore_service.domain import files
from specstore_service.domain.files import PackageFile
from specstore_service.domain.plans import CSV, JSON
from specstore_service.domain.sources import Source
from specstore_service.operations.pipeline_context import HashingWriter, OutputFile, PipelineContext
from specstore_service.operations.source_cache import source_files
from specstore_service.store.jobs import Result

# A constant date makes the zip depend on its contents only.
_CONSTANT_DATE = (1980, 1, 1, 0, 0, 0)
_CHUNK_BYTES = 1024 * 1024
_HASH_ALGORITHMS = ("md5", "sha1", "sha256", "sha512")


def create_copy(context: PipelineContext) -> OutputFile:
    """Copy the source unchanged, its parts one after the other."""
    source = context.task.source
    with context.writer() as writer:
        if source.rows is not None:
            writer.write(strictjson.dumps(source.rows).encode())
        else:
            with source_files(context, source) as paths:
                for path in paths:
                    with path.open("rb") as file:
                        shutil.copyfileobj(file, writer, _CHUNK_BYTES)
    return writer.output(log=[f"{source.name}: {warning}" for warning in _mismatches(source, writer)])


def _mismatches(source: Source, writer: HashingWriter) -> list[str]:
    """Return how the source differs from the size and the hash that its resource states."""
    if source.rows is not None:
        return []
    mismatches = []
    if isinstance(source.stated_bytes, int) and source.stated_bytes != writer.size:
        mismatches.append(f"the file has {writer.size} bytes; the resource states {source.stated_bytes}")
    if isinstance(source.stated_hash, str):
        algorithm, _, digest = source.stated_hash.rpartition(":")
        algorithm = algorithm or "md5"
        if algorithm not in _HASH_ALGORITHMS:
            mismatches.append(f"the hash was not compared: its algorithm must be {', '.join(_HASH_ALGORITHMS)}")
        elif digest.lower() != _digest(writer.path, algorithm):
            mismatches.append(f"the file does not have the {algorithm} hash that the resource states")
    return mismatches


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def create_zip(context: PipelineContext) -> OutputFile:
    """Create a zip of the csv and json files and a descriptor: a self-contained data package."""
    results = [
        result for result in context.task.results if context.task.kinds_and_targets[result.position][0] in (CSV, JSON)
    ]
    descriptor = _descriptor(context, results)
    with (
        context.writer() as writer,
        io.BufferedWriter(writer, _CHUNK_BYTES) as buffer,
        zipfile.ZipFile(buffer, "w") as archive,
    ):
        for result in results:
            with (
                context.objects.local_path(result.object) as path,
                path.open("rb") as file,
                archive.open(_member(result), "w") as member,
            ):
                shutil.copyfileobj(file, member, _CHUNK_BYTES)
        archive.writestr(zipfile.ZipInfo(files.DESCRIPTOR, _CONSTANT_DATE), strictjson.dumps(descriptor))
    return writer.output()


def _member(result: Result) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(result.path, _CONSTANT_DATE)
    info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, result.bytes
    return info


def create_package(context: PipelineContext) -> OutputFile:
    """Create the descriptor of the package. This is the last pipeline, so all files that it lists exist."""
    descriptor = _descriptor(context, context.task.results)
    with context.writer() as writer:
        writer.write(strictjson.dumps(descriptor).encode())
    totals = {name: descriptor[name] for name in ("bytes", "count_of_rows")}
    return writer.output(stats={**totals, "dataset_name": context.task.dataset})


def _descriptor(context: PipelineContext, results: list[Result]) -> dict[str, Any]:
    task = context.task
    package_files = [
        PackageFile(*task.kinds_and_targets[result.position], result.path, result.bytes, result.hash, result.rows)
        for result in results
    ]
    return files.package_descriptor(task.dataset, task.sources, package_files, task.package)
