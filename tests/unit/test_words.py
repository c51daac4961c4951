"""The catalogue has every text in every language, and each language counts and writes as its people do."""

import ast
import string
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

import syncer
from syncer.model import FIELDS, Transition
from syncer.views.invoice import KINDS
from syncer.words import language
from syncer.words.catalogue import Text, Words
from syncer.words.language import Language
from syncer.words.receivers import RECEIVERS
from syncer.words.report import REPORT
from syncer.words.statement import STATEMENT
from syncer.words.terminal import TERMINAL

NOUNS = {f"field {name}": field.noun for name, field in FIELDS.items()}
ALL = {**REPORT, **STATEMENT, **RECEIVERS, **{f"terminal {key}": text for key, text in TERMINAL.items()}, **NOUNS}
ROOT = Path(syncer.__file__).parent
FORMS = {Language.EN: 2, Language.RU: 3}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def forms(text: Text, of: Language) -> tuple[str, ...]:
    found = text.forms(of)
    return (found,) if isinstance(found, str) else found


@pytest.mark.parametrize("key", ALL)
def test_a_text_is_whole_in_every_language_and_asks_for_the_same_values(key: str) -> None:
    text = ALL[key]
    asked = {name: {frozenset(placeholders(form)) for form in forms(text, name)} for name in Language}

    assert all(form.rstrip() == form and form for name in Language for form in forms(text, name))
    assert asked[Language.EN] == asked[Language.RU]
    for name in Language:
        assert len(asked[name]) == 1
        assert len(forms(text, name)) in {1, FORMS[name]}
    assert (len(forms(text, Language.EN)) == 1) == (len(forms(text, Language.RU)) == 1)


def test_no_text_hides_another_one_that_is_spoken_beside_it() -> None:
    assert set() == REPORT.keys() & RECEIVERS.keys()


def test_russian_is_russian() -> None:
    """What has no Cyrillic letter holds nothing but places to fill in and signs."""
    letters = {
        key: "".join(part for part, *_ in string.Formatter().parse(form))
        for key, text in ALL.items()
        for form in forms(text, Language.RU)
    }

    assert [] == [
        key
        for key, said in letters.items()
        if any(sign.isalpha() for sign in said.replace("UTC", "").replace("syncer", ""))
        and not any("а" <= sign.lower() <= "я" for sign in said)
    ]


def strings(*folders: str) -> Iterator[str]:
    """Every text that the code holds, the pieces of a composed one apart."""
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def asked_for(*folders: str) -> Iterator[str]:
    """The keys that the code asks for by name, and the headings of tables in words."""
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("words", "words.counted")):
                    yield from (one.value for one in node.args[:1] if isinstance(one, ast.Constant))


COMPOSED = {
    *(f"life_{word}" for word in Transition),
    *(f"is_{word}" for word in ("active", "expired", "deleted", "vanished", "purged")),
    *(f"invoice_{kind}" for kind in KINDS),
}


def test_no_key_of_the_terminal_is_missing_or_unused() -> None:
    held = set(strings("cli", "terminal", "views"))
    used = {key for key in TERMINAL if key in held or (key.startswith("col_") and key[4:] in held)}

    assert set() == COMPOSED - TERMINAL.keys()
    assert set() == TERMINAL.keys() - used - COMPOSED
    assert set() == {key for key in asked_for("cli", "terminal") if key not in TERMINAL}
    assert set() == {key for key in asked_for("views") if key not in {*TERMINAL, *REPORT, *STATEMENT}}


def test_a_refusal_of_an_unknown_key_is_a_defect() -> None:
    with pytest.raises(KeyError):
        Words(Language.RU, TERMINAL)("no such key")


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (0, "0 дней"), (1, "1 день"), (2, "2 дня"), (4, "4 дня"), (5, "5 дней"), (11, "11 дней"), (12, "12 дней"),
        (14, "14 дней"), (21, "21 день"), (22, "22 дня"), (25, "25 дней"), (111, "111 дней"), (112, "112 дней"),
        (121, "121 день"), (1_002, "1\u202f002 дня"), (1_012, "1\u202f012 дней"),
    ],
)  # fmt: skip
def test_russian_counts_by_three_forms(n: int, said: str) -> None:
    assert said == Words(Language.RU, REPORT).counted("days", n)


@pytest.mark.parametrize(("n", "said"), [(0, "0 days"), (1, "1 day"), (2, "2 days"), (21, "21 days")])
def test_english_counts_by_two_forms(n: int, said: str) -> None:
    assert said == Words(Language.EN, REPORT).counted("days", n)


def test_numbers_money_and_shares_are_written_as_each_language_does() -> None:
    english, russian = Language.EN, Language.RU

    assert ["0", "999", "12\u202f345", "\u22121\u202f234"] == [language.number(n) for n in (0, 999, 12_345, -1_234)]
    assert ["+5", "0", "\u22125"] == [language.signed(n) for n in (5, 0, -5)]
    assert "1\u202f234.50\u00a0RUB" == language.money(english, Decimal("1234.5"), "RUB")
    assert "1\u202f234,50\u00a0RUB" == language.money(russian, Decimal("1234.5"), "RUB")
    assert "1\u202f235" == language.money(russian, Decimal("1234.5"), None, 0)
    assert "\u22120.50" == language.decimal(english, Decimal("-0.499999"), 2)
    assert ["4.2\u202f%", "4,2\u202f%"] == [language.percent(one, 0.042) for one in (english, russian)]


def test_days_and_months_are_written_as_each_language_does() -> None:
    english, russian, may = Language.EN, Language.RU, date(2026, 5, 9)

    assert "9 May 2026, 08:05".replace(" ", "\u00a0", 2) == language.moment(english, datetime(2026, 5, 9, 8, 5))  # noqa: DTZ001
    assert ["9\u00a0May\u00a02026", "9\u00a0мая\u00a02026"] == [language.day(one, may) for one in (english, russian)]
    assert ["9\u00a0May", "9\u00a0мая"] == [language.short_day(one, may) for one in (english, russian)]
    assert ["May\u00a02026", "май\u00a02026"] == [language.month(one, "2026-05") for one in (english, russian)]
    assert ["Nov\u00a02026", "ноя\u00a02026"] == [language.short_month(one, "2026-11") for one in (english, russian)]
    assert ["November", "ноября"] == [language.of_month(one, "2026-11") for one in (english, russian)]


def test_a_messenger_is_called_as_its_users_call_it() -> None:
    assert ["MAX", "WhatsApp", "Telegram", "newcomer", ""] == [
        language.messenger(word) for word in ("v3", "whatsapp", "telegram", "newcomer", None)
    ]
