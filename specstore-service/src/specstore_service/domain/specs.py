"""A spec: what an owner says of a dataset, checked field by field."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from specstore_service.domain import schedules
from specstore_service.domain.names import DatasetName, Location, Name, OwnerId

PRIVATE = "private"
MAX_RESOURCES = 500
# Of a table, and so of the fields of its schema.
MAX_COLUMNS = 2000
MAX_STEPS = 500
MAX_OUTPUTS = 100

_TEXT = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"

Positive = Annotated[int, Field(ge=1, le=1_000_000)]
FieldType = Literal[
    "string", "number", "integer", "boolean", "object", "array", "list", "date", "time", "datetime", "year",
    "yearmonth", "duration", "geopoint", "geojson", "any",
]  # fmt: skip


class _Part(BaseModel):
    """What a spec has beyond this is kept, and means nothing here."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class Meta(_Part):
    owner: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_TEXT)]
    ownerid: OwnerId
    dataset: DatasetName
    version: Annotated[int, Field(ge=1, le=1)] = 1
    findability: Literal["published", "unlisted", "private"] = "published"


class SchemaField(_Part):
    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    type: FieldType = "any"


class TableSchema(_Part):
    fields: Annotated[list[SchemaField], Field(min_length=1, max_length=MAX_COLUMNS)]


class Resource(_Part):
    name: Name
    path: Location | None = None
    data: list[Any] | None = Field(None, description="Rows inline, each an object or an array")
    format: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9]{1,20}$")] | None = None
    table: TableSchema | None = Field(None, alias="schema")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.data is None):
            raise ValueError("must have either path or data")
        return self


class Descriptor(_Part):
    name: Name | None = None
    resources: Annotated[list[Resource], Field(min_length=1, max_length=MAX_RESOURCES)]


class InputParameters(_Part):
    descriptor: Descriptor
    mapping: Annotated[dict[str, Location], Field(max_length=2 * MAX_RESOURCES)] = Field({}, alias="resource-mapping")


class Input(_Part):
    kind: Literal["datapackage"]
    url: Location
    parameters: InputParameters


class Tabulator(_Part):
    headers: Positive = Field(1, description="The row that holds the headers")
    sheet: Positive | Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        1, description="Number or name of the sheet"
    )


class Step(_Part):
    input: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    output: Name
    tabulator: Tabulator = Tabulator()


class OutputParameters(_Part):
    out_file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,120}$")] | None = Field(
        None, alias="out-file"
    )


class Output(_Part):
    kind: Literal["csv", "json", "preview", "zip", "package"]
    parameters: OutputParameters = OutputParameters()


_ROWS = [{"name": "Malbec", "year": 2020}, {"name": "Syrah", "year": 2021}]
_FIELDS = [{"name": "name", "type": "string"}, {"name": "year", "type": "integer"}]
# What somebody who reads the documentation can send as it stands, once `ownerid` is his own name.
_EXAMPLE: dict[str, Any] = {
    "meta": {"owner": "Ann", "ownerid": "admin", "dataset": "wines", "version": 1, "findability": "published"},
    "inputs": [
        {
            "kind": "datapackage",
            "url": "datapackage.json",
            "parameters": {
                "descriptor": {
                    "name": "wines",
                    "resources": [{"name": "reds", "data": _ROWS, "schema": {"fields": _FIELDS}}],
                }
            },
        }
    ],
}


class Spec(_Part):
    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    meta: Meta
    inputs: Annotated[list[Input], Field(min_length=1, max_length=1, description="Exactly one")]
    processing: Annotated[list[Step], Field(max_length=MAX_STEPS)] = []
    outputs: Annotated[list[Output], Field(max_length=MAX_OUTPUTS)] = []
    schedule: Annotated[Any, Field(json_schema_extra={"type": ["string", "null"], "examples": ["every 1d"]})] = None

    @property
    def every_seconds(self) -> int | None:
        return schedules.parse(self.schedule)

    @property
    def dataset_id(self) -> str:
        return f"{self.meta.ownerid}/{self.meta.dataset}"
