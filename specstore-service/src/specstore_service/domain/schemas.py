"""Table Schema: the fields of a table. Properties that frictionless would ignore are rejected, or translated for it."""

import re
from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from specstore_service.domain.descriptors import OpenModel, property_error

# Columns of a table, and therefore fields of its schema.
MAX_COLUMNS = 2000
_V2_SCHEMA = "https://datapackage.org/profiles/2.0/tableschema.json"

FieldType = Literal[
    "string", "number", "integer", "boolean", "object", "array", "list", "date", "time", "datetime", "year",
    "yearmonth", "duration", "geopoint", "geojson", "any",
]  # fmt: skip
ItemType = Literal["string", "integer", "boolean", "number", "datetime", "date", "time"]
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
# Their values cannot be compared with all others.
_STRUCTURES = ("array", "object", "list", "geojson")
_KEY_MESSAGE = "must be the name of a field, or a list of names"
# Their format is a pattern.
_TIME_TYPES = ("date", "time", "datetime")


def _check_pattern(value: str) -> str:
    try:
        re.compile(f"^{_whole_pattern(value)}$")
    except (re.error, RecursionError, OverflowError):
        raise ValueError("must be a valid regular expression, without flags such as (?i)") from None
    return value


def _whole_pattern(pattern: str) -> str:
    """Return the pattern so that frictionless, which encloses it in ^ and $, applies both to each alternative."""
    return f"(?:{pattern})" if "|" in pattern else pattern


def _check_bound(value: Any) -> Any:
    if value is None:
        raise ValueError("must not be null")
    return value


def _check_missing_values(entries: list[Any]) -> list[Any]:
    earlier = set[tuple[str, str]]()
    for number, entry in enumerate(entries):
        if not isinstance(entry.get("value") if isinstance(entry, dict) else entry, str):
            raise property_error(number, message="must be a string, or an object with a value")
        if isinstance(entry, dict) and not isinstance(entry.get("label", ""), str):
            raise property_error(number, "label", message="must be a string")
        if isinstance(entry, dict) != isinstance(entries[0], dict):
            raise property_error(number, message="must be a string if the others are, otherwise an object")
        for name in {"value", "label"}.intersection(entry if isinstance(entry, dict) else ()):
            if (name, entry[name]) in earlier:
                raise property_error(number, name, message="must not be repeated")
            earlier.add((name, entry[name]))
    return entries


def _names(key: Any) -> list[Any]:
    return key if isinstance(key, list) else [key]


def _consists_of(key: Any, names: set[str]) -> bool:
    return all(isinstance(name, str) and name in names for name in _names(key))


_Pattern = Annotated[str, AfterValidator(_check_pattern)]
_Bound = Annotated[Any, AfterValidator(_check_bound)]
_MissingValues = Annotated[list[Any], AfterValidator(_check_missing_values)]


class Constraints(OpenModel):
    required: bool = False
    unique: bool = False
    min_length: int = 0
    max_length: int = 0
    pattern: _Pattern = ""
    enum: list[Any] = Field(default_factory=list)
    minimum: _Bound = None
    maximum: _Bound = None
    exclusive_minimum: _Bound = None
    exclusive_maximum: _Bound = None


