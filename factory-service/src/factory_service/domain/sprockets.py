"""A sprocket's four numbers."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from factory_service.domain.charts import whole

LARGEST = 2**31 - 1
NUMBERS = ("teeth", "pitch_diameter", "outside_diameter", "pitch")

Number = Annotated[int, Field(ge=1, le=LARGEST), BeforeValidator(whole)]


class Sprocket(BaseModel):
    model_config = ConfigDict(extra="forbid")
    teeth: Number
    pitch_diameter: Number
    outside_diameter: Number
    pitch: Number


def _without_default(schema: dict[str, Any]) -> None:
    for described in schema["properties"].values():
        described.pop("default")
    schema["minProperties"] = 1


class Changes(BaseModel):
    """Any of the four, at least one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_default)
    teeth: Number | SkipJsonSchema[None] = None
    pitch_diameter: Number | SkipJsonSchema[None] = None
    outside_diameter: Number | SkipJsonSchema[None] = None
    pitch: Number | SkipJsonSchema[None] = None

    @model_validator(mode="after")
    def _some(self) -> "Changes":
        numbers = self.numbers().values()
        if not numbers or None in numbers:
            raise ValueError(f"must have one at least of {', '.join(NUMBERS)}, and none of them null")
        return self

    def numbers(self) -> dict[str, int]:
        return self.model_dump(exclude_unset=True)
