"""What a customer's statement says: its lines in the words of a language. Pure."""

from decimal import Decimal
from typing import Any

from syncer.views.report.shown import price
from syncer.views.statement import Line, Statement
from syncer.views.strangers_text import one_line
from syncer.words import language
from syncer.words.catalogue import Words
from syncer.words.language import number

MONEY_PLACES = 2


def statement_content(statement: Statement, words: Words) -> dict[str, Any]:
    """All that the page shows, by the names that its template uses."""
    last = language.day(words.language, statement.until)
    span = words("of_days", first=language.day(words.language, statement.month), last=last)
    return {
        "lang": str(words.language),
        "words": words,
        "customer": one_line(statement.customer),
        "title": words("statement", month=language.month(words.language, f"{statement.month:%Y-%m}")),
        "span": words("so_far", day=last) if statement.is_under_way else span,
        "sums": [price(words, amount, currency) for currency, amount in statement.totals.items()],
        "counted": words.counted("in_all", sum(line.days for line in statement.lines)),
        "lines": [_line(line, words) for line in statement.lines],
    }


def _line(line: Line, words: Words) -> dict[str, str]:
    return {
        "id_instance": str(line.id_instance),
        "name": one_line(line.name),
        "first": language.short_day(words.language, line.first_day),
        "last": language.short_day(words.language, line.last_day),
        "days": number(line.days),
        "price": price(words, line.daily_price, line.currency, _places(line.daily_price)),
        "amount": price(words, line.amount, line.currency),
    }


def _places(amount: Decimal | None) -> int:
    """As many decimals as a price has, two at least."""
    exponent = 0 if amount is None else amount.normalize().as_tuple().exponent
    return max(MONEY_PLACES, -exponent if isinstance(exponent, int) else 0)
