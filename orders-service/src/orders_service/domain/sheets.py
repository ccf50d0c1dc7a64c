"""The XML of workbooks, parsed with bounded memory."""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from xml.parsers import expat

from orders_service.domain.cells import Styles, build_styles, cell_text, column_index, unescape_text
from orders_service.domain.csv_rows import MAX_ROW_BYTES
from orders_service.domain.headers import MAX_COLUMNS
from orders_service.domain.reports import quote_cell

SEPARATOR = "|"
MAX_SHARED_BYTES = 32 * 1024 * 1024
# The limit of the format. Without it, a small file could contain a very large number of long texts.
_MAX_TEXT_LENGTH = 32_767
_MAX_ROWS, _MAX_CELLS = 1_048_576, 16_384
# A row cannot be divided among steps, and a small file could contain one of a gigabyte.
_MAX_TOKEN_BYTES, _MAX_ROW_XML_BYTES = 2 * 1024 * 1024, 8 * 1024 * 1024
# Expat keeps all open elements in memory.
_MAX_DEPTH, _MAX_USED_ELEMENTS = 100, 100_000
_USED_ELEMENTS = frozenset(("Relationship", "numFmt", "sheet", "workbookPr", "xf"))

Attributes = dict[str, str]


class InvalidWorkbook(Exception):
    """The file is not a workbook that can be imported; `reason` is a key of the messages."""

    def __init__(self, reason: str = "no_workbook") -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class SheetPosition:
    """The position between two rows of a sheet: the offset of the next one in its XML, and the number of the preceding.

    `text_length` is the number of characters of all rows before it.
    """

    offset: int = 0
    row: int = 0
    text_length: int = 0


class XmlParser:
    """Parser that calls `start`, `end` and `text` with local names, and limits the memory that expat needs."""

    def __init__(self, start: Callable[[str, Attributes], None], end: Callable[[str], None]) -> None:
        self._start, self._end = start, end
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start_element
        self._parser.EndElementHandler = self._end_element
        self._parser.StartDoctypeDeclHandler = self._reject
        self._fed = self._depth = 0

    def set_text_handler(self, text: Callable[[str], None] | None) -> None:
        self._parser.CharacterDataHandler = text

    def ignore_elements(self) -> None:
        """Only check that the rest is well-formed, which is fast."""
        self._parser.StartElementHandler = self._parser.EndElementHandler = None

    @property
    def offset(self) -> int:
        """The position of the current event."""
        return self._parser.CurrentByteIndex

    def feed(self, data: bytes, *, at_end: bool = False) -> None:
        self._fed += len(data)
        try:
            self._parser.Parse(data, at_end)
        except expat.ExpatError as error:
            raise InvalidWorkbook from error
        # Expat keeps an incomplete tag or comment in memory.
        if self._fed - max(self._parser.CurrentByteIndex, 0) > _MAX_TOKEN_BYTES:
            raise InvalidWorkbook

    def _start_element(self, name: str, attributes: Attributes) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise InvalidWorkbook
        self._start(name.rpartition(":")[2], attributes)

    def _end_element(self, name: str) -> None:
        self._depth -= 1
        self._end(name.rpartition(":")[2])

    def _reject(self, *_: object) -> None:
        raise InvalidWorkbook


def read_elements(parts: Iterable[bytes]) -> list[tuple[str, Attributes]]:
    """Return the path and the attributes of each element that is used, from a small part of a workbook."""
    elements: list[tuple[str, Attributes]] = []
    path: list[str] = []

    def start(name: str, attributes: Attributes) -> None:
        path.append(name)
        if name not in _USED_ELEMENTS:
            return
        if len(elements) == _MAX_USED_ELEMENTS:
            raise InvalidWorkbook("large_workbook")
        elements.append(("/".join(path[-3:]), {key.rpartition(":")[2]: value for key, value in attributes.items()}))

    def end(_: str) -> None:
        path.pop()

    parser = XmlParser(start, end)
    for part in parts:
        parser.feed(part)
    parser.feed(b"", at_end=True)
    return elements


def read_styles(elements: list[tuple[str, Attributes]], *, counts_from_1904: bool) -> Styles:
    custom = {int(a["numFmtId"]): a.get("formatCode", "") for path, a in elements if path.endswith("numFmts/numFmt")}
    ids = [int(attributes.get("numFmtId", 0)) for path, attributes in elements if path.endswith("cellXfs/xf")]
    return build_styles(ids, custom, counts_from_1904=counts_from_1904)


