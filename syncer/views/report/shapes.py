"""What a picture is made of. Across, a place is in per cent of its width; down, and in text, it is in pixels.

So a picture fills a phone as well as a desk, and its words keep their size. Labels are kept apart for `NARROWEST`.
"""

from typing import NamedTuple

NARROWEST = 286  # pixels that a picture has on a phone of 360
LETTER = 7.4  # pixels of a figure or letter of an axis, of a wide font


class Rect(NamedTuple):
    """A box; `kind` says what it shows, and by that its colour; `tip` is told by a pointer that rests on it."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    tip: str = ""


class Label(NamedTuple):
    """A text on its base line; `anchor` is start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    kind: str = "tick"


class Line(NamedTuple):
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    kind: str = "rule"


class Area(NamedTuple):
    """A shape that is stretched with the picture; `path` counts per cent across and pixels down."""

    path: str
    kind: str


Mark = Rect | Label | Line | Area


class Picture(NamedTuple):
    """What is drawn, from back to front; `label` says to those who do not see it what it shows."""

    height: int
    label: str
    marks: list[Mark]


def reach(label: Label) -> tuple[float, float]:
    """Where a label begins and ends on the narrowest page, in per cent."""
    width = 100 * len(label.text) * LETTER / NARROWEST
    start = label.x - {"start": 0, "middle": width / 2, "end": width}[label.anchor]
    return start, start + width


def kept_within(label: Label) -> Label:
    """The label within the picture, even on the narrowest page."""
    start, end = reach(label)
    if start < 0:
        return label._replace(x=0.0, anchor="start")
    return label._replace(x=100.0, anchor="end") if end > 100 else label
