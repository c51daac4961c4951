"""What the views and the questions cost on a large estate with years of life: CPU seconds, on SQLite and PostgreSQL.

The history is made as rows, not by polls: what matters here is its size and shape. `make bench-views` runs it.
To make a database once and measure it many times: `--database URL`, a new one or one that was made so.
"""

import argparse
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Date, Engine, bindparam, text

from syncer.rules.timeline import billing_day, midnight_of
from syncer.storage import database, schema, timeline
from syncer.storage.tables import metadata
from syncer.views import bill, figures, invoice, past, verify

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import postgres

VIEWS = (
    "bi_instances",
    "bi_daily",
    "bi_billing_monthly",
    "bi_customers_monthly",
    "bi_expiring",
    "bi_churn_monthly",
    "bi_cohorts",
    "bi_transitions_daily",
    "bi_attention",
    "bi_leaks",
    "sync_status",
    "instance_versions",
)
FLOORS = (
    ("all columns of past_versions, of instance_versions a part", "SELECT * FROM past_versions"),
    ("all columns of instances", "SELECT * FROM instances"),
)
"""What is read in any case: no view of these rows can take less."""
FIRST_ID = 110_100_000_000
FETCHED = 10_000  # rows at a time
COPIED = ("instances", "past_versions", "ended_lives", "instance_history")
TYPES = (("whatsapp", 70), ("v3", 20), ("telegram", 10))
TARIFFS = (("PARTNER_23", 70), ("BUSINESS", 15), ("BUSINESS_USD", 10), ("DEVELOPER", 5))
HISTORY = (
    "id", "id_instance", "account", "run_id", "transition", "occurred_at", "time_source", "observed_at",
    "previous_observed_at", "changes", "name", "type_instance", "messenger", "tariff", "is_free", "is_partner",
    "time_deleted", "deleted", "expiration_date", "is_expired", "missing",
)  # fmt: skip
INSTANCES = (
    "id_instance", "account", "name", "type_instance", "messenger", "time_created", "time_deleted", "deleted",
    "tariff", "is_free", "is_partner", "expiration_date", "is_expired", "extra", "first_seen_at", "changed_at",
    "renewed_at", "missing_since",
)  # fmt: skip


def life(id_instance: int, start: datetime, now: datetime, chance: random.Random) -> tuple[list[Any], dict[str, Any]]:
    """The events of one instance, oldest first, and its last state."""
    created = start + (now - start) * chance.random()
    state: dict[str, Any] = {
        "account": "default",
        "name": f"client {id_instance}",
        "type_instance": chance.choices(*zip(*TYPES, strict=True))[0],
        "tariff": chance.choices(*zip(*TARIFFS, strict=True))[0],
        "time_created": created,
        "time_deleted": None,
        "deleted": False,
        "is_expired": False,
        "expiration_date": now + timedelta(days=20),
        "missing": False,
    }
    state["is_partner"] = state["tariff"].startswith("PARTNER")
    ends = created + timedelta(days=chance.expovariate(1 / 500))
    events = [("created", created, "upstream", "{}", dict(state))]
    moment = created
    while True:
        moment += timedelta(days=30 * (0.8 + 0.4 * chance.random()))
        if moment >= min(ends, now):
            break
        change = "{}"
        if not state["is_partner"]:
            word = chance.choices(("extended", "expired", "changed"), (80, 15, 5))[0]
        else:
            word = chance.choices((None, "changed", "token_rotated"), (85, 10, 5))[0]
        if word == "changed":
            old = state["tariff"]
            if chance.random() < 0.3:
                state["tariff"] = "PARTNER_24" if state["is_partner"] else "BUSINESS"
                change = f'{{"tariff": ["{old}", "{state["tariff"]}"]}}'
            else:
                change = '{"name": ["a", "b"]}'
        if word == "expired":
            state["is_expired"] = True
        if word is not None:
            events.append((word, moment, "observed", change, dict(state)))
        if word == "expired":
            state["is_expired"] = False
            events.append(("renewed", moment + timedelta(days=2), "observed", "{}", dict(state)))
    if ends < now:
        if chance.random() < 0.05:
            state["missing"] = True
            events.append(("vanished", ends, "observed", "{}", dict(state)))
        else:
            state |= {"deleted": True, "time_deleted": ends}
            events.append(("deleted", ends, "upstream", "{}", dict(state)))
            if ends + timedelta(days=92) < now:
                state["missing"] = True
                events.append(("purged", ends + timedelta(days=92), "observed", "{}", dict(state)))
    return events, state


