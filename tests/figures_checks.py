"""Estates of random lives in one database, and where a figure of theirs is not the model's."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from customers_model import Assigned, CustomersModel
from figures_model import FOREVER, FiguresModel, local, next_month, status_of
from mirror import Mirror, account
from sqlalchemy import Connection, text
from told_lives import RARE_TARIFF, Answer, rare_day, rare_lives, told_lives

from syncer.model import RunStatus
from syncer.views import bill, past

SPANS = (timedelta(days=60), timedelta(days=120), timedelta(days=500), timedelta(days=1050))  # over year and leap ends
TARIFFS = ("PARTNER_23", "BUSINESS", "DEVELOPER")


def real_now() -> datetime:
    """The views' own clock is the database's."""
    return datetime.now(UTC)  # noqa: TID251


def play(
    mirror: Mirror, chance: random.Random, estates: int, *, answers: int = 12, always_sold: bool = False
) -> FiguresModel:
    """Show the mirror what estates of two accounts each tell, and set prices; gives what the figures must be.

    Now and then there are no customers at all, unless something is `always_sold`.
    """
    model = FiguresModel()
    now = real_now().replace(microsecond=0)

    def show(number: int, answer: Answer) -> None:
        moment, name, items = answer
        own = [item | {"idInstance": item["idInstance"] + 1000 * number} for item in items]
        mirror.now = moment
        of = account(f"{name}{number}", tolerated="100%", changed="100%")
        report = mirror.observe(own, after=timedelta(), of=of)
        if report.status is RunStatus.HELD:  # so many corrected dates at once have to be approved
            mirror.approve(report.id)
            report = mirror.observe(own, after=timedelta(), of=of)
        assert report.error is None, report.error
        model.observe(f"{name}{number}", own, moment)

    for number in range(estates):
        for answer in told_lives(chance, now - chance.choice(SPANS), now, answers=answers):
            show(number, answer)
    for answer in rare_lives(now):
        show(estates, answer)
    today = (real_now() + timedelta(hours=3)).date()
    _set_rates(mirror, model, chance, today)
    model.close(today)
    _assign(mirror, model, chance, is_sold=chance.random() >= 0.1 or always_sold)
    return model


def _assign(mirror: Mirror, model: FiguresModel, chance: random.Random, *, is_sold: bool) -> None:
    """Give instances to customers at random, for days that may overlap or lie ahead; some of them are not listed."""
    rows: dict[tuple[int, date], Assigned] = {}
    customers = [*model.lives, 777_001, 777_002] if is_sold else []
    for key in customers:
        born = model.lives[key].born.date() if key in model.lives else model.today - timedelta(days=40)
        for _ in range(chance.choice([0, 1, 1, 2, 3, 4])):
            lived = (model.today - born).days
            first = born + timedelta(
                days=chance.choice([-1, 0, 1, lived, lived + 1, chance.randrange(-30, lived + 40)])
            )
            last = None
            if chance.random() < 0.6:
                last = first + timedelta(days=chance.choice([0, 1, chance.randrange(90), max(lived - 1, 0)]))
            price = None
            if chance.random() < 0.7:
                price = Decimal(chance.choice(["0", "0.000001", "19.99", "33.333333", "1000000"]))
            currency = chance.choice(["RUB", "USD"]) if price is not None else None
            rows[key, first] = Assigned(key, chance.choice(["Ёлка", "Nord", "ost"]), first, last, price, currency)
            if chance.random() < 0.4:  # another within it, after which it holds again unless both end together
                inner = first + timedelta(days=chance.choice([1, 2, chance.randrange(1, 40)]))
                until = inner + timedelta(days=chance.choice([0, 1, chance.randrange(20)]))
                until = until if last is None else max(inner, min(until, last))
                rows[key, inner] = Assigned(key, chance.choice(["Nord", "inner"]), inner, until, price, currency)
    if customers:  # one that is sold and that nobody ever listed
        first = model.today - timedelta(days=9)
        rows[777_003, first] = Assigned(777_003, "ost", first, None, Decimal("19.99"), "RUB")
        # And one that was another's for some of its days, and another's again within those.
        for days, ends, customer in ((20, None, "ost"), (15, 6, "Nord"), (12, 10, "Ёлка")):
            first, last = model.today - timedelta(days), ends and model.today - timedelta(ends)
            rows[777_004, first] = Assigned(777_004, customer, first, last, Decimal("19.99"), "RUB")
        # One that is sold and gone, and whose life was in several stretches.
        ends = {key: sum(step.sign < 0 for step in life.steps()) for key, life in model.lives.items()}
        for gone in [key for key, n in ends.items() if n > 1 and model.lives[key].lives_at(FOREVER) is None][:1]:
            rows = {(key, day): row for (key, day), row in rows.items() if key != gone}
            first = model.lives[gone].born.date()
            rows[gone, first] = Assigned(gone, "Nord", first, None, Decimal("19.99"), "RUB")
        # One whose customer left as the tariff's currency changed: nothing of what leaks is in the former one.
        left = next(key for key, life in model.lives.items() if life.versions[-1][1]["tariff"] == RARE_TARIFF)
        rows = {(key, day): row for (key, day), row in rows.items() if key != left}
        last = next_month(_month_after_rare_day()) - timedelta(days=1)
        rows[left, last] = Assigned(left, "Nord", last, last, None, None)
    with mirror.engine.begin() as connection:
        for row in rows.values():
            days = {"valid_from": _day(connection, row.valid_from)}
            days["valid_to"] = None if row.valid_to is None else _day(connection, row.valid_to)
            price = None if row.daily_price is None else str(row.daily_price)
            connection.execute(
                text(
                    "INSERT INTO customers VALUES (:id_instance, :customer, :valid_from, :valid_to,"
                    " CAST(:daily_price AS NUMERIC), :currency)"
                ),
                row._asdict() | days | {"daily_price": price},
            )
    model.customers = CustomersModel(model, list(rows.values()))


def _month_after_rare_day() -> date:
    return rare_day(real_now()).date() + timedelta(days=1)


def _set_rates(mirror: Mirror, model: FiguresModel, chance: random.Random, today: date) -> None:
    month = _month_after_rare_day()
    rates = [
        (RARE_TARIFF, today - timedelta(days=400), Decimal("1.5"), "USD"),
        (RARE_TARIFF, month, Decimal("0.000001"), "RUB"),
        (RARE_TARIFF, next_month(month), Decimal(2), "USD"),
        (RARE_TARIFF, today, Decimal("2.5"), "USD"),  # one that begins today
    ]
    for tariff, many in zip(TARIFFS, (3, chance.randrange(3), chance.randrange(2)), strict=True):
        currency = chance.choice(["RUB", "USD"])
        for days in sorted(chance.sample(range(900), many), reverse=True):
            price = Decimal(chance.choice(["1.1", "0.333333", "12.5", "1000000"]))
            rates.append((tariff, today - timedelta(days=days), price, currency))
    with mirror.engine.begin() as connection:
        for tariff, since, price, currency in rates:
            model.rates.setdefault(tariff, []).append((since, price, currency))
            connection.execute(
                text("INSERT INTO tariff_rates VALUES (:tariff, :currency, CAST(:rate AS NUMERIC), :since)"),
                {"tariff": tariff, "currency": currency, "rate": str(price), "since": _day(connection, since)},
            )


def _day(connection: Connection, day: date) -> object:
    return day.isoformat() if connection.dialect.name == "sqlite" else day


def rows(connection: Connection, view: str) -> Iterator[dict[str, Any]]:
    """A view as plain values, alike on both databases: days as dates, moments naive at UTC+3, amounts as decimals."""
    for row in connection.execute(text(f"SELECT * FROM {view}")):
        plain = dict(row._mapping)
        for name, value in plain.items():
            if name in {"day", "first_day", "last_day"} and isinstance(value, str):
                plain[name] = date.fromisoformat(value)
            elif name in {"amount", "cost", "price", "margin"} and value is not None:
                plain[name] = Decimal(repr(value)) if isinstance(value, float) else value
            elif (
                name in {"valid_from", "time_deleted", "expiration_date", "last_seen_at", "since"} and value is not None
            ):
                moment = datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value
                plain[name] = local(moment)
            elif name in {"deleted", "missing", "is_expired", "is_free", "is_partner"} and view == "instance_versions":
                plain[name] = None if value is None else bool(value)
        if view == "instance_versions" and not plain["deleted"]:
            plain["time_deleted"] = None  # the current one is as the row has it, of which that says nothing
        yield plain


def table(connection: Connection, view: str, keys: str, columns: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """A view by its key; raises `AssertionError` where two rows have one."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows(connection, view):
        key = tuple(row[name] for name in keys.split())
        assert key not in found, (view, key)
        found[key] = {name: row[name] for name in columns.split()}
    return found


