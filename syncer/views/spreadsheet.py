"""Tables as spreadsheets save them: of three separators, with any preamble, numbers with spaces or a currency."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from syncer.errors import ConfigurationError
from syncer.model import LARGEST_ID
from syncer.views.rates import parse_amount, refuse_ambiguous

SEPARATORS = (";", "\t", ",")
HEADING_LINES = 30  # within which the line of headings is looked for
IDS = ("id_instance", "idinstance", "instance_id", "instanceid", "instance", "id", "инстанс", "id инстанса")
"""What a column of instance ids is called."""
CURRENCIES = {"₽": "RUB", "руб": "RUB", "р": "RUB", "$": "USD", "€": "EUR", "₸": "KZT", "тенге": "KZT"}
FIRST_YEAR, LAST_YEAR = 2000, 2199  # of a day that somebody means
_SUMS = re.compile(r"(итого|всего|total|subtotal|grand total|sum)\b", re.IGNORECASE)
_MONEY = re.compile(r"([^\d\s+-]*)\s*([+-]?[\d\s\u00a0\u202f',.]*\d)\s*([^\d]*)")
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ]00:00(?::00(?:\.0+)?)?)?|(\d\d?)\.(\d\d?)\.(\d{4})")

Lines = Iterator[tuple[int, list[str]]]


class Headed(NamedTuple):
    """A table whose line of headings was found: which column holds what, what the headings are, and what follows."""

    columns: Mapping[str, int]
    headings: Sequence[str]
    lines: Lines

    def cell(self, cells: Sequence[str], part: str) -> str:
        """What a line says of a part; nothing where the column or the cell is not there."""
        place = self.columns.get(part, len(cells))
        return cells[place] if place < len(cells) else ""


def read_text(where: str, path: Path) -> str:
    """A CSV file in UTF-8, or as a Russian spreadsheet saves it; raises `ConfigurationError`."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        problem = f"{error.strerror}; correct the path"
        raise ConfigurationError(f"{where}: reading {path}: {problem}") from None
    if b"\0" in raw:  # a workbook, or UTF-16
        raise no_csv(where, path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1251", "replace")


def no_csv(where: str, path: Path) -> ConfigurationError:
    """What is said of a file that is none."""
    return ConfigurationError(f"{where}: reading {path}: it is no CSV file; save it as CSV in UTF-8 first")


def find_headings(content: str, columns_of: Callable[[Sequence[str]], Mapping[str, int] | None]) -> Headed | None:
    """The table, by the first line of which `columns_of` says that it holds the headings; raises `csv.Error`."""
    for separator in SEPARATORS:
        lines = lines_of(content, separator)
        for _, cells in islice(lines, HEADING_LINES):
            columns = columns_of(cells)
            if columns is not None:
                return Headed(columns, cells, lines)
    return None


def first_lines(content: str) -> list[list[str]]:
    """The lines of a table whose headings were not found, by the separator that its first line has most of."""
    separator = max(SEPARATORS, key=content.partition("\n")[0].count)
    return [cells for _, cells in islice(lines_of(content, separator), HEADING_LINES)]


def lines_of(content: str, separator: str) -> Lines:
    """Lines that hold anything, by their number, in cells."""
    for number, cells in enumerate(csv.reader(io.StringIO(content), delimiter=separator), 1):
        if any(cell.strip() for cell in cells):
            yield number, [cell.strip() for cell in cells]


def places(cells: Sequence[str], names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Which column bears one of the names of a part; the first of those that do."""
    headings = {plain_heading(cell): place for place, cell in reversed(list(enumerate(cells)))}
    found = {part: next((headings[name] for name in known if name in headings), None) for part, known in names.items()}
    return {part: place for part, place in found.items() if place is not None}


def plain_heading(cell: str) -> str:
    """In lower case, without a currency that stands behind a comma or in parentheses."""
    return re.sub(r"\s*(,|\(|\[).*", "", cell.strip().lower())


def heading_currency(table: Headed, part: str) -> str | None:
    """The currency that stands in the heading of a column of amounts."""
    if part not in table.columns:
        return None
    _, _, behind = re.sub(r"[(\[]", ",", table.headings[table.columns[part]]).partition(",")
    return currency_of(behind.strip(" )]"))


def is_sum(cell: str) -> bool:
    """Whether a line that begins so adds up the others."""
    return _SUMS.match(cell) is not None


def instance_id(where: str, written: str) -> int:
    """An id, of which a spreadsheet may have made a number with decimals; raises `ConfigurationError`."""
    plain = re.sub(r"[\s\u00a0\u202f']|[.,]0+$", "", written)
    if re.fullmatch(r"[0-9.,]+[eE]\+?[0-9]+", plain):
        raise ConfigurationError(f"{where}: {written!r} has lost digits of the id; make the column text, and save anew")
    if not re.fullmatch(r"[0-9]{1,19}", plain) or not 1 <= int(plain) <= LARGEST_ID:
        raise ConfigurationError(f"{where}: {written!r} is no instance id")
    return int(plain)


def number(where: str, written: str) -> tuple[Decimal | None, str | None]:
    """A number, and the currency that stands beside it; raises `ConfigurationError`."""
    if not written:
        return None, None
    found = _MONEY.fullmatch(written)
    beside = (found[1] or found[3]).strip(" .") if found else ""
    currency = currency_of(beside)
    if not found or (beside and currency is None):
        raise ConfigurationError(f"{where}: {written!r} is no number")
    refuse_ambiguous(where, found[2])
    amount = parse_amount(found[2])
    if amount is None:
        raise ConfigurationError(f"{where}: {written!r} is no number")
    return amount, currency


def currency_of(written: str) -> str | None:
    """A currency's code, by its code, its sign or its name; None for what is none."""
    word = written.strip(" .").lower()
    if word in CURRENCIES:
        return CURRENCIES[word]
    return word.upper() if re.fullmatch(r"[a-z]{3}", word) else None


def day(where: str, written: str) -> date:
    """A day as 2026-10-01 or 01.10.2026; raises `ConfigurationError`."""
    found = _DAY.fullmatch(written)
    try:
        year, month, day_ = map(
            int, found.group(1, 2, 3) if found and found[1] else found.group(6, 5, 4) if found else ()
        )
        read = date(year, month, day_)
    except ValueError:
        raise ConfigurationError(f"{where}: {written!r} is no day such as 2026-10-01 or 01.10.2026") from None
    if not FIRST_YEAR <= read.year <= LAST_YEAR:
        raise ConfigurationError(
            f"{where}: {written!r} is no day of this time; leave the cell empty where there is none"
        )
    return read
