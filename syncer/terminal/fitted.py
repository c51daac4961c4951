"""A table laid out for where it goes: in a pipe a record is a line, on a terminal nothing is lost for want of room."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from syncer.terminal.printing import value_text
from syncer.terminal.width import cells

WIDEST_ALIGNED = 60  # columns; in a pipe a longer cell moves the rest of its own line, and of no other
NARROWEST_PROSE = 12  # columns
GAP = 2  # columns between two


class FittedTable:
    """A plain table; numbers stand right. Where it is too wide for a terminal, each row is a line of named values."""

    def __init__(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], prose: Collection[int]
    ) -> None:
        self._title = title
        self._columns = columns
        self._rows = [list(row) for row in rows]
        self._prose = prose
        self._cells = [[value_text(cell) if cell is not None else "" for cell in row] for row in self._rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not console.is_terminal:
            yield from self._records()
            return
        places = list(range(len(self._columns)))
        least, wanted = self._measured(console, options)
        below = places[-1] if _needed(wanted, places) > options.max_width and places[-1] in self._prose else None
        across = [place for place in places if place != below]
        if _needed(least, across) > options.max_width:  # what says nothing is left out
            across = [place for place in across if any(row[place] for row in self._rows)]
        if not across or _needed(least, across) > options.max_width:
            yield from self._lines(console, options.max_width)
            return
        widths = self._widths(least, wanted, across, options.max_width)
        yield Text(self._title, style="italic")
        yield self._aligned(widths, [self._columns], "bold")
        for row in self._cells:
            yield self._aligned(widths, [row])
            if below is not None and row[below]:
                for line in Text(row[below], overflow="fold").wrap(console, options.max_width - 4):
                    yield Text("    ") + line

    def _measured(self, console: Console, options: ConsoleOptions) -> tuple[list[int], list[int]]:
        """How wide each column is at least, and how wide it would be."""
        widest = options.update(max_width=10_000)
        least, wanted = [], []
        for place in range(len(self._columns)):
            column = [row[place] for row in [self._columns, *self._cells]]
            longest_word = max(Measurement.get(console, widest, Text(cell)).minimum for cell in column)
            least.append(min(longest_word, NARROWEST_PROSE) if place in self._prose else longest_word)
            wanted.append(max(map(cells, column)))
        return least, wanted

    def _aligned(self, widths: Mapping[int, int], rows: Iterable[Sequence[str]], style: str = "") -> Table:
        made = Table(box=None, pad_edge=False, show_header=False, style=style)
        for place, width in widths.items():
            made.add_column(justify="right" if self._is_number(place) else "left", overflow="fold", width=width)
        for row in rows:
            made.add_row(*(row[place] for place in widths))
        return made

    def _widths(self, least: Sequence[int], wanted: Sequence[int], places: Sequence[int], room: int) -> dict[int, int]:
        """How wide each column is: what all have at least, and the rest for those that want more, prose last.

        The library would shrink a column below its least, then show it wider than it folds it: letters were lost.
        """
        widths = {place: least[place] for place in places}
        more = [place for place in places if wanted[place] > least[place]]
        more.sort(key=lambda place: (place in self._prose, wanted[place] - least[place]))
        for served, place in enumerate(more):
            left = room - _needed(widths, places)
            share = left // (len(more) - served) if place in self._prose else left
            widths[place] += min(wanted[place] - least[place], share)
        return widths

    def _is_number(self, place: int) -> bool:
        return bool(self._rows) and all(isinstance(row[place], int) or row[place] is None for row in self._rows)

    def _records(self) -> RenderResult:
        """One line a record, for what reads lines; columns are aligned where that makes them no wider than need be."""
        yield Text(self._title, no_wrap=True)
        rows = [list(self._columns), *self._cells]
        widths = [
            max((min(cells(row[place]), WIDEST_ALIGNED) for row in rows), default=0)
            for place in range(len(self._columns))
        ]
        for row in rows:
            padded = [
                " " * (width - cells(cell)) + cell if self._is_number(place) else cell + " " * (width - cells(cell))
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            yield Text("  ".join(padded).rstrip(), no_wrap=True)

    def _lines(self, console: Console, width: int) -> RenderResult:
        yield Text(self._title, style="italic")
        for row in self._cells:
            named = "  ".join(
                f"{column} {cell}" if column else cell for column, cell in zip(self._columns, row, strict=True) if cell
            )
            first, *others = Text(named, overflow="fold").wrap(console, width - 4)
            yield first
            for other in others:
                yield Text("    ") + other


def _needed(widths: Mapping[int, int] | Sequence[int], places: Sequence[int]) -> int:
    """How many columns of a terminal the table's take, with the gaps between."""
    return sum(widths[place] for place in places) + GAP * (len(places) - 1)
