"""The languages that syncer speaks, and how each writes numbers, shares, money, days and months."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

THIN = "\u202f"  # between thousands: a comma may divide decimals, and a thin space in no language
MINUS = "\u2212"


class Language(StrEnum):
    """A language by its code."""

    EN = "en"
    RU = "ru"


_MONTHS = {
    Language.EN: (
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ),
    Language.RU: (
        "январь", "февраль", "март", "апрель", "май", "июнь", "июль", "август", "сентябрь", "октябрь", "ноябрь",
        "декабрь",
    ),
}  # fmt: skip
_OF_MONTHS = {  # as in "26 November"
    Language.EN: _MONTHS[Language.EN],
    Language.RU: (
        "января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября",
        "декабря",
    ),
}  # fmt: skip
MESSENGER_FIELDS = ("type_instance", "messenger")  # of an instance, whose words `messenger` translates
_MESSENGERS = {"whatsapp": "WhatsApp", "telegram": "Telegram", "v3": "MAX"}


def language_of(environment: Mapping[str, str]) -> Language:
    """The language of a locale's variables, in their order of POSIX; English where they name none of ours."""
    named = next(filter(None, (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return Language.RU if named.lower().partition(".")[0].partition("_")[0] == "ru" else Language.EN


def plural_form(language: Language, n: int) -> int:
    """Which form a counted word has: one and other in English; one, few and many in Russian."""
    if language is Language.EN:
        return 0 if n == 1 else 1
    if n % 10 == 1 and n % 100 != 11:
        return 0
    return 1 if n % 10 in {2, 3, 4} and n % 100 not in {12, 13, 14} else 2


def number(n: int) -> str:
    """A whole number, its thousands divided by a thin space."""
    return f"{n:,}".replace(",", THIN).replace("-", MINUS)


def signed(n: int) -> str:
    """A change: always with its sign."""
    return f"+{number(n)}" if n > 0 else number(n)


def rounded(value: Decimal, places: int) -> Decimal:
    """A number with so many decimals, half up, as invoices are."""
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def decimal(language: Language, value: Decimal, places: int) -> str:
    """A number with so many decimals, rounded half up."""
    shown = rounded(value, places)
    whole, _, fraction = f"{abs(shown):f}".partition(".")
    point = "." if language is Language.EN else ","
    sign = MINUS if shown < 0 else ""
    return sign + number(int(whole)) + (point + fraction if fraction else "")


def percent(language: Language, share: float, places: int = 1) -> str:
    """A share in per cent."""
    return f"{decimal(language, Decimal(repr(share)) * 100, places)}{THIN}%"


def money(language: Language, amount: Decimal, currency: str | None, places: int = 2) -> str:
    """An amount, and its currency by the code that the price table has."""
    written = decimal(language, amount, places)
    return f"{written}\u00a0{currency}" if currency else written


def month(language: Language, text: str) -> str:
    """A month that is written `2026-11`, in full, kept together."""
    return f"{_MONTHS[language][int(text[5:7]) - 1]}\u00a0{text[:4]}"


def short_month(language: Language, text: str) -> str:
    """The same for an axis, kept together."""
    return f"{_MONTHS[language][int(text[5:7]) - 1][:3]}\u00a0{text[:4]}"


def of_month(language: Language, text: str) -> str:
    """The month's name as it follows `the end of`."""
    return _OF_MONTHS[language][int(text[5:7]) - 1]


def day(language: Language, value: date) -> str:
    """A day in full, kept together."""
    return f"{value.day}\u00a0{_OF_MONTHS[language][value.month - 1]}\u00a0{value.year}"


def short_day(language: Language, value: date) -> str:
    """A day for an axis or a column, without its year."""
    return f"{value.day}\u00a0{_OF_MONTHS[language][value.month - 1][:3]}"


def moment(language: Language, local: datetime) -> str:
    """A moment to the minute, as the clock says that it was read from."""
    return f"{day(language, local.date())}, {local:%H:%M}"


def messenger(word: str | None) -> str:
    """An upstream's word for a messenger as its users call it: `v3` is MAX; another one stays as it is."""
    return "" if word is None else _MESSENGERS.get(word, word)