def rows(instances: int, seed: int, now: datetime) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of `instance_history` and of `instances`."""
    chance = random.Random(seed)
    start = now - timedelta(days=730)
    rolled = midnight_of(billing_day(now)) + timedelta(minutes=5)  # the daily roll, which misses one in a hundred
    all_events = []
    mirror = []
    for id_instance in range(FIRST_ID, FIRST_ID + instances):
        events, state = life(id_instance, start, now, chance)
        all_events += [(moment, id_instance, *rest) for (word, moment, *others) in events for rest in [(word, *others)]]
        last = max(moment for _, moment, *_ in events)
        mirror.append(
            (
                id_instance, state["account"], state["name"], state["type_instance"], state["type_instance"],
                state["time_created"], state["time_deleted"], state["deleted"], state["tariff"], False,
                state["is_partner"], state["expiration_date"], state["is_expired"], "{}", state["time_created"], last,
                max(state["time_created"], rolled) if state["is_partner"] and id_instance % 100 else None,
                last if state["missing"] else None,
            )
        )  # fmt: skip
    all_events.sort(key=lambda event: event[0])
    history = [
        (
            number, id_instance, state["account"], 1 + (moment - start).days, word, moment, source, moment,
            None if word == "created" else moment - timedelta(minutes=5), changes, state["name"],
            state["type_instance"], state["type_instance"], state["tariff"], False, state["is_partner"],
            state["time_deleted"], state["deleted"], state["expiration_date"], state["is_expired"], state["missing"],
        )
        for number, (moment, id_instance, word, source, changes, state) in enumerate(all_events, 1)
    ]  # fmt: skip
    return history, mirror


def fill(engine: Engine, instances: int, seed: int, now: datetime) -> int:
    """Write the estate; gives the number of history rows."""
    history, mirror = rows(instances, seed, now)
    runs = [(number, "default", "schedule", now, now, "ok") for number in range(1, 733)]
    with database.writing(engine, "filling the database") as connection:
        _insert(connection, "accounts", ("account", "interval_seconds", "last_accepted_run_id", "last_accepted_at"),
                [("default", 300, 732, now)])  # fmt: skip
        _insert(connection, "sync_runs", ("id", "account", "trigger", "started_at", "finished_at", "status"), runs)
        _insert(connection, "instances", INSTANCES, mirror)
        _insert(connection, "instance_history", HISTORY, history)
        _insert(connection, "tariff_rates", ("tariff", "currency", "daily_rate", "valid_from"),
                [(tariff, "RUB", "12.5", "2020-01-01") for tariff, _ in TARIFFS])  # fmt: skip
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"))
    return len(history)


def multiply(engine: Engine, instances: int, times: int) -> None:
    """As many estates beside one another as asked, all with the same lives under ids of their own."""
    is_sqlite = engine.dialect.name == "sqlite"
    numbers = "" if is_sqlite else "OVERRIDING SYSTEM VALUE"
    with database.writing(engine, "multiplying the estate") as connection:
        last = connection.exec_driver_sql("SELECT MAX(id) FROM instance_history").scalar_one()
        for table in COPIED:
            columns = [column.name for column in metadata.tables[table].columns]
            for n in range(1, times):
                moved = {"id_instance": f"id_instance + {n * instances}"}
                if table == "instance_history":
                    moved["id"] = f"id + {n * last}"
                connection.exec_driver_sql(
                    f"INSERT INTO {table} ({', '.join(columns)}) {numbers} "  # noqa: S608 - names of tables.py
                    f"SELECT {', '.join(moved.get(name, name) for name in columns)} FROM {table} "
                    f"WHERE id_instance < {FIRST_ID + instances}"
                )


def give_to_customers(engine: Engine) -> None:
    """Nine of ten instances to a thousand customers, since long ago; a third of them until a month ago."""
    statement = text(
        "INSERT INTO customers SELECT id_instance, 'client ' || (id_instance % 1000), :first,"
        " CASE WHEN id_instance % 3 = 0 THEN :last END, 20, 'RUB' FROM instances WHERE id_instance % 10 <> 0"
    ).bindparams(bindparam("first", type_=Date), bindparam("last", type_=Date))
    with database.writing(engine, "giving instances to customers") as connection:
        today = billing_day(datetime.now(UTC))
        connection.execute(statement, {"first": date(2020, 1, 1), "last": today - timedelta(days=30)})


def _insert(connection: Connection, table: str, columns: tuple[str, ...], values: list[tuple[Any, ...]]) -> None:
    driver = connection.connection.driver_connection
    names = ", ".join(columns)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        plain = [tuple(_text(value) if isinstance(value, datetime) else value for value in row) for row in values]
        driver.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", plain)  # noqa: S608 - our own words
        return
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in values:
            copy.write_row(row)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def questions(connection: Connection, instances: int, now: datetime) -> dict[str, Callable[[], int]]:
    """What is measured, by name; each gives the number of rows that came."""
    one = FIRST_ID + instances // 2
    month = billing_day(now).replace(day=1) - timedelta(days=1)
    month = month.replace(day=1)
    asked = {view: f"SELECT * FROM {view}" for view in VIEWS}  # noqa: S608 - our own words
    asked["bi_costs_monthly, a month"] = f"SELECT * FROM bi_costs_monthly WHERE month = '{month:%Y-%m}'"  # noqa: S608
    asked["bi_customers_monthly, a month"] = f"SELECT * FROM bi_customers_monthly WHERE month = '{month:%Y-%m}'"  # noqa: S608
    asked["bi_costs_monthly, an instance"] = f"SELECT * FROM bi_costs_monthly WHERE id_instance = {one}"  # noqa: S608
    asked["instance_versions of one"] = f"SELECT * FROM instance_versions WHERE id_instance = {one}"  # noqa: S608
    found: dict[str, Callable[[], int]] = {
        name: lambda query=query: _fetched(connection, query)  # type: ignore[misc]
        for name, query in asked.items()
    }
    before = now - timedelta(days=90)
    found["status --as-of"] = lambda: len(past.estate_at(connection, before)["estate"])
    found["diff over a month"] = lambda: len(
        past.difference(connection, before - timedelta(days=30), before)["changes"]
    )
    found["bill"] = lambda: len(bill.bill(connection, month, now, None)["lines"])
    found["bill --by instance"] = lambda: len(bill.bill(connection, month, now, None, "instance")["lines"])
    found["invoice by instance"] = lambda: len(_compared(connection, month))
    found["verify"] = lambda: len(verify.verification_of(connection).outcomes)
    for name, query in FLOORS:
        found[f"floor: {name}"] = lambda query=query: _fetched(connection, query)  # type: ignore[misc]
    found["report"] = lambda: len(figures.read_figures(connection, now, None))
    return found


def _fetched(connection: Connection, query: str) -> int:
    """Every row as the driver gives it, some thousand at a time, as `syncer export` and BI tools take them."""
    cursor = connection.exec_driver_sql(query).cursor
    assert cursor is not None  # noqa: S101 - a SELECT has one
    n = 0
    while found := cursor.fetchmany(FETCHED):
        n += len(found)
    return n


def _compared(connection: Connection, month: date) -> Sequence[invoice.Difference]:
    ours = bill.charges_by_instance(connection, month, None)
    theirs = invoice.Invoice("id", {key: invoice.Billed(charge.days, charge.amount) for key, charge in ours.items()})
    return invoice.compare_invoice(theirs, ours).differences


def cpu_seconds(connection: Connection) -> float:
    """Of this process, and of PostgreSQL's that works for it."""
    seconds = time.process_time()
    if connection.dialect.name == "postgresql":
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def measure(engine: Engine, chosen: argparse.Namespace, now: datetime) -> Iterator[tuple[str, float, int]]:
    """What was asked, the fewest CPU seconds of several times, and rows."""
    instances, repeats = chosen.instances * chosen.times, chosen.repeats
    for name in questions(None, instances, now):  # type: ignore[arg-type]  # for the names alone
        if not any(word in name for word in chosen.ask):
            continue
        seconds = []
        rows_found = 0
        for _ in range(repeats):
            with database.reading(engine, f"reading {name}") as connection:
                if engine.dialect.name == "postgresql":
                    connection.exec_driver_sql("SET LOCAL max_parallel_workers_per_gather = 0")  # all in one process
                ask = questions(connection, instances, now)[name]
                began = cpu_seconds(connection)
                rows_found = ask()
                seconds.append(cpu_seconds(connection) - began)
        yield name, min(seconds), rows_found


