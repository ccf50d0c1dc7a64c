"""The spec of a dataset, validated field by field."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from specstore_service.domain import schedules
from specstore_service.domain.descriptors import ClosedModel, OpenModel
from specstore_service.domain.dialects import RowNumber
from specstore_service.domain.names import DatasetName, Location, Name, OwnerId
from specstore_service.domain.resources import MAX_RESOURCES, Descriptor

PRIVATE = "private"
MAX_STEPS = 500
MAX_OUTPUTS = 100

_PLAIN_TEXT = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"


class Meta(OpenModel):
    owner: Annotated[
        str,
        StringConstraints(min_length=1, max_length=255, pattern=_PLAIN_TEXT),
        Field(description="Name of the owner, for people"),
    ]
    ownerid: Annotated[OwnerId, Field(description="The user of the token; part of all paths")]
    dataset: Annotated[DatasetName, Field(description="Name of the dataset; part of all paths")]
    version: Annotated[int, Field(ge=1, le=1)] = 1
    findability: Annotated[
        Literal["published", "unlisted", "private"],
        Field(description="Unlisted datasets are in no list of others; private ones do not exist for others"),
    ] = "published"


class InputParameters(OpenModel):
    descriptor: Descriptor
    mapping: Annotated[dict[str, Location], Field(max_length=2 * MAX_RESOURCES)] = Field(
        {}, alias="resource-mapping", description="Location of the data of a resource, by its name or path"
    )


class Input(OpenModel):
    kind: Literal["datapackage"]
    url: Location
    parameters: InputParameters


class Tabulator(ClosedModel):
    headers: RowNumber = Field(1, description="Number of the row that contains the headers")
    sheet: RowNumber | Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        1, description="Number or name of the sheet"
    )


class Step(ClosedModel):
    input: Annotated[
        str, StringConstraints(min_length=1, max_length=2048), Field(description="Name or path of a resource")
    ]
    output: Annotated[Name, Field(description="Name of the resulting resource")]
    tabulator: Tabulator = Tabulator()


class OutputParameters(OpenModel):
    out_file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,120}$")] | None = Field(
        None, alias="out-file"
    )


class Output(OpenModel):
    kind: Literal["csv", "json", "parquet", "preview", "zip", "package"]
    parameters: OutputParameters = OutputParameters()


_EXAMPLE_ROWS = [{"name": "Malbec", "year": 2020}, {"name": "Syrah", "year": 2021}]
_EXAMPLE_FIELDS = [{"name": "name", "type": "string"}, {"name": "year", "type": "integer"}]
# Shown in the API documentation: readers can send it unchanged if their user name is `admin`.
EXAMPLE_SPEC: dict[str, Any] = {
    "meta": {"owner": "Ann", "ownerid": "admin", "dataset": "wines", "version": 1, "findability": "published"},
    "inputs": [
        {
            "kind": "datapackage",
            "url": "datapackage.json",
            "parameters": {
                "descriptor": {
                    "name": "wines",
                    "resources": [{"name": "reds", "data": _EXAMPLE_ROWS, "schema": {"fields": _EXAMPLE_FIELDS}}],
                }
            },
        }
    ],
}


class Spec(OpenModel):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_SPEC]})

    meta: Meta
    inputs: Annotated[list[Input], Field(min_length=1, max_length=1, description="Exactly one input")]
    processing: list[Step] = Field([], max_length=MAX_STEPS, description="Where tables begin within resources")
    outputs: list[Output] = Field(
        [], max_length=MAX_OUTPUTS, description="Files in addition to those that are written by default"
    )
    schedule: Annotated[
        Any,
        Field(
            description="Create a new revision each time it is due: `every`, a number, and s, m, h, d or w",
            json_schema_extra={"type": ["string", "null"], "examples": ["every 1d"]},
        ),
    ] = None

    @property
    def every_seconds(self) -> int | None:
        return schedules.parse(self.schedule)

    @property
    def dataset_id(self) -> str:
        return f"{self.meta.ownerid}/{self.meta.dataset}"
