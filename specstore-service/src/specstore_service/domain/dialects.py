"""Table Dialect: how the rows of a file are written. It includes CSV Dialect (v1) and the groups of frictionless."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from specstore_service.domain.descriptors import ClosedModel, property_error

RowNumber = Annotated[int, Field(ge=1, le=1_000_000)]
_Sequence = Annotated[str, StringConstraints(min_length=1, max_length=16)]
_Text = Annotated[str, StringConstraints(max_length=255)]
_Character = Annotated[str, StringConstraints(max_length=1)]
_Slug = Annotated[str, StringConstraints(pattern="^[a-z0-9._/-]+$")]
_Key = Annotated[str, StringConstraints(min_length=1, max_length=255)]


def _check_version(value: Any) -> Any:
    if isinstance(value, bool | dict | list):
        raise ValueError("must be a number or a string")
    return value


class DelimitedDialect(ClosedModel):
    """Properties of delimited text. A null has the same meaning as an omitted property."""

    delimiter: _Sequence | None = None
    line_terminator: _Sequence | None = None
    quote_char: Annotated[_Character | None, AfterValidator(lambda value: value or "")] = '"'
    double_quote: bool | None = True
    escape_char: _Character | None = None
    null_sequence: _Text | None = None
    skip_initial_space: bool | None = False

    @property
    def escape(self) -> str | None:
        # An escape character that equals the quote character means doubled quotes.
        return None if self.escape_char in ("", self.quote_char) else self.escape_char


class SpreadsheetDialect(ClosedModel):
    sheet: RowNumber | Annotated[str, StringConstraints(min_length=1, max_length=255)] = 1


class StructuredDialect(ClosedModel):
    keyed: bool | None = None
    keys: list[_Key] | None = None
    property_: Annotated[str | None, Field(alias="property")] = None


class Dialect(DelimitedDialect):
    """The properties of the standard and, under `csv`, `excel` and `json`, their spelling by frictionless."""

    header: bool | None = True
    header_rows: Annotated[list[RowNumber], Field(min_length=1, max_length=100)] | None = None
    header_join: _Text | None = " "
    header_case: bool | None = True
    case_sensitive_header: bool | None = None
    comment_rows: Annotated[list[RowNumber], Field(max_length=10_000)] | None = None
    comment_char: _Text | None = None
    # Blank rows are dropped in any case.
    skip_blank_rows: bool | None = None
    item_type: Literal["array", "object"] | None = None
    item_keys: Annotated[list[_Key], Field(min_length=1, max_length=2000)] | None = None
    sheet_number: RowNumber | None = None
    sheet_name: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    property_: Annotated[str | None, Field(alias="property")] = None
    table: str | None = None
    csv: DelimitedDialect | None = None
    excel: SpreadsheetDialect | None = None
    json_group: Annotated[StructuredDialect | None, Field(alias="json")] = None
    # Metadata.
    schema_url: Annotated[str | None, Field(alias="$schema")] = None
    csvddf_version: Annotated[Any, AfterValidator(_check_version)] = None
    name: _Slug | None = None
    type: Any = None
    title: str | None = None
    description: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.property_ is not None:
            raise property_error("property")
        if self.table is not None:
            raise property_error("table")
        if self.json_group and self.json_group.property_ is not None:
            raise property_error("json", "property")
        rows = self.header_rows or []
        if any(row >= following for row, following in pairwise(rows)):
            raise property_error("headerRows", message="must be in ascending order, without repetition")
        _check_delimited(self, ())
        if self.csv:
            _check_delimited(self.csv, ("csv",))
        return self

    def descriptor(self) -> dict[str, Any]:
        """Return the dialect as it is published: frictionless rejects nulls and the type."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True, exclude={"type"})

    @property
    def delimited(self) -> DelimitedDialect:
        return self.csv or self

    @property
    def sheet(self) -> int | str:
        return self.sheet_name or self.sheet_number or (self.excel.sheet if self.excel else 1)

    @property
    def keys(self) -> list[str] | None:
        """The columns of rows that are objects; by default all."""
        return self.item_keys or (self.json_group.keys if self.json_group else None)

    @property
    def is_header_case_ignored(self) -> bool:
        return self.header_case is False or self.case_sensitive_header is False

    @property
    def has_header(self) -> bool:
        return self.header is not False


def _check_delimited(dialect: DelimitedDialect, group: tuple[str, ...]) -> None:
    delimiter, quote, escape = dialect.delimiter, dialect.quote_char, dialect.escape_char
    line_ends = {"\r", "\n", *(dialect.line_terminator or "")}
    for name, value in (("delimiter", delimiter), ("quoteChar", quote), ("escapeChar", escape)):
        if value and not line_ends.isdisjoint(value):
            raise property_error(*group, name, message="must not contain a line break or a part of lineTerminator")
    if delimiter and any(character and character in delimiter for character in (quote, escape)):
        raise property_error(*group, "delimiter", message="must not contain quoteChar or escapeChar")
    if dialect.skip_initial_space and " " in (delimiter, quote, escape):
        raise property_error(*group, "skipInitialSpace", message="must be false if a space has another meaning")
