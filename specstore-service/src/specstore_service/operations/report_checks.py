"""The checks of the report. Importing this module loads frictionless."""

from collections.abc import Iterator
from typing import Any, ClassVar

from frictionless import Check, Checklist, Error, Row, errors

_BLANK_ROW = errors.BlankRowError.type


class ReportChecklist(Checklist):
    """The checks of frictionless, except that a row of missing values is valid if no field requires a value."""

    def match(self, error: Error) -> bool:
        return error.type != _BLANK_ROW and super().match(error)


class MissingValues(Check):
    """Reports the errors of rows of missing values, which frictionless replaces with an error for blank rows."""

    type = "missing-values"
    Errors: ClassVar[list[Any]] = [errors.ConstraintError, errors.ExtraCellError, errors.MissingCellError]

    def validate_row(self, row: Row) -> Iterator[Error]:
        if not any(error.type == _BLANK_ROW for error in row.errors):
            return
        names, count = row.field_names, len(row.cells)
        required = {field.name for field in self.resource.schema.fields if field.required}
        for number, name in enumerate(names, 1):
            if name in required:
                yield _cell_error(errors.ConstraintError, row, number, name, 'constraint "required" is "True"')
            if number > count:
                yield _cell_error(errors.MissingCellError, row, number, name)
        for number in range(len(names) + 1, count + 1):
            yield _cell_error(errors.ExtraCellError, row, number, "")


def _cell_error(error: Any, row: Row, number: int, name: str, note: str = "") -> Error:
    cells = list(map(str, row.cells))
    cell = cells[number - 1] if number <= len(cells) else ""
    created: Error = error(
        note=note, cells=cells, row_number=row.row_number, cell=cell, field_name=name, field_number=number
    )
    return created


def create_checklist() -> Checklist:
    return ReportChecklist(checks=[MissingValues()])
