"""The pipelines of a flow: which there are, what each needs. The same spec gives the same plan, always."""

from collections import Counter
from dataclasses import dataclass

from chassis.errors import Invalid
from specstore_service.domain.sources import Source, sources_of
from specstore_service.domain.specs import Spec

REPORT, CSV, JSON, ZIP = "derived/report", "derived/csv", "derived/json", "derived/zip"
PREVIEW, TABULAR, ORIGINAL, PACKAGE = "derived/preview", "source/tabular", "source/original", "final"


@dataclass(frozen=True)
class PlanEntry:
    """`needs` are places in the plan, all of them earlier ones; `target` is a resource, of a zip its file."""

    id: str
    title: str
    kind: str
    needs: tuple[int, ...] = ()
    target: str = ""


def plan(spec: Spec, flow_id: str) -> list[PlanEntry]:
    """In an order in which they can run. Raises Invalid where two would have one id."""
    sources = sources_of(spec)
    tabular = [source for source in sources if source.is_tabular]
    report = [PlanEntry(f"{flow_id}/validation_report", "Validating package contents", REPORT)]
    csvs = [PlanEntry(f"{flow_id}/{it.name}_csv", "Creating CSV", CSV, target=it.name) for it in tabular]
    jsons = [PlanEntry(f"{flow_id}/{it.name}_json", "Creating JSON", JSON, target=it.name) for it in tabular]
    before_zip = tuple(range(len(report) + len(csvs) + len(jsons)))
    zips = [
        PlanEntry(f"{flow_id}/{file.removesuffix('.zip')}_zip", "Creating ZIP", ZIP, before_zip, file)
        for file in zip_files(spec)
    ]
    previews = [
        PlanEntry(f"{flow_id}/{it.name}_csv_preview", "Generating views", PREVIEW, (1 + number,), it.name)
        for number, it in enumerate(tabular)
    ]
    copies = [_copy(flow_id, source) for source in sources]
    others = [*report, *csvs, *jsons, *zips, *previews, *copies]
    planned = [*others, PlanEntry(flow_id, "Creating Package", PACKAGE, tuple(range(len(others))))]
    _reject_duplicate_ids(planned)
    return planned


def zip_files(spec: Spec) -> list[str]:
    """The one of the dataset's own name where the spec names none."""
    default = f"{spec.meta.dataset}.zip"
    named = [output.parameters.out_file or default for output in spec.outputs if output.kind == "zip"]
    return list(dict.fromkeys(named)) or [default]


def _copy(flow_id: str, source: Source) -> PlanEntry:
    kind = TABULAR if source.is_tabular else ORIGINAL
    return PlanEntry(f"{flow_id}/{source.name}", "Copying source data", kind, target=source.name)


def _reject_duplicate_ids(planned: list[PlanEntry]) -> None:
    for id_, count in Counter(pipeline.id for pipeline in planned).items():
        if count > 1:
            raise Invalid.field(
                "inputs.0.parameters.descriptor.resources", f"two pipelines would be called {id_.split('/', 3)[-1]}"
            )
