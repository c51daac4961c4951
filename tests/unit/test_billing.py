"""Prices, months and invoices as people write them."""

from decimal import Decimal
from pathlib import Path

import pytest

from syncer.errors import ConfigurationError
from syncer.views.bill import Charge, plus, totals
from syncer.views.invoice import Billed, Invoice, compare_invoice, read_invoice
from syncer.views.rates import parse_amount, parse_rate

NO_NAMES: dict[str, str | None] = {}


def rub(days: int, amount: str | None, unpriced_days: int = 0) -> Charge:
    return Charge(days, None if amount is None else Decimal(amount), None if amount is None else "RUB", unpriced_days)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("12.5", "12.5"), ("1 234,50", "1234.50"), ("1,234.50", "1234.50"), ("1\u00a0000", "1000"), ("-3", "-3"), ("1,234,567", "1234567"), ("1e5", None), ("", None), ("NaN", None), ("1.2.3", None)],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(written: str, expected: str | None) -> None:
    assert (None if expected is None else Decimal(expected)) == parse_amount(written)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("1,250", "'1,250' can be read in two ways; write 1250, or 1.250 with a point"),
        ("12 345,678", "write 12345678, or 12345.678 with a point"),
        ("999999999999", "more than the largest price per day that works, 1000000"),
        ("0.1234567", "at most 6 decimals"),
        ("-1", "no price per day"),
    ],
)
def test_a_rate_that_cannot_be_meant_is_refused(written: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        parse_rate(written)


def test_the_largest_rate_is_taken() -> None:
    assert Decimal(1_000_000) == parse_rate("1000000")


def test_days_without_a_rate_take_no_amount_away() -> None:
    both = plus(rub(30, "220", 8), rub(17, "170"))

    assert rub(47, "390", 8) == both
    assert [
        {"days": 39, "amount": Decimal(390), "currency": "RUB"},
        {"days": 8, "amount": None, "currency": None},
    ] == totals([both])
    assert Charge(4, None, None) == plus(rub(1, "1"), Charge(3, Decimal(3), "USD"))


def compared(billed: Billed, ours: Charge) -> tuple[bool, list[str]]:
    comparison = compare_invoice(Invoice("id", {"1": billed}), {"1": ours})
    return comparison.agrees, [one.kind for one in comparison.differences]


@pytest.mark.parametrize(
    ("billed", "ours", "expected"),
    [
        (Billed(10, Decimal("25.004")), rub(10, "25"), (True, [])),
        (Billed(11, Decimal("27.50")), rub(10, "25"), (False, ["days"])),
        (Billed(10, Decimal(26)), rub(10, "25"), (False, ["amount"])),
        (Billed(1, Decimal("0.13")), rub(1, "0.125"), (True, [])),
        (Billed(1, Decimal("0.12")), rub(1, "0.125"), (False, ["amount"])),
        (Billed(None, Decimal(25)), rub(10, "25"), (True, [])),
        (Billed(None, Decimal(25)), rub(10, None, 10), (False, ["not_compared"])),
        (Billed(None, Decimal(25)), rub(10, "20", 2), (False, ["not_compared"])),
        (Billed(10, Decimal(25)), rub(10, None, 10), (True, [])),
        (Billed(10, Decimal(25), "USD"), rub(10, "25"), (False, ["currency"])),
        (Billed(10, Decimal(25), "RUB"), rub(10, "25"), (True, [])),
    ],
)
def test_an_invoice_agrees_where_all_that_can_be_compared_is_equal_and_something_can(
    billed: Billed, ours: Charge, expected: tuple[bool, list[str]]
) -> None:
    assert expected == compared(billed, ours)


def test_differences_are_told_by_kind() -> None:
    ours = {key: rub(10, "25.00") for key in ("1", "2", "3", "5")}
    rows = {
        "1": Billed(10, Decimal("25.00")),
        "2": Billed(11, Decimal("27.50")),
        "3": Billed(10, Decimal("26.00")),
        "4": Billed(1, Decimal("2.50")),
    }
    comparison = compare_invoice(Invoice("id", rows), ours)

    assert [("only_invoiced", "4"), ("only_seen", "5"), ("days", "2"), ("amount", "3")] == [
        (one.kind, one.key) for one in comparison.differences
    ]
    assert not compare_invoice(Invoice("id", {}), {}).agrees


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Инстанс\tДней\tСумма\n7\t1\t2,5\n7\t2\t5\n\t9\t\n", Invoice("id", {"7": Billed(3, Decimal("7.5"))})),
        (
            "Счёт № 5 от 01.10.2026, ООО «Ромашка»\n;;\nid;amount\n110100000001.0;1255.50 ₽\nИтого;1255.50\n",
            Invoice("id", {"110100000001": Billed(None, Decimal("1255.50"), "RUB")}),
        ),
        (
            "id,price,days,amount\n1,2.5,4,10\nTotal,,4,10\n",
            Invoice("id", {"1": Billed(4, Decimal(10))}),
        ),
        (
            "name;id;days\nTotal Taxi;1101000077;31\nИтого;1;31\nВсего;2 инстанса;31\n",
            Invoice("id", {"1101000077": Billed(31, None)}),
        ),
        ("id,amount (USD)\n1,10\n", Invoice("id", {"1": Billed(None, Decimal(10), "USD")})),
        ("id,sum,currency\n1,10,usd\n", Invoice("id", {"1": Billed(None, Decimal(10), "USD")})),
        ("id,amount\n110 100 000 001,$10\n", Invoice("id", {"110100000001": Billed(None, Decimal(10), "USD")})),
        ("tariff,days\nBUSINESS,3\nВсего,3\n", Invoice("tariff", {"BUSINESS": Billed(3, None)})),
        ("id;amount\n1;1 255,50 руб.\n", Invoice("id", {"1": Billed(None, Decimal("1255.50"), "RUB")})),
    ],
)
def test_an_invoice_is_read_as_spreadsheets_save_it(tmp_path: Path, content: str, expected: Invoice) -> None:
    path = tmp_path / "invoice.csv"
    path.write_text(content, "utf-8-sig")

    assert expected == read_invoice(path, NO_NAMES)


def test_another_alphabet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "invoice.csv"
    path.write_bytes("Инстанс\tСумма\n7\t2,5\n".encode("cp1251"))

    assert Invoice("id", {"7": Billed(None, Decimal("2.5"))}) == read_invoice(path, NO_NAMES)


@pytest.mark.parametrize(
    ("content", "names", "complaint"),
    [
        ("", NO_NAMES, "needs a column of instance ids or tariffs"),
        ("a,b\n1,2\n", NO_NAMES, "it has a, b; name them"),
        ("id,days\n1,many\n", NO_NAMES, "line 2: 'many' is no number"),
        ("id,days\n1,1.5\n", NO_NAMES, "no whole number"),
        ("id,days\n1,2\n", {"amount": "cost"}, "has no column 'cost'"),
        ("id;amount\n1;1,250\n", NO_NAMES, "line 2: '1,250' can be read in two ways; write 1250, or 1.250"),
        ("id,amount\n1.101E+11,5\n", NO_NAMES, "has lost digits of the id"),
        ("id,amount\nabc,5\n", NO_NAMES, "'abc' is no instance id"),
        ("id,price\n1,5\n", NO_NAMES, "may be the price of a day; name the column of the amounts"),
        ("id,amount\n1,5 USD\n1,5 RUB\n", NO_NAMES, "1 is billed in USD and RUB"),
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