Rows = Mapping[Any, Any]


class Expectation(NamedTuple):
    """What a view or an answer must be by the model, and how it is read."""

    name: str
    rows: Rows
    read: Callable[[Connection], Rows]


def differences(connection: Connection, model: FiguresModel) -> list[str]:
    """Every figure that is not the model's, one a line."""
    return [line for one in expectations(model, real_now()) for line in unmet(connection, one)]


def expectations(model: FiguresModel, now: datetime) -> list[Expectation]:
    """Every figure of the views, and of the commands at some moments and months before `now`."""
    money = "instance_days currency amount unpriced_days"
    steps = "created deleted began ended live billable"
    balance = "opening created returned moved deleted vanished closing lost churn_rate"
    billing, costs = model.billing_monthly(), model.costs_monthly()
    owners = model.customers
    for (month, _, key, _), row in costs.items():
        row["customer"] = owners.last_in(key, month)
    own = model.instances()
    for (key,), row in own.items():
        row["customer"] = None if (now_ := owners.on(key, model.today)) is None else now_.customer
    return [
        Expectation("bi_daily", model.daily(), _reading("bi_daily", "day account type_instance tariff", steps)),
        Expectation(
            "bi_billing_monthly",
            billing,
            _reading("bi_billing_monthly", "month account type_instance tariff", money),
        ),
        Expectation(
            "bi_costs_monthly",
            costs,
            _reading("bi_costs_monthly", "month account id_instance tariff", f"{money} name customer"),
        ),
        Expectation(
            "bi_customers_monthly",
            owners.monthly(),
            _reading(
                "bi_customers_monthly",
                "month account customer cost_currency price_currency",
                "instance_days cost price margin",
            ),
        ),
        Expectation("bi_leaks", owners.leaks(), _reading("bi_leaks", "id_instance leak", "customer since days cost")),
        Expectation("bi_churn_monthly", model.churn(), _reading("bi_churn_monthly", "month account", balance)),
        Expectation(
            "bi_cohorts",
            model.cohorts(),
            _reading("bi_cohorts", "cohort_month age_months account", "size alive survival"),
        ),
        Expectation(
            "bi_instances",
            own,
            _reading(
                "bi_instances",
                "id_instance",
                "status age_days billable_days days_to_expiration last_seen_at name tariff customer",
            ),
        ),
        Expectation("instance_versions", _versions_of_model(model), _versions),
        Expectation("instance_lives", model.instance_lives(), _lives),
        *_answers(model, now),
        *_bills(model.today, now, {"tariff": billing, "instance": costs}),
    ]


