"""A bill, and where the vendor's invoice differs from it, for people on standard output."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from syncer.terminal.fitted import FittedTable
from syncer.terminal.printing import line, moment, print_more
from syncer.terminal.render import console, field, worded
from syncer.views.invoice import KINDS
from syncer.words.catalogue import Words
from syncer.words.language import Language, rounded

_MONEY = {
    Language.EN: str.maketrans({}),
    Language.RU: str.maketrans({",": "\u00a0", ".": ","}),
}  # from Python's way of writing a number; a space that old encodings have too


def money(words: Words, amount: Decimal | int | None, currency: str | None = None) -> str:
    """An amount to the hundredth, as the language writes it."""
    if amount is None:
        return words("no_amount")
    written = f"{rounded(Decimal(amount), 2):,}".translate(_MONEY[words.language])
    return f"{written} {currency}" if currency else written


def print_bill(words: Words, document: dict[str, Any], shown: int) -> None:
    """A month's bill for a person, and where the vendor's invoice differs; so many lines of a list."""
    if document["by"] == "customer":
        from syncer.terminal.customers import bill_table

        console().print(bill_table(words, document["month"], document["lines"][:shown]))
    else:
        console().print(_bill_table(words, document, shown))
    print_more(words, document["lines"], shown)
    line(words("in_all", sums=_sums(words, document["totals"])))
    if "forecast" in document:
        tonight = document["tonight"]
        line(words("forecast", sums=_sums(words, document["forecast"])))
        line(words("tonight", moment=moment(tonight["at"]), sums=_sums(words, tonight["totals"])))
    unpriced = sum(row["unpriced_days"] for row in document["lines"])
    if unpriced:
        line(words.counted("unpriced", unpriced))
    _print_uncertain(words, document)
    if "invoice" in document:
        _print_invoice(words, document["invoice"], shown)


def _bill_table(words: Words, document: dict[str, Any], shown: int) -> FittedTable:
    by_instance = document["by"] == "instance"
    headings = ("instance", "name", "account", "tariff") if by_instance else ("tariff", "type")
    columns = ("id_instance", "name", "account", "tariff") if by_instance else ("tariff", "type_instance")
    rows = [
        (
            *(field(column, row[column]) or words("none") for column in columns),
            row["days"],
            money(words, row["amount"], row["currency"]),
        )
        for row in document["lines"][:shown]
    ]
    return worded(words, document["month"], (*headings, "instance_days", "amount"), rows)


def _print_uncertain(words: Words, document: dict[str, Any]) -> None:
    uncertain = document["uncertain"]
    if uncertain["days"]:
        ids = uncertain["instances"]
        named = ", ".join(map(str, ids[:5])) + (", …" if len(ids) > 5 else "")
        line(words.counted("uncertain", uncertain["days"], gone=len(ids), ids=named))
    for gap in document["blind_gaps"]:
        line(words("gap", account=gap["account"], since=moment(gap["since"]), until=moment(gap["until"])))


def _print_invoice(words: Words, invoice: dict[str, Any], shown: int) -> None:
    line("")
    if invoice["agrees"]:
        line(words("invoice_agrees"))
    elif not invoice["compared"]:
        line(words("invoice_compared_nothing"))
    for kind in KINDS:
        found = [one for one in invoice["differences"] if one["kind"] == kind]
        if found:
            _print_differences(words, invoice["key"], kind, found, shown)


def _print_differences(words: Words, key: str, kind: str, found: Sequence[dict[str, Any]], shown: int) -> None:
    columns = (key, "their_days", "their_amount", "our_days", "our_amount")
    rows = [
        (
            one["key"] or words("none"),
            one["invoiced_days"],
            money(words, one["invoiced_amount"]),
            one["our_days"],
            money(words, one["our_amount"]),
        )
        for one in found[:shown]
    ]
    their_days, their_amount, our_days, our_amount = (
        sum(one[name] for one in found if one[name] is not None)
        for name in ("invoiced_days", "invoiced_amount", "our_days", "our_amount")
    )
    console().print(worded(words, words(f"invoice_{kind}", n=len(found)), columns, rows))
    print_more(words, found, shown)
    line(
        words(
            "invoice_sum",
            their_days=their_days,
            their_amount=money(words, their_amount),
            our_days=our_days,
            our_amount=money(words, our_amount),
            days=their_days - our_days,
            amount=money(words, their_amount - our_amount),
        )
    )


def _sums(words: Words, totals: Sequence[dict[str, Any]]) -> str:
    return "; ".join(
        words.counted("days_and_amount", one["days"], amount=money(words, one["amount"], one["currency"]))
        for one in totals
    ) or words("nothing")