def make(engine: Engine, chosen: argparse.Namespace, now: datetime) -> None:
    """Fill an empty database."""
    schema.upgrade(engine)
    history = fill(engine, chosen.instances, chosen.seed, now)
    began = time.process_time()
    timeline.build(engine)
    spent = time.process_time() - began
    multiply(engine, chosen.instances, chosen.times)
    if chosen.customers:
        give_to_customers(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"))
    sizes = f"{chosen.instances * chosen.times:,} instances, {history * chosen.times:,} history rows"
    print(
        f"\n{engine.dialect.name}: {sizes}; the timeline of the first {chosen.instances:,} took {spent:.1f} s of CPU\n"
    )


def main() -> None:
    """Print one Markdown table per database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=1, help="the same estate so many times over")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--customers", action="store_true", help="with customers for most instances")
    parser.add_argument("--database", metavar="URL", help="that to make, or to measure again if it is made")
    parser.add_argument("--ask", nargs="*", default=[""], metavar="WORD", help="only what has one of these in its name")
    chosen = parser.parse_args()
    gc.set_threshold(5_000)  # as `syncer.cli.main` does
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        server = postgres.start() if chosen.only != "sqlite" and not chosen.database else None
        urls = [f"sqlite:///{folder}/bench.db"] if chosen.only != "postgresql" else []
        urls += [server.create_database()] if server is not None else []
        try:
            for url in [chosen.database] if chosen.database else urls:
                parsed = database.parse_database_url(url)
                if parsed.get_backend_name() == "sqlite":
                    database.create_sqlite_file(parsed)
                engine = database.open_engine(parsed)
                if schema.read_state(engine) is schema.SchemaState.EMPTY:
                    make(engine, chosen, now)
                print(f"| question, {engine.dialect.name} | CPU s | rows |\n|---|---|---|")
                for name, seconds, found in measure(engine, chosen, now):
                    print(f"| {name} | {seconds:.3f} | {found:,} |", flush=True)
                engine.dispose()
        finally:
            if server is not None and server.server is not None:
                server.server.remove()


if __name__ == "__main__":
    main()