def _reading(view: str, keys: str, columns: str) -> Callable[[Connection], Rows]:
    return lambda connection: table(connection, view, keys, columns)


def _answers(model: FiguresModel, now: datetime) -> Iterator[Expectation]:
    """What the commands must say."""
    before, after = now - timedelta(days=45), now - timedelta(days=12, hours=5)
    for moment in (before, after, now - timedelta(days=400)):

        def totals(connection: Connection, moment: datetime = moment) -> Rows:
            return {word: n for word, n in past.estate_at(connection, moment)["totals"].items() if n}

        yield Expectation(f"status --as-of {moment}", model.statuses_at(moment), totals)

    def changes(connection: Connection) -> Rows:
        return {
            change["id_instance"]: told
            for change in past.difference(connection, before, after)["changes"]
            if (told := {name: pair for name, pair in change["fields"].items() if name != "expiration_date"})
        }

    yield Expectation("diff", _changes_of_model(model, before, after), changes)


def _bills(today: date, now: datetime, charges: Mapping[str, Rows]) -> Iterator[Expectation]:
    """What `syncer bill` must say of this month, the last and an earlier one; days, amount and days without a rate."""
    for months in (0, 1, 5):
        month = (today.replace(day=1) - timedelta(days=30 * months)).replace(day=1)
        for by, key in (("tariff", "tariff"), ("instance", "id_instance")):
            expected: dict[Any, list[Any]] = {}
            for (of_month, *group), row in charges[by].items():
                if of_month == f"{month:%Y-%m}":
                    _add_up(expected, group[2 if by == "tariff" else 1], row)

            def lines(connection: Connection, month: date = month, by: str = by, key: str = key) -> Rows:
                told: dict[Any, list[Any]] = {}
                for line in bill.bill(connection, month, now, None, by)["lines"]:
                    _add_up(told, line[key], line | {"instance_days": line["days"]})
                return told

            yield Expectation(f"bill {month:%Y-%m} --by {by}", expected, lines)


