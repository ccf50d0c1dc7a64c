"""The spec of a dataset, validated field by field."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from specstore_service.domain import schedules
from specstore_service.domain.names import DatasetName, Location, Name, OwnerId

PRIVATE = "private"
MAX_RESOURCES = 500
# Columns of a table, and therefore fields of its schema.
MAX_COLUMNS = 2000
MAX_STEPS = 500
MAX_OUTPUTS = 100

_PLAIN_TEXT = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"

PositiveInt = Annotated[int, Field(ge=1, le=1_000_000)]
FieldType = Literal[
    "string", "number", "integer", "boolean", "object", "array", "list", "date", "time", "datetime", "year",
    "yearmonth", "duration", "geopoint", "geojson", "any",
]  # fmt: skip


class _SpecModel(BaseModel):
    """An object of a spec. Unknown properties are stored and have no effect."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class Meta(_SpecModel):
    owner: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_PLAIN_TEXT)]
    ownerid: OwnerId
    dataset: DatasetName
    version: Annotated[int, Field(ge=1, le=1)] = 1
    findability: Literal["published", "unlisted", "private"] = "published"


class SchemaField(_SpecModel):
    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    type: FieldType = "any"


class TableSchema(_SpecModel):
    fields: Annotated[list[SchemaField], Field(min_length=1, max_length=MAX_COLUMNS)]


class Resource(_SpecModel):
    name: Name
    path: Location | None = None
    data: list[Any] | None = Field(None, description="Inline rows, each an object or an array")
    format: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9]{1,20}$")] | None = None
    table: TableSchema | None = Field(None, alias="schema")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.data is None):
            raise ValueError("must have either path or data")
        return self


class Descriptor(_SpecModel):
    name: Name | None = None
    resources: Annotated[list[Resource], Field(min_length=1, max_length=MAX_RESOURCES)]


class InputParameters(_SpecModel):
    descriptor: Descriptor
    mapping: Annotated[dict[str, Location], Field(max_length=2 * MAX_RESOURCES)] = Field({}, alias="resource-mapping")


class Input(_SpecModel):
    kind: Literal["datapackage"]
    url: Location
    parameters: InputParameters


class Tabulator(_SpecModel):
    headers: PositiveInt = Field(1, description="Number of the row that contains the headers")
    sheet: PositiveInt | Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        1, description="Number or name of the sheet"
    )


class Step(_SpecModel):
    input: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    output: Name
    tabulator: Tabulator = Tabulator()


class OutputParameters(_SpecModel):
    out_file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,120}$")] | None = Field(
        None, alias="out-file"
    )


class Output(_SpecModel):
    kind: Literal["csv", "json", "preview", "zip", "package"]
    parameters: OutputParameters = OutputParameters()


_EXAMPLE_ROWS = [{"name": "Malbec", "year": 2020}, {"name": "Syrah", "year": 2021}]
_EXAMPLE_FIELDS = [{"name": "name", "type": "string"}, {"name": "year", "type": "integer"}]
# Shown in the API documentation: readers can send it unchanged if their user name is `admin`.
_EXAMPLE: dict[str, Any] = {
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


class Spec(_SpecModel):
    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    meta: Meta
    inputs: Annotated[list[Input], Field(min_length=1, max_length=1, description="Exactly one input")]
    processing: Annotated[list[Step], Field(max_length=MAX_STEPS)] = []
    outputs: Annotated[list[Output], Field(max_length=MAX_OUTPUTS)] = []
    schedule: Annotated[Any, Field(json_schema_extra={"type": ["string", "null"], "examples": ["every 1d"]})] = None

    @property
    def every_seconds(self) -> int | None:
        return schedules.parse(self.schedule)

    @property
    def dataset_id(self) -> str:
        return f"{self.meta.ownerid}/{self.meta.dataset}"