class SharedTexts:
    """The texts that the cells of a workbook share, in one buffer."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._buffer, self._ends = bytearray(), array("L")
        self._phonetic_depth = 0
        self._parser = XmlParser(self._start, self._end)
        for part in parts:
            self._parser.feed(part)
            if len(self._buffer) + self._ends.itemsize * len(self._ends) > MAX_SHARED_BYTES:
                raise InvalidWorkbook("large_workbook")
        if self._ends:
            self._parser.feed(b"", at_end=True)

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self._ends):
            raise InvalidWorkbook
        start = self._ends[index - 1] if index else 0
        return unescape_text(self._buffer[start : self._ends[index]].decode())[:_MAX_TEXT_LENGTH]

    def _start(self, name: str, _: Attributes) -> None:
        self._phonetic_depth += name == "rPh"
        if name == "t" and not self._phonetic_depth:
            self._parser.set_text_handler(lambda text: self._buffer.extend(text.encode()))

    def _end(self, name: str) -> None:
        self._phonetic_depth -= name == "rPh"
        if name == "t":
            self._parser.set_text_handler(None)
        elif name == "si":
            self._ends.append(len(self._buffer))


class SheetParser:
    """Parser of the rows of a sheet as lines of CSV, one for each row of the sheet, also for those without cells.

    `lines` receives them, with the number and the offset of each row. A parser may begin at any row, if it is fed what
    precedes the first row before that; `offset_difference` is the length of the XML that is omitted between them.
    Blank cells at the end of a row are often omitted: a line has at least as many cells as the header.
    """

    def __init__(
        self, texts: SharedTexts, styles: Styles, row: int = 0, width: int = 0, offset_difference: int = 0
    ) -> None:
        self.lines: list[tuple[int, int, str]] = []
        self.text_length = 0
        self.first_offset: int | None = None
        self._texts, self._styles = texts, styles
        self._row, self._offset_difference = row, offset_difference
        self._cells: dict[int, str] = {}
        self._width, self._column, self._skipped = width, -1, 0
        self._kind, self._style, self._has_ended = "n", 0, False
        self._size = self._offset = self._phonetic_depth = self._cell_count = self._row_xml_bytes = 0
        self._text: list[str] = []
        self._parser = XmlParser(self._start, self._end)

    def feed(self, data: bytes, *, at_end: bool = False) -> None:
        self._row_xml_bytes += len(data)
        self._parser.feed(data, at_end=at_end)
        if self._row_xml_bytes > _MAX_ROW_XML_BYTES and not self._has_ended:
            raise InvalidWorkbook("large_workbook")

    def _start(self, name: str, attributes: Attributes) -> None:
        if name == "c":
            self._cell_count += 1
            if self._cell_count > _MAX_CELLS:
                raise InvalidWorkbook
            self._column = column_index(attributes["r"]) if "r" in attributes else self._column + 1
            self._kind, self._style = attributes.get("t", "n"), _integer(attributes.get("s", "0"))
            self._text = []
        elif name in ("v", "t") and not self._phonetic_depth:
            self._parser.set_text_handler(self._add_text)
        elif name == "row":
            self._offset = self._offset_difference + self._parser.offset
            if self.first_offset is None:
                self.first_offset = self._offset
            number = _integer(attributes["r"]) if "r" in attributes else self._row + 1
            if not self._row < number <= _MAX_ROWS:
                raise InvalidWorkbook
            self._skipped, self._row, self._row_xml_bytes = number - self._row - 1, number, 0
            self._cells, self._size, self._column, self._cell_count = {}, 0, -1, 0
        elif name == "rPh":
            self._phonetic_depth += 1

    def _add_text(self, text: str) -> None:
        # A row that is too long is rejected later.
        if self._size < MAX_ROW_BYTES:
            self._size += len(text)
            self._text.append(text)

    def _end(self, name: str) -> None:
        if name in ("v", "t"):
            self._parser.set_text_handler(None)
        elif name == "c":
            self._end_cell()
        elif name == "row":
            width = max(self._cells, default=-1) + 1
            if not self._width and width:
                # The header is a single line.
                self._cells = {index: " ".join(text.split()) for index, text in self._cells.items()}
                self._width = width
            width = max(width, self._width if width else 0)
            line = SEPARATOR.join([quote_cell(self._cells.get(index, ""), SEPARATOR) for index in range(width)])
            self.lines.append((self._row, self._offset, "\n" * self._skipped + line + "\n"))
            self.text_length += len(self.lines[-1][2])
        elif name == "rPh":
            self._phonetic_depth -= 1
        elif name == "sheetData":
            self._has_ended = True
            self._parser.ignore_elements()

    def _end_cell(self) -> None:
        value = "".join(self._text)
        if self._kind == "s" and value:
            value = self._texts[_integer(value)]
            self._size += len(value)
        else:
            value = cell_text(self._kind, value, self._style, self._styles)
        # A row with more columns is rejected, so that only their number matters.
        if value and self._size < 2 * MAX_ROW_BYTES:
            self._cells[min(self._column, MAX_COLUMNS)] = value


def _integer(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise InvalidWorkbook
    return int(text)