def _add_up(sums: dict[Any, list[Any]], key: Any, row: Mapping[str, Any]) -> None:
    sums.setdefault(key, [0, 0, 0])
    for place, name in enumerate(("instance_days", "amount", "unpriced_days")):
        sums[key][place] += row[name] or 0


def _changes_of_model(model: FiguresModel, before: datetime, after: datetime) -> dict[int, dict[str, list[Any]]]:
    changes = {}
    for key, life in model.lives.items():
        was, now = life.at(local(before)), life.at(local(after))
        if now is None:
            continue
        fields: dict[str, list[Any]] = {}
        if was is None or status_of(was) != status_of(now):
            fields["status"] = [was and status_of(was), status_of(now)]
        for name in ("account", "name", "type_instance", "messenger", "tariff", "is_free", "is_partner"):
            if was is not None and was[name] != now[name]:
                fields[name] = [was[name], now[name]]
        if fields:
            changes[key] = fields
    return changes


def unmet(connection: Connection, expectation: Expectation) -> Iterator[str]:
    """Where an expectation is not met, one a line."""
    name, expected, read = expectation
    found = read(connection)
    for key in sorted(expected.keys() | found.keys(), key=str):
        if expected.get(key) != found.get(key):
            yield f"{name} {key}: expected {expected.get(key)}, found {found.get(key)}"


def renews_itself(state: Mapping[str, Any]) -> bool:
    partner = state["is_partner"]
    return bool(partner) if partner is not None else (state["tariff"] or "").startswith("PARTNER")


def without_rolls(versions: list[tuple[datetime, dict[str, Any]]]) -> list[tuple[datetime, dict[str, Any]]]:
    """Of what moves without a row of the history: the date of what renews itself, and that of a deletion that is none."""
    kept: list[tuple[datetime, dict[str, Any]]] = []
    for since, state in versions:
        shown = state | ({"expiration_date": None} if renews_itself(state) else {})
        shown |= {} if state["deleted"] else {"time_deleted": None}
        if not kept or kept[-1][1] != shown:
            kept.append((since, shown))
    return kept


def _versions_of_model(model: FiguresModel) -> dict[int, list[tuple[datetime, dict[str, Any]]]]:
    def dated(state: dict[str, Any]) -> dict[str, Any]:
        dates = {
            name: None if state[name] is None else datetime.fromisoformat(state[name])
            for name in ("time_deleted", "expiration_date")
        }
        return state | dates

    return {
        key: without_rolls([(since, dated(state)) for since, state in life.versions])
        for key, life in model.lives.items()
    }


def _lives(connection: Connection) -> Rows:
    columns = ["id_instance", "account", "type_instance", "tariff", "began_with", "first_day", "ended_with", "last_day"]
    return Counter(tuple(row[name] for name in columns) for row in rows(connection, "instance_lives"))


def _versions(connection: Connection) -> dict[int, list[tuple[datetime, dict[str, Any]]]]:
    found: dict[int, list[tuple[datetime, dict[str, Any]]]] = {}
    for row in sorted(rows(connection, "instance_versions"), key=lambda row: (row["id_instance"], row["valid_from"])):
        state = {name: value for name, value in row.items() if name not in {"id_instance", "valid_from", "valid_to"}}
        found.setdefault(row["id_instance"], []).append((row["valid_from"], state))
    return {key: without_rolls(versions) for key, versions in found.items()}
