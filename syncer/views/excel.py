"""A view as Excel opens it with a double click: ids that stay whole, times and amounts that are some.

Excel knows no zones, so times stand at UTC+3, where the upstream bills, and the heading of their column says so. A
number of more than 15 digits loses its end there, and one of 12 is shown rounded, so an id is text.
"""

import csv
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any, NamedTuple

from sqlalchemy.sql.expression import TableClause

from syncer.errors import ConfigurationError
from syncer.rules.timeline import BILLING_OFFSET
from syncer.storage.tables import UtcDateTime
from syncer.views.strangers_text import cell

MOST_ROWS = 1_048_576  # of a sheet, with its heading
LONGEST_TEXT = 32_767  # characters of a cell
BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes the file for one of the machine's old code page
WIDTHS = {"name": 32, "last_error": 60, "id_instance": 16}
WIDTH, WIDTH_OF_TIMES = 12, 20
BUTTON = 4  # of the filter, which lies over the end of a heading; characters

Put = Callable[[Sequence[Mapping[str, Any]] | None], None]


def headings(view: TableClause) -> list[str]:
    """The names of the columns, with the offset of those that hold times."""
    return [
        f"{column.name} (UTC+3)" if isinstance(column.type, UtcDateTime) else column.name for column in view.columns
    ]


def csv_writer(view: TableClause, out: IO[bytes]) -> Put:
    """CSV for a double click where decimals have a comma; elsewhere a workbook serves, which asks no locale."""
    names = [column.name for column in view.columns]
    text = Encoded(out)
    text.write(BYTE_ORDER_MARK)
    writer = csv.writer(text, delimiter=";")
    writer.writerow(headings(view))

    def put(rows: Sequence[Mapping[str, Any]] | None) -> None:
        writer.writerows([_csv_cell(name, row[name]) for name in names] for row in rows or ())

    return put


class Encoded:
    """Takes text for a stream of bytes, which is not its own: it neither closes nor flushes it."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """UTF-8."""
        return self._out.write(text.encode())


def _csv_cell(name: str, value: Any) -> Any:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return cell(value)
        case datetime():
            return _local(value).isoformat(" ", "seconds")
        case Decimal() | float():
            return f"{value:f}".replace(".", ",")
        case int() if name == "id_instance":
            return f'="{value}"'
        case _:
            return value


class _Forms(NamedTuple):
    """How a workbook shows what is no plain number or text."""

    day: Any
    time: Any
    text: Any


def workbook_writer(view: TableClause, out: IO[bytes]) -> Put:
    """A workbook of one sheet; its rows go to a file as they come, and into `out` at the end."""
    xlsxwriter = _library()
    folder = tempfile.TemporaryDirectory(prefix="syncer-")  # is removed with its rows, however this ends
    workbook = xlsxwriter.Workbook(out, {"constant_memory": True, "tmpdir": folder.name})
    sheet = workbook.add_worksheet(view.name)
    bold = workbook.add_format({"bold": True})
    forms = _Forms(*(workbook.add_format({"num_format": form}) for form in ("yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "@")))
    sheet.freeze_panes(1, 0)
    for place, (column, heading) in enumerate(zip(view.columns, headings(view), strict=True)):
        is_time = isinstance(column.type, UtcDateTime)
        width = WIDTH_OF_TIMES if is_time else WIDTHS.get(column.name, WIDTH)
        sheet.set_column(place, place, max(width, len(heading) + BUTTON))
        sheet.write_string(0, place, heading, bold)
    names = [column.name for column in view.columns]
    written = 1

    def put(rows: Sequence[Mapping[str, Any]] | None) -> None:
        nonlocal written
        if rows is None:
            sheet.autofilter(0, 0, written - 1, len(names) - 1)
            try:
                workbook.close()
            except xlsxwriter.exceptions.FileCreateError as error:
                raise error.args[0] from None  # the `OSError` that writing met
            finally:
                folder.cleanup()
            return
        if written + len(rows) > MOST_ROWS:
            sheet.row_data_fh.close()
            folder.cleanup()
            raise ConfigurationError(
                f"export: a sheet holds {MOST_ROWS - 1} rows, and {view.name} has more; use csv, jsonl or parquet"
            )
        for row in rows:
            for place, name in enumerate(names):
                _write(sheet, (written, place), name, row[name], forms)
            written += 1

    return put


def _library() -> Any:
    with suppress(ImportError):
        import xlsxwriter

        return xlsxwriter
    raise ConfigurationError("--format xlsx: XlsxWriter is not installed; beside syncer, run: pip install XlsxWriter")


def _write(sheet: Any, at: tuple[int, int], name: str, value: Any, forms: _Forms) -> None:
    match value:
        case None:
            return
        case bool():
            sheet.write_boolean(*at, value)
        case str():
            sheet.write_string(*at, _cut(value))
        case datetime():
            sheet.write_datetime(*at, _local(value), forms.time)
        case date():
            sheet.write_datetime(*at, value, forms.day)
        case int() if name == "id_instance":
            sheet.write_string(*at, str(value), forms.text)
        case _:
            sheet.write_number(*at, value)


def _local(moment: datetime) -> datetime:
    return (moment + BILLING_OFFSET).replace(tzinfo=None)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
