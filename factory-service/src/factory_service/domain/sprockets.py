"""The four numbers of a sprocket."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from factory_service.domain.charts import as_integer

MAX_NUMBER = 2**31 - 1
NUMBERS = ("teeth", "pitch_diameter", "outside_diameter", "pitch")

# The default of a number that may be omitted; it is never read.
_OMITTED = 0

Number = Annotated[int, Field(ge=1, le=MAX_NUMBER), BeforeValidator(as_integer)]


class Sprocket(BaseModel):
    model_config = ConfigDict(extra="forbid")
    teeth: Number
    pitch_diameter: Number
    outside_diameter: Number
    pitch: Number


def _adapt_schema(schema: dict[str, Any]) -> None:
    """State that each number may be omitted, and that at least one is required."""
    for property_schema in schema["properties"].values():
        property_schema.pop("default")
    schema["minProperties"] = 1


class SprocketPatch(BaseModel):
    """At least one of the four numbers."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_adapt_schema)
    teeth: Number = _OMITTED
    pitch_diameter: Number = _OMITTED
    outside_diameter: Number = _OMITTED
    pitch: Number = _OMITTED

    @model_validator(mode="after")
    def _has_numbers(self) -> "SprocketPatch":
        if not self.numbers():
            raise ValueError(f"must have at least one of {', '.join(NUMBERS)}")
        return self

    def numbers(self) -> dict[str, int]:
        return self.model_dump(exclude_unset=True)
