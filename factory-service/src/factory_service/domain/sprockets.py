"""A sprocket's four numbers."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

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
    """Any of the four, one at least; what is not given has no meaning here."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_default)
    teeth: Number = 1
    pitch_diameter: Number = 1
    outside_diameter: Number = 1
    pitch: Number = 1

    @model_validator(mode="after")
    def _some(self) -> "Changes":
        if not self.model_fields_set:
            raise ValueError(f"must have one at least of {', '.join(NUMBERS)}")
        return self

    def given(self) -> dict[str, int]:
        return self.model_dump(exclude_unset=True)
