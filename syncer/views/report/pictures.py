"""The report's pictures as shapes, which a template draws as SVG: pure functions of figures and words."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from syncer.views.report.shapes import LETTER, NARROWEST, Area, Label, Line, Mark, Picture, Rect, kept_within, reach

AXIS = 22  # pixels of the line of labels below
ROW = 26  # pixels of a row of bars
MOST_CELLS = 14  # columns of a heat map whose cells have room for a figure on a desk
TICK = 15  # pixels of the line of a label

Number = Callable[[int], str]  # how a whole number is written


class Column(NamedTuple):
    """One moment of a series: its values from the lowest layer up, and whether syncer watched then."""

    label: str
    values: tuple[int, ...]
    seen: bool


class Step(NamedTuple):
    """A row of a waterfall: a level that stands by itself, or what is added to the one before."""

    label: str
    value: int
    shown: str
    is_level: bool = False


class Bar(NamedTuple):
    """A row of bars: `more` is hatched behind `value`, `note` stands below what is shown."""

    label: str
    value: float
    shown: str
    more: float = 0
    note: str = ""
    seen: bool = True


class Cell(NamedTuple):
    """A share of a cohort, of which nothing is known where syncer did not watch; `tip` says it in words."""

    share: float | None
    text: str
    tip: str


def over_time(label: str, columns: Sequence[Column], kinds: Sequence[str], number: Number) -> Picture:
    """Layers on one another along the time, the lowest first; its moments stand above those of `up_and_down`."""
    height, top = 170, 18
    step, highest = scale(max((sum(column.values) for column in columns), default=0))
    slot = 100 / max(1, len(columns))

    def down(value: float) -> float:
        return round(top + (height - 1 - top) * (1 - value / highest), 2)

    def edge(values: Sequence[int]) -> list[tuple[float, float]]:
        inner = [(round((place + 0.5) * slot, 3), down(value)) for place, value in enumerate(values)]
        return [(0, inner[0][1]), *inner, (100, inner[-1][1])] if inner else []

    marks: list[Mark] = []
    below = [0] * len(columns)
    for layer, kind in enumerate(kinds):
        above = [low + column.values[layer] for low, column in zip(below, columns, strict=True)]
        if above != below:
            marks.append(Area(_path([*edge(above), *reversed(edge(below))]) + "Z", f"{kind} area"))
            if layer == 0:
                marks.append(Area(_path(edge(above)), f"{kind} line"))
        below = above
    marks += _unseen(columns, height)
    for value in range(0, highest + 1, step):
        marks.append(Line(0, down(value), 100, down(value), "base" if value == 0 else "rule"))
        if value:
            marks.append(Label(0, down(value) - 4, number(value)))
    return Picture(height, label, marks)


def up_and_down(label: str, columns: Sequence[Column], tips: Sequence[str], number: Number) -> Picture:
    """What came, upwards, and what went, downwards, on one scale."""
    height = 132
    most = [max((column.values[side] for column in columns), default=0) for side in (0, 1)]
    room = height - AXIS - 2 * TICK
    unit = room / max(1, sum(most))
    middle = TICK + most[0] * unit
    slot = 100 / max(1, len(columns))
    marks: list[Mark] = []
    for place, (column, tip) in enumerate(zip(columns, tips, strict=True)):
        came, went = column.values
        x, width = place * slot + slot * 0.12, slot * 0.76
        if came:
            marks.append(Rect(x, middle - came * unit, width, came * unit, "came", tip))
        if went:
            marks.append(Rect(x, middle, width, went * unit, "went", tip))
    marks += [*_unseen(columns, height - AXIS), Line(0, middle, 100, middle, "base")]
    for side, y in ((0, TICK - 4), (1, height - AXIS - 3)):
        if most[side]:
            place = next(at for at, column in enumerate(columns) if column.values[side] == most[side])
            text = ("+", "\u2212")[side] + number(most[side])
            marks.append(kept_within(Label((place + 0.5) * slot, y, text, "middle", "value")))
    return Picture(height, label, [*marks, *axis([column.label for column in columns], height)])


def waterfall(label: str, steps: Sequence[Step], seen: bool) -> tuple[Picture, int]:
    """From one level to the next, row by row; and where the bars begin, which need not be at zero."""
    levels, level = [], 0
    for step in steps:
        level = step.value if step.is_level else level + step.value
        levels.append(level)
    low, high = min(levels, default=0), max(levels, default=0)
    begin = 0
    if high - low < low // 2:
        begin = max(0, low - max(1, (high - low) // 2))
        begin -= begin % max(1, 10 ** (len(str(max(1, high - low))) - 1))
    left, wide = 36.0, 34.0
    marks: list[Mark] = []

    def across(value: int) -> float:
        return round(left + wide * (value - begin) / max(1, high - begin), 3)

    before = 0
    for row, (step, level) in enumerate(zip(steps, levels, strict=True)):
        y = row * ROW
        start, end = (begin, level) if step.is_level else (before, level)
        kind = "level" if step.is_level else "came" if step.value > 0 else "went"
        x, width = min(across(start), across(end)), abs(across(end) - across(start))
        if step.value or step.is_level:
            marks.append(Rect(x, y + 5, max(width, 0.4), ROW - 10, kind))
        if row + 1 < len(steps):
            marks.append(Line(across(level), y + 5, across(level), y + ROW + ROW - 5, "link"))
        marks.append(Label(0, y + 17, step.label, "start", "name strong" if step.is_level else "name"))
        marks.append(Label(100, y + 17, step.shown, "end", "value strong" if step.is_level else "value"))
        before = level
    if not seen:
        marks.append(Rect(left, 0, wide, len(steps) * ROW, "veil"))
    return Picture(len(steps) * ROW, label, marks), begin


def bars(label: str, rows: Sequence[Bar]) -> Picture:
    """A bar a row, its value at the right."""
    largest = max((row.value + row.more for row in rows), default=0) or 1
    left, wide = 25.0, 46.0
    marks: list[Mark] = []
    y = 0
    for row in rows:
        width = wide * row.value / largest
        more = wide * row.more / largest
        marks.append(Label(0, y + 17, row.label, "start", "name"))
        if row.value:
            marks.append(Rect(left, y + 5, width, ROW - 10, "spent"))
        if row.more:
            marks.append(Rect(left + width, y + 5, more, ROW - 10, "hatched"))
        if not row.seen:
            marks.append(Rect(left, y, wide, ROW, "veil"))
        marks.append(Label(100, y + 17, row.shown, "end", "value"))
        y += ROW
        if row.note:
            marks.append(Label(100, y + 10, row.note, "end", "tick"))
            y += ROW - 8
    marks.append(Line(left, 0, left, y, "base"))
    return Picture(y, label, marks)


def heat_map(label: str, names: Sequence[str], rows: Sequence[Sequence[Cell]], heading: str) -> Picture:
    """A row a cohort, a column a month of age; a cell says its share where there is room for it."""
    columns = max((len(row) for row in rows), default=1)
    tall = max(5.0, min(24.0, 430 / max(1, len(rows))))
    every = -(-TICK // tall)
    left, top = 25.0, TICK + 5
    slot = (100 - left) / columns
    room = NARROWEST * slot / 100  # pixels of a cell on a phone
    small = "cell roomy" if room < 3.2 * LETTER else "cell"
    has_text = tall >= TICK and columns <= MOST_CELLS
    marks: list[Mark] = []
    for place, (name, cells) in enumerate(zip(names, rows, strict=True)):
        y = top + place * tall
        if place % every == 0:
            marks.append(Label(0, y + tall / 2 + 4, name, "start", "name"))
        for age, cell in enumerate(cells):
            x = left + age * slot
            gap = min(0.35, slot * 0.06)
            kind = "unseen" if cell.share is None else f"heat heat{_shade(cell.share)}"
            marks.append(Rect(x, y, slot - gap, tall - min(1.5, tall * 0.1), kind, cell.tip))
            if has_text and cell.text:
                marks.append(
                    Label(x + slot / 2, y + tall / 2 + 4, cell.text, "middle", f"{small} on{_shade(cell.share or 0)}")
                )
    step = max(1, -(-columns // max(1, int(NARROWEST * (100 - left) / 100 / 26))))
    marks += [Label(left + (age + 0.5) * slot, TICK - 3, str(age), "middle") for age in range(0, columns, step)]
    marks.append(Label(0, TICK - 3, heading))
    return Picture(round(top + len(rows) * tall), label, marks)


def slots(label: str, days: Sequence[tuple[str, int, str]], soon: int, number: Number) -> Picture:
    """A bar a day, each day a slot: its label for an axis, its count and its tip; the first `soon` days stand out."""
    height, top = 150, TICK + 4
    largest = max((n for _, n, _ in days), default=0) or 1
    plot = height - AXIS - top
    slot = 100 / max(1, len(days))
    bars: list[Rect] = []
    for place, (_, n, tip) in enumerate(days):
        tall = max(2.0, plot * n / largest) if n else 2.0
        kind = ("soon" if place < soon else "later") if n else "nothing"
        bars.append(Rect(place * slot + slot * 0.12, height - AXIS - tall, slot * 0.76, tall, kind, tip))
    marks: list[Mark] = [*bars]
    taken: list[tuple[float, float]] = []
    for place, (_, n, _) in sorted(enumerate(days), key=lambda one: (-one[1][1], one[0])):
        text = number(n)
        middle = (place + 0.5) * slot
        half = 100 * (len(text) * LETTER / 2 + 3) / NARROWEST
        start = min(max(middle - half, 0), 100 - 2 * half)
        y = bars[place].y - 4
        # No taller bar beneath it, not even by the few units that letters reach below their line.
        is_clear = all(bar.y >= bars[place].y for bar in bars if bar.x < start + 2 * half and bar.x + bar.width > start)
        if n and is_clear and all(start + 2 * half <= other or start >= end for other, end in taken):
            taken.append((start, start + 2 * half))
            marks.append(kept_within(Label(middle, y, text, "middle", "value")))
    marks.append(Line(0, height - AXIS, 100, height - AXIS, "base"))
    return Picture(height, label, [*marks, *axis([name for name, _, _ in days], height)])


def axis(labels: Sequence[str], height: int) -> list[Mark]:
    """A label a slot, as many as never touch one another, at even distances; an empty one marks nothing."""
    slot = 100 / max(1, len(labels))
    named = [place for place, label in enumerate(labels) if label]
    if len(named) > 2 and named[1] - named[0] < named[2] - named[1]:
        del named[0]  # of a month that began before
    for every in range(1, len(named) + 1):
        marks = [
            kept_within(Label((place + 0.5) * slot, height - 5, labels[place], "middle")) for place in named[::every]
        ]
        if all(reach(one)[1] + 100 * 8 / NARROWEST <= reach(other)[0] for one, other in pairwise(marks)):
            return [*marks]
    return []


def scale(largest: int) -> tuple[int, int]:
    """The step of an axis that counts, and its end: whole numbers, two to four of them above zero."""
    steps = (step * 10**power for power in range(20) for step in (1, 2, 5))
    step = next(step for step in steps if largest <= 4 * step)
    return step, step * max(1, -(-largest // step))


def _unseen(columns: Sequence[Column], height: float) -> Iterable[Mark]:
    """A veil over the time before syncer watched."""
    blind = sum(1 for column in columns if not column.seen)
    if blind:
        yield Rect(0, 0, 100 * blind / len(columns), height, "veil")


def _shade(share: float) -> int:
    """One of six steps of colour; the last is for all of a cohort alone."""
    return min(5, int(share * 5 + 1e-9))


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)
