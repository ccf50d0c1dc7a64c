"""The plan of a flow: its pipelines and their dependencies. The same spec always produces the same plan."""

from collections import Counter
from dataclasses import dataclass

from chassis.errors import Invalid
from specstore_service.domain.sources import Source, sources_of
from specstore_service.domain.specs import Spec

REPORT, CSV, JSON, ZIP = "derived/report", "derived/csv", "derived/json", "derived/zip"
PREVIEW, TABULAR, ORIGINAL, PACKAGE = "derived/preview", "source/tabular", "source/original", "final"
PARQUET = "derived/parquet"


@dataclass(frozen=True)
class PlanEntry:
    """A planned pipeline.

    `needs` are the positions of its dependencies in the plan, all of them earlier ones. `target` is the name of a
    resource or, for a zip, of its file.
    """

    id: str
    title: str
    kind: str
    needs: tuple[int, ...] = ()
    target: str = ""


def plan(spec: Spec, flow_id: str) -> list[PlanEntry]:
    """Return the pipelines in an order in which they can run. Raise Invalid if two of them would have the same ID."""
    sources = sources_of(spec)
    tables = [source.name for source in sources if source.is_tabular]
    report = [PlanEntry(f"{flow_id}/validation_report", "Validating package contents", REPORT)]
    csvs = [PlanEntry(f"{flow_id}/{table}_csv", "Creating CSV", CSV, target=table) for table in tables]
    jsons = [PlanEntry(f"{flow_id}/{table}_json", "Creating JSON", JSON, target=table) for table in tables]
    zip_needs = tuple(range(len(report) + len(csvs) + len(jsons)))
    zips = [
        PlanEntry(f"{flow_id}/{file.removesuffix('.zip')}_zip", "Creating ZIP", ZIP, zip_needs, file)
        for file in zip_files(spec)
    ]
    previews = [
        PlanEntry(f"{flow_id}/{table}_csv_preview", "Generating views", PREVIEW, (csv_position,), table)
        for csv_position, table in enumerate(tables, len(report))
    ]
    parquets = _parquets(flow_id, tables) if any(output.kind == "parquet" for output in spec.outputs) else []
    copies = [_copy(flow_id, source) for source in sources]
    dependencies = [*report, *csvs, *jsons, *zips, *previews, *parquets, *copies]
    package = PlanEntry(flow_id, "Creating Package", PACKAGE, tuple(range(len(dependencies))))
    entries = [*dependencies, package]
    _reject_duplicate_ids(entries)
    return entries


def zip_files(spec: Spec) -> list[str]:
    """Return the file names of the zip outputs; by default there is one, named after the dataset."""
    default = f"{spec.meta.dataset}.zip"
    names = [output.parameters.out_file or default for output in spec.outputs if output.kind == "zip"]
    return list(dict.fromkeys(names)) or [default]


def _parquets(flow_id: str, tables: list[str]) -> list[PlanEntry]:
    # Only valid cells have a value of a type, so these need the report, which is at position 0.
    return [PlanEntry(f"{flow_id}/{table}_parquet", "Creating Parquet", PARQUET, (0,), table) for table in tables]


def _copy(flow_id: str, source: Source) -> PlanEntry:
    kind = TABULAR if source.is_tabular else ORIGINAL
    return PlanEntry(f"{flow_id}/{source.name}", "Copying source data", kind, target=source.name)


def _reject_duplicate_ids(entries: list[PlanEntry]) -> None:
    for id_, count in Counter(entry.id for entry in entries).items():
        if count > 1:
            raise Invalid.field(
                "inputs.0.parameters.descriptor.resources",
                f"must not give two pipelines the ID {id_.split('/', 3)[-1]}",
            )
