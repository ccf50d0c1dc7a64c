"""Parts that the models of Data Package descriptors share."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from specstore_service.domain.names import check_location

_MAX_URL_OR_PATH = 2048


class OpenModel(BaseModel):
    """An object whose unknown properties are stored and have no effect."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=(), alias_generator=to_camel)


class ClosedModel(BaseModel):
    """An object whose properties determine how data is read, so that unknown ones are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


@dataclass(frozen=True)
class OrLocation:
    """Annotates a type to also accept a string: the URL or the path of a file."""

    type_: Any

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = handler.generate_schema(self.type_)
        return core_schema.no_info_wrap_validator_function(
            lambda value, validate: check_location(value) if isinstance(value, str) else validate(value), inner
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "maxLength": _MAX_URL_OR_PATH}, handler(schema["schema"])]}


def property_error(*location: str | int, message: str = "is not supported") -> ValidationError:
    """Return the error of a property; a validator that raises it keeps the name of the property."""
    error = PydanticCustomError("property", "{message}", {"message": message})
    return ValidationError.from_exception_data(
        "descriptor", [{"type": error, "loc": location, "input": None}], hide_input=True
    )
