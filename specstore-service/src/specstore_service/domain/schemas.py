"""Table Schema: the fields of a table. Properties that frictionless would ignore are rejected, or translated for it."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from specstore_service.domain.descriptors import OpenModel, property_error

# Columns of a table, and therefore fields of its schema.
MAX_COLUMNS = 2000
_V2_SCHEMA = "https://datapackage.org/profiles/2.0/tableschema.json"

FieldType = Literal[
    "string", "number", "integer", "boolean", "object", "array", "list", "date", "time", "datetime", "year",
    "yearmonth", "duration", "geopoint", "geojson", "any",
]  # fmt: skip
_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum"}
_LENGTHS = {"minLength", "maxLength"}
_ORDERED_TYPES = ("number", "integer", "date", "time", "datetime", "year", "yearmonth")
# Those of other types: enum. Every type supports required and unique.
_CONSTRAINTS: dict[str, set[str]] = {
    "string": {*_LENGTHS, "pattern", "enum"},
    "array": {*_LENGTHS, "enum"},
    "object": {*_LENGTHS, "enum"},
    "list": _LENGTHS,
    **dict.fromkeys(_ORDERED_TYPES, _BOUNDS),
}
_FORMATS: dict[str, set[str]] = {
    "string": {"default", "email", "uri", "binary", "uuid", "wkt"},
    "geopoint": {"default", "array", "object"},
    "geojson": {"default", "topojson"},
}
# Their format is a pattern.
_TIME_TYPES = ("date", "time", "datetime")


class SchemaField(OpenModel):
    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    type: FieldType = "any"
    format: str | None = None
    constraints: dict[str, Any] | None = None
    categories: list[Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.constraints or {}:
            if name not in _CONSTRAINTS.get(self.type, {"enum"}) | {"required", "unique"}:
                raise property_error("constraints", name, message=f"is not supported for the type {self.type}")
        self._check_constraints()
        formats = _FORMATS.get(self.type, {"default"})
        if self.format and self.type not in _TIME_TYPES and self.format not in formats:
            choices = ", ".join(sorted(formats))
            raise property_error("format", message=f"must be {choices} for the type {self.type}")
        self._check_other_properties()
        return self

    def _check_constraints(self) -> None:
        constraints = self.constraints or {}
        pattern = constraints.get("pattern")
        if pattern is not None and not (isinstance(pattern, str) and _is_pattern(pattern)):
            raise property_error("constraints", "pattern", message="must be a valid regular expression")
        if not isinstance(constraints.get("enum", []), list):
            raise property_error("constraints", "enum", message="must be a list")

    def _check_other_properties(self) -> None:
        properties = self.model_extra or {}
        if "required" in properties:
            raise property_error("required", message="must be set as constraints.required")
        if self.type == "integer" and properties.get("groupChar"):
            raise property_error("groupChar", message="is not supported for the type integer: use the type number")
        if self.type == "list" and properties.get("delimiter") == "":
            raise property_error("delimiter", message="must not be empty")
        if self.categories is not None:
            if self.type not in ("string", "integer"):
                raise property_error("categories", message="must only be set for the types string and integer")
            if any(isinstance(category, dict) and "value" not in category for category in self.categories):
                raise property_error("categories", message="must be a list of values, or of objects with a value")


def _is_pattern(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


class TableSchema(OpenModel):
    fields: Annotated[list[SchemaField], Field(min_length=1, max_length=MAX_COLUMNS)]
    fields_match: Literal["exact", "equal", "subset", "superset", "partial"] | None = None
    missing_values: list[Any] | None = None
    unique_keys: list[Any] | None = None
    foreign_keys: list[Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for number, entry in enumerate(self.missing_values or []):
            if not isinstance(entry.get("value") if isinstance(entry, dict) else entry, str):
                raise property_error("missingValues", number, message="must be a string, or an object with a value")
        self._check_unique_keys()
        self._check_foreign_keys()
        return self

    def _check_unique_keys(self) -> None:
        names = [field.name for field in self.fields]
        for number, key in enumerate(self.unique_keys or []):
            if isinstance(key, list) and len(key) != 1:
                raise property_error("uniqueKeys", number, message="must consist of one field: more are not supported")
            if (key[0] if isinstance(key, list) else key) not in names:
                raise property_error("uniqueKeys", number, message="must be the name of a field")

    def _check_foreign_keys(self) -> None:
        for number, key in enumerate(self.foreign_keys or []):
            reference = key.get("reference") if isinstance(key, dict) else None
            if not isinstance(reference, dict):
                raise property_error("foreignKeys", number, message="must be an object with a reference")
            if "package" in reference:
                raise property_error("foreignKeys", number, "reference", "package")
            if not isinstance(reference.get("resource", ""), str):
                message = "must be the name of a resource"
                raise property_error("foreignKeys", number, "reference", "resource", message=message)

    def descriptor(self) -> dict[str, Any]:
        """Return the schema unchanged, except that a field without a type accepts any value."""
        schema = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return {**schema, "fields": [{"type": "any", **field} for field in schema["fields"]]}


def frictionless_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return an equivalent schema that uses only properties that frictionless validates."""
    unique = {name for key in schema.get("uniqueKeys") or [] for name in ([key] if isinstance(key, str) else key)}
    # Version 2 of the standard includes version 1.
    return {**schema, "$schema": _V2_SCHEMA, "fields": [_field(field, unique) for field in schema["fields"]]}


def _field(field: dict[str, Any], unique: set[str]) -> dict[str, Any]:
    constraints = dict(field.get("constraints") or {})
    if field["name"] in unique:
        constraints["unique"] = True
    if (categories := field.get("categories")) is not None:
        values = [category["value"] if isinstance(category, dict) else category for category in categories]
        constraints["enum"] = [value for value in constraints.get("enum", values) if value in values]
    return {**field, "constraints": constraints} if constraints else field


def null_text(schema: dict[str, Any] | None) -> str:
    """Return the text of a cell without a value: one of the schema's missing values, preferably an empty text."""
    entries = (schema or {}).get("missingValues") or [""]
    values = [entry["value"] if isinstance(entry, dict) else entry for entry in entries]
    return "" if "" in values or not values else str(values[0])


def retarget_foreign_keys(schema: dict[str, Any], table_names: dict[str, str]) -> dict[str, Any]:
    """Return the schema with its foreign keys referring to tables by their new names."""
    keys = schema.get("foreignKeys")
    if not isinstance(keys, list):
        return schema
    return {**schema, "foreignKeys": [_retarget_foreign_key(key, table_names) for key in keys]}


def _retarget_foreign_key(key: Any, table_names: dict[str, str]) -> Any:
    reference = key.get("reference") if isinstance(key, dict) else None
    if not isinstance(reference, dict) or reference.get("resource") not in table_names:
        return key
    return {**key, "reference": {**reference, "resource": table_names[reference["resource"]]}}