class SchemaField(OpenModel):
    """A field. The properties without an effect in this file are those that frictionless follows."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    type: FieldType = "any"
    format: str = "default"
    title: str = ""
    description: str = ""
    rdf_type: str = ""
    missing_values: _MissingValues = Field(default_factory=list)
    constraints: Constraints = Constraints()
    categories: list[Any] = Field(default_factory=list)
    true_values: list[str] = Field(default_factory=list)
    false_values: list[str] = Field(default_factory=list)
    bare_number: bool = True
    float_number: bool = False
    decimal_char: str = "."
    group_char: str = ""
    delimiter: Annotated[str, StringConstraints(min_length=1)] = ","
    item_type: ItemType = "string"
    array_item: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.constraints.model_dump(by_alias=True, exclude_unset=True):
            if name not in _CONSTRAINTS.get(self.type, {"enum"}) | {"required", "unique"}:
                raise property_error("constraints", name, message=f"is not supported for the type {self.type}")
        if self.constraints.unique and self.type in _STRUCTURES:
            raise property_error("constraints", "unique", message=f"is not supported for the type {self.type}")
        formats = _FORMATS.get(self.type, {"default"})
        if self.type not in _TIME_TYPES and self.format not in formats:
            choices = ", ".join(sorted(formats))
            raise property_error("format", message=f"must be {choices} for the type {self.type}")
        if "required" in (self.model_extra or {}):
            raise property_error("required", message="must be set as constraints.required")
        if self.type == "integer" and self.group_char:
            raise property_error("groupChar", message="is not supported for the type integer: use the type number")
        if "categories" in self.model_fields_set:
            self._check_categories()
        return self

    def _check_categories(self) -> None:
        if self.type not in ("string", "integer"):
            raise property_error("categories", message="must only be set for the types string and integer")
        if any(isinstance(category, dict) and "value" not in category for category in self.categories):
            raise property_error("categories", message="must be a list of values, or of objects with a value")


def _check_foreign_key(key: Any, names: set[str], *location: str | int) -> None:
    reference = key.get("reference") if isinstance(key, dict) else None
    if not isinstance(reference, dict):
        raise property_error(*location, message="must be an object with a reference")
    if "package" in reference:
        raise property_error(*location, "reference", "package")
    if not isinstance(reference.get("resource", ""), str):
        raise property_error(*location, "reference", "resource", message="must be the name of a resource")
    fields, references = key.get("fields", []), _names(reference.get("fields", []))
    if not _consists_of(fields, names):
        raise property_error(*location, "fields", message=_KEY_MESSAGE)
    if not all(isinstance(name, str) for name in references) or len(references) != len(_names(fields)):
        raise property_error(*location, "reference", "fields", message="must name a field for each one of the key")


class TableSchema(OpenModel):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9._/-]+$")] = "schema"
    title: str = ""
    description: str = ""
    fields: Annotated[list[SchemaField], Field(min_length=1, max_length=MAX_COLUMNS)]
    fields_match: Literal["exact", "equal", "subset", "superset", "partial"] = "exact"
    missing_values: _MissingValues = Field(default_factory=list)
    primary_key: Any = Field(default_factory=list)
    unique_keys: list[Any] = Field(default_factory=list)
    foreign_keys: list[Any] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check(self) -> Self:
        counts = Counter(field.name for field in self.fields)
        if duplicate := next((name for name, count in counts.items() if count > 1), None):
            raise property_error("fields", message=f"must not give two fields the name {duplicate}")
        names = set(counts)
        if not _consists_of(self.primary_key, names):
            raise property_error("primaryKey", message=_KEY_MESSAGE)
        for number, key in enumerate(self.unique_keys):
            if isinstance(key, list) and len(key) != 1:
                raise property_error("uniqueKeys", number, message="must consist of one field: more are not supported")
            if not _consists_of(key, names):
                raise property_error("uniqueKeys", number, message="must be the name of a field")
        for number, key in enumerate(self.foreign_keys):
            _check_foreign_key(key, names, "foreignKeys", number)
        self._reject_structures_in_keys()
        return self

    def _reject_structures_in_keys(self) -> None:
        structures = {field.name for field in self.fields if field.type in _STRUCTURES}
        unique = [("uniqueKeys", key) for key in self.unique_keys]
        foreign = [("foreignKeys", key.get("fields", [])) for key in self.foreign_keys]
        for name, key in [("primaryKey", self.primary_key), *unique, *foreign]:
            if not structures.isdisjoint(_names(key)):
                raise property_error(name, message=f"must not contain fields of the types {', '.join(_STRUCTURES)}")

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
    if "pattern" in constraints:
        constraints["pattern"] = _whole_pattern(constraints["pattern"])
    if field["name"] in unique:
        constraints["unique"] = True
    if (categories := field.get("categories")) is not None:
        values = [category["value"] if isinstance(category, dict) else category for category in categories]
        if "enum" in constraints:
            values = [value for value in constraints["enum"] if value in values]
        constraints["enum"] = values
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
