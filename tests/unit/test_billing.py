"""Prices, months and invoices as people write them, and the charged days of one instance."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from syncer.errors import ConfigurationError
from syncer.model import Transition
from syncer.views.bill import Charge, Step, charged_days, parse_amount
from syncer.views.invoice import Invoice, compare_invoice, read_invoice

NO_NAMES: dict[str, str | None] = {}


def step(word: str, moment: str, *, tariff: str = "A", deleted: bool = False) -> Step:
    """A step at a moment in the billing zone."""
    return Step(
        1, "default", tariff, Transition(word), datetime.fromisoformat(f"{moment}+03:00").astimezone(UTC), deleted
    )


def days(*steps: Step) -> list[tuple[str | None, int]]:
    return [(since.tariff, day.day) for since, day in charged_days(steps, date(2026, 11, 1), date(2026, 11, 11))]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([step("created", "2026-11-08 10:00")], [("A", 8), ("A", 9), ("A", 10)]),
        ([step("created", "2026-11-08 00:00")], [("A", 8), ("A", 9), ("A", 10)]),
        ([step("created", "2026-11-08 10:00"), step("deleted", "2026-11-08 11:00", deleted=True)], [("A", 8)]),
        ([step("created", "2026-11-08 10:00"), step("deleted", "2026-11-09 00:00", deleted=True)], [("A", 8)]),
        (
            [step("created", "2026-11-08 10:00"), step("deleted", "2026-11-09 00:01", deleted=True)],
            [("A", 8), ("A", 9)],
        ),
        ([step("created", "2026-10-08 10:00"), step("vanished", "2026-11-02 12:00")], [("A", 1), ("A", 2)]),
        ([step("created", "2026-10-08 10:00"), step("deleted", "2026-10-09 10:00", deleted=True)], []),
        (
            [
                step("created", "2026-10-08 10:00"),
                step("deleted", "2026-11-02 10:00", deleted=True),
                step("restored", "2026-11-09 10:00"),
            ],
            [("A", 1), ("A", 2), ("A", 10)],
        ),
        (
            [step("created", "2026-11-07 10:00"), step("changed", "2026-11-08 10:00", tariff="B")],
            [("A", 7), ("A", 8), ("B", 9), ("B", 10)],
        ),
        ([step("created", "2026-11-07 10:00"), step("deleted", "2026-11-01 10:00", deleted=True)], [("A", 7)]),
        (
            [
                step("created", "2026-11-02 10:00"),
                step("changed", "2026-11-09 10:00", tariff="B"),
                step("deleted", "2026-11-04 10:00", tariff="B", deleted=True),
            ],
            [("A", 2), ("A", 3), ("A", 4)],
        ),
        (
            [
                step("created", "2026-11-02 10:00"),
                step("vanished", "2026-11-06 10:00"),
                step("reappeared", "2026-11-08 10:00", deleted=True),
                step("deleted", "2026-11-04 10:00", deleted=True),
            ],
            [("A", 2), ("A", 3), ("A", 4)],
        ),
        (
            [
                step("created", "2026-11-02 10:00"),
                step("deleted", "2026-11-06 10:00", deleted=True),
                step("restored", "2026-11-08 10:00"),
                step("deleted", "2026-11-04 10:00", deleted=True),
            ],
            [("A", 2), ("A", 3), ("A", 4), ("A", 5), ("A", 6)],
        ),
    ],
)
def test_an_instance_is_charged_when_created_and_at_each_midnight(
    steps: list[Step], expected: list[tuple[str, int]]
) -> None:
    assert expected == days(*steps)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("12.5", "12.5"), ("1 234,50", "1234.50"), ("1,234.50", "1234.50"), ("1\u00a0000", "1000"), ("-3", "-3"), ("1e5", None), ("", None), ("NaN", None), ("1.2.3", None)],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(written: str, expected: str | None) -> None:
    assert (None if expected is None else Decimal(expected)) == parse_amount(written)


def test_differences_are_told_by_kind() -> None:
    ours = {key: Charge(10, Decimal("25.00"), "RUB") for key in ("1", "2", "3", "5")}
    invoice = Invoice(
        "id",
        {
            "1": (10, Decimal("25.004")),
            "2": (11, Decimal("27.50")),
            "3": (10, Decimal("26.00")),
            "4": (1, Decimal("2.50")),
        },
    )

    assert [("only_invoiced", "4"), ("only_seen", "5"), ("days", "2"), ("amount", "3")] == [
        (one.kind, one.key) for one in compare_invoice(invoice, ours)
    ]


def test_rows_of_one_instance_are_added_up_and_other_alphabets_read(tmp_path: Path) -> None:
    path = tmp_path / "invoice.csv"
    path.write_bytes("Инстанс\tДней\tСумма\n7\t1\t2,5\n7\t2\t5\n\t9\t\n".encode("cp1251"))

    assert Invoice("id", {"7": (3, Decimal("7.5"))}) == read_invoice(path, NO_NAMES)


@pytest.mark.parametrize(
    ("content", "names", "complaint"),
    [
        ("", NO_NAMES, "needs a column of instance ids or tariffs"),
        ("a,b\n1,2\n", NO_NAMES, "it has a, b; name them"),
        ("id,days\n1,many\n", NO_NAMES, "line 2: 'many' is no number"),
        ("id,days\n1,1.5\n", NO_NAMES, "no whole number"),
        ("id,days\n1,2\n", {"amount": "cost"}, "has no column 'cost'"),
        ("PK\x03\x04\x00, a workbook", NO_NAMES, "it is no CSV file; save it as CSV in UTF-8 first"),
        ("a\rb,c\n1,2\n", NO_NAMES, "it is no CSV file"),
        ("id,days\n1,2\r3,4\n", NO_NAMES, "it is no CSV file"),
    ],
)
def test_a_file_that_is_no_invoice_is_told_in_one_line(
    tmp_path: Path, content: str, names: dict[str, str | None], complaint: str
) -> None:
    path = tmp_path / "invoice.csv"
    path.write_bytes(content.encode())

    with pytest.raises(ConfigurationError, match=complaint):
        read_invoice(path, names)
