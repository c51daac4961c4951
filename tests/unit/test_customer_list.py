"""A list of customers as people keep it: what is read of it, what is refused, and what it changes."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from syncer.errors import ConfigurationError
from syncer.rules.customers import Assignment, changes
from syncer.terminal.customers import sum_up, tell_changes
from syncer.views.customers import read_list
from syncer.words.language import Language
from syncer.words.terminal import terminal_words

PLAIN = Assignment(1101000001, "Ёлка", date(2026, 10, 1), None, None, None)
SOLD = PLAIN._replace(daily_price=Decimal("12.5"), currency="RUB")


def listed(tmp_path: Path, content: str | bytes) -> list[Assignment]:
    path = tmp_path / "customers.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_list(path).assignments)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id,customer,from\n1101000001,Ёлка,2026-10-01\n", PLAIN),
        ("\ufeffид;клиент\nid_instance;Клиент;С\n1101000001;Ёлка;01.10.2026\n", PLAIN),
        ("инстанс\tклиент\tс\tпо\tцена\tвалюта\n1101000001.0\t Ёлка \t1.10.2026\t\t12,50\tRUB\n", SOLD),
        ("customer,instance,since,to,price\nЁлка,1 101 000 001,2026-10-01 00:00:00,,12.50 ₽\n", SOLD),
        ("id;customer;from;price, руб\n1101000001;Ёлка;2026-10-01;12,5\n", SOLD),
        ("id;customer;from;price;currency\n1101000001;Ёлка;2026-10-01;;RUB\n", PLAIN),
        ("id,customer,from,price,currency\n1101000001,Ёлка,2026-10-01,0,usd\n", PLAIN._replace(daily_price=Decimal(0), currency="USD")),
        ("id;customer;from;to\n1101000001;Ёлка;2026-10-01;2026-10-01\n;;;\nИтого;1;;\n", PLAIN._replace(valid_to=date(2026, 10, 1))),
        ("id;клиент;с\n1101000001;Ёлка;2026-10-01\n".encode("cp1251"), PLAIN),
        ('id,customer,from\n1101000001,"Total  Energies, Ltd",2026-10-01\n', PLAIN._replace(customer="Total Energies, Ltd")),
        ("customer,id,from\nTotal,1101000001,2026-10-01\n", PLAIN._replace(customer="Total")),
    ],
)  # fmt: skip
def test_a_line_is_read_as_spreadsheets_save_it(tmp_path: Path, content: str | bytes, expected: Assignment) -> None:
    assert [expected] == listed(tmp_path, content)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1,a,2026-10-01,2026-09-30,,", "line 2: the last day, 2026-09-30, lies before the first, 2026-10-01"),
        ("1,a,,,,", "line 2: instance 1 has no first day"),
        ("1,,2026-10-01,,,", "line 2: instance 1 has no customer"),
        ("one,a,2026-10-01,,,", "line 2: 'one' is no instance id"),
        ("0,a,2026-10-01,,,", "line 2: '0' is no instance id"),
        ("1.101E+09,a,2026-10-01,,,", "line 2: '1.101E\\+09' has lost digits"),
        ("1,a,10/01/2026,,,", "line 2: '10/01/2026' is no day"),
        ("1,a,2026-02-29,,,", "line 2: '2026-02-29' is no day"),
        ("1,a,2026-10-01,31.12.9999,,", "line 2: '31.12.9999' is no day of this time; leave the cell empty"),
        ('1,a,2026-10-01,,"1,250",RUB', "line 2: '1,250' can be read in two ways"),
        ("1,a,2026-10-01,,-1,RUB", "line 2: '-1' is no price per day"),
        ("1,a,2026-10-01,,0.0000001,RUB", "line 2: '0.0000001' is no price per day"),
        ("1,a,2026-10-01,,2000000,RUB", "line 2: '2000000' is more than the largest price"),
        ("1,a,2026-10-01,,5,", "line 2: the price 5 has no currency"),
        ("1,a,2026-10-01,,5 ₽,USD", "line 2: its price is in RUB and in USD"),
        ("1,a,2026-10-01,,5,roubles", "line 2: 'roubles' is no currency"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        listed(tmp_path, f"id,customer,from,to,price,currency\n{line}\n")


@pytest.mark.parametrize(
    ("lines", "numbers"),
    [
        (["1,a,2026-10-01,2026-10-31", "2,a,2026-10-01,", "1,b,2026-10-31,"], "2 and 4"),
        (["1,a,2026-10-05,2026-10-06", "1,b,2026-10-01,"], "2 and 3"),
        (["1,a,2026-10-01,", "1,a,2026-10-01,"], "2 and 3"),
    ],
)
def test_days_of_one_instance_that_overlap_are_refused_with_both_lines(
    tmp_path: Path, lines: list[str], numbers: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"lines {numbers} both have instance 1 on a day"):
        listed(tmp_path, "\n".join(["id,customer,from,to", *lines]))


def test_days_that_follow_one_another_do_not_overlap(tmp_path: Path) -> None:
    content = "id,customer,from,to\n1,a,2026-10-01,2026-10-31\n1,b,2026-11-01,\n2,b,2026-10-15,\n"

    assert 3 == len(listed(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"id,customer\n1,a\n", "needs columns id, customer and from .* it has id, customer"),
        (b"", "it has none"),
        (b"PK\x03\x04\0\0", "it is no CSV file"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        listed(tmp_path, content)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory; correct the path"):
        read_list(tmp_path / "none.csv")


def test_columns_that_are_not_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("id,customer,from,price per month,manager\n1,a,2026-10-01,300,Ann\n")

    assert ["price per month", "manager"] == read_list(path).unread


def test_what_a_list_changes_is_told_row_by_row() -> None:
    other = SOLD._replace(id_instance=2)
    third = SOLD._replace(id_instance=3, valid_to=date(2026, 10, 31))
    found = changes([PLAIN, other, third], [SOLD, other, SOLD._replace(id_instance=4)])

    words = terminal_words(Language.EN)

    assert [
        "- 3 Ёлка from 2026-10-01 to 2026-10-31, 12.5 RUB a day",
        "~ 1101000001 Ёлка from 2026-10-01: price of a day none -> 12.5, currency none -> RUB",
        "+ 4 Ёлка from 2026-10-01 on, 12.5 RUB a day",
    ] == list(tell_changes(words, found))
    assert "1 added, 1 changed, 1 removed, 1 as they were" == sum_up(words, found)


@pytest.mark.parametrize(
    ("known", "left", "held"), [(4, 2, False), (4, 1, True), (3, 1, True), (1, 0, True), (0, 0, False)]
)
def test_a_list_that_drops_more_than_half_is_held(known: int, left: int, held: bool) -> None:
    rows = [PLAIN._replace(id_instance=number) for number in range(1, known + 1)]

    assert held is changes(rows, rows[:left]).drops_most
