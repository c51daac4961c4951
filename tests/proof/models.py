"""Random histories of small estates, and lives of many instances at once: SQLite, PostgreSQL and the model agree.

    python tests/proof/models.py --count 2000 --seed 1

Each history goes through the core in memory, answer by answer beside the model. With `--databases-every 5` only every
fifth is replayed on SQLite and PostgreSQL too, without it each: as an account of its own, whose rows are compared with the
model's and between the databases; then the last answer comes once more, which must add nothing. The promises of all the
accounts together are checked every hundred of them.
With `--shared-every 5` every fifth is followed by a history of two or three accounts that list the same instances, on
both databases: rows, history, claims, what is held and why, warnings, and what answers say of themselves are the model's.
"""

import logging
import random
import re
from collections.abc import Mapping
from datetime import timedelta
from itertools import islice
from operator import itemgetter
from typing import Any

from budget import Budget, scratch
from contract_model import ContractModel, as_the_model_has_it
from estates import PAUSES, answers, instance, with_ids_from
from memory import Memory
from mirror import START, Mirror
from playing import Players
from postgres import start as start_postgres
from shared_histories import Step, steps
from sqlalchemy import select
from witness import Witness, assert_promises, empty, keep_connections

from syncer.storage import database
from syncer.storage.tables import instance_history, instances, rejected_items, sync_runs

LONGEST = 8  # answers of a history
LONGEST_SHARED = 14  # polls of a history of several accounts
LIVES = 2_000  # instances of the large estate
BATCH = 100  # histories until the tables are emptied
NUMBERS = {"id", "run_id", "last_accepted_run_id"}  # what two databases may count differently

History = list[tuple[timedelta, list[Any]]]


def replay(mirrors: list[Mirror], name: str, history: History) -> None:
    """The same answers into every database; row for row the same, and what the model says."""
    seen = []
    for mirror in mirrors:
        witness = Witness.over(mirror, name)
        for pause, items in history:
            witness.observe(pause, items)
        witness.compare_rows()
        seen.append(rows_of(mirror, name))
        witness.observe(timedelta(), history[-1][1])
        witness.compare_rows()
        assert rows_of(mirror, name)[:2] == seen[-1][:2], "the same answer once more added something"
    assert all(rows == seen[0] for rows in seen), "SQLite and PostgreSQL differ"


def rows_of(mirror: Mirror, name: str) -> list[list[dict[str, Any]]]:
    """Instances, history, runs and rejects of an account, in order, without the numbers of the database."""
    runs = select(sync_runs.c.id).where(sync_runs.c.account == name)
    queries = (
        select(instances).where(instances.c.account == name).order_by(instances.c.id_instance),
        select(instance_history).where(instance_history.c.account == name).order_by(instance_history.c.id),
        select(sync_runs).where(sync_runs.c.account == name).order_by(sync_runs.c.id),
        select(rejected_items).where(rejected_items.c.run_id.in_(runs)).order_by(*rejected_items.primary_key.columns),
    )
    with database.reading(mirror.engine, "reading the tables") as connection:
        return [[_without_numbers(row._mapping) for row in connection.execute(query)] for query in queries]


def _without_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in row.items() if key not in NUMBERS}
    return told | {"error": re.sub("approve [0-9]+", "approve N", told["error"])} if told.get("error") else told


def lives(chance: random.Random, count: int) -> History:
    """One estate in which a third of the instances changes with each answer and one of a hundred goes or returns."""
    current = {key: instance(key, chance) for key in range(1, count + 1)}
    away: dict[int, dict[str, Any]] = {}
    history = []
    for _ in range(LONGEST):
        history.append((chance.choice(PAUSES), list(current.values())))
        for key in range(1, count + 1):
            if chance.random() < 0.01:
                source, target = (away, current) if key in away else (current, away)
                target[key] = source.pop(key)
            if chance.random() < 0.33 and key in current:
                name = chance.choice(list(current[key])[1:])
                current[key] = current[key] | {name: instance(key, chance)[name]}
    return history


def play(mirrors: list[Mirror], history: list[Step]) -> set[str]:
    """One history of several accounts on every database; what it reached."""
    reached = set()
    for mirror in mirrors:
        empty(mirror)
        mirror.now = START
        players = Players(mirror)
        players.play(history)
        reached |= players.seen
    return reached


def think(history: History) -> int:
    """The core alone beside the model; how many transitions there were."""
    core, model = Memory(), ContractModel()
    for pause, items in history:
        assert model.observe(items, core.now + pause) == core.observe(items, pause)
    columns = ("id_instance", "transition", "occurred_at", "time_source", "observed_at", "previous_observed_at")
    expected = [tuple(event[name] for name in columns) for event in model.history]
    assert sorted(expected, key=itemgetter(0)) == sorted(core.history, key=itemgetter(0))
    for key, row in core.rows.items():
        assert model.rows[key] == as_the_model_has_it(
            row.instance._asdict() | {"account": row.account, "missing_since": row.missing_since}
        )
    assert core.rows.keys() == model.rows.keys()
    return len(model.history)


def main() -> None:
    budget = Budget("models", full=100_000, numbers={"databases-every": 1, "shared-every": 1, "lives": LIVES})
    logging.disable()
    server = start_postgres()
    with scratch() as folder:
        mirrors = [Mirror(f"sqlite:///{folder}/models.db"), Mirror(server.create_database())]
        shared = [Mirror(f"sqlite:///{folder}/shared.db"), Mirror(server.create_database())]
        for mirror in (mirrors[0], shared[0]):
            keep_connections(mirror)
        replay(mirrors, "large", lives(budget.chance, budget.chosen.lives))
        transitions = answered = on_both = of_shared = 0
        reached: set[str] = set()
        for number in budget:
            history = list(islice(answers(budget.chance), budget.chance.randint(1, LONGEST)))
            answered += len(history)
            transitions += think(history)
            if number % budget.chosen.databases_every == 0:
                if on_both % BATCH == 0:
                    for mirror in mirrors:
                        assert_promises(mirror)
                        empty(mirror)
                replay(mirrors, f"estate {number}", with_ids_from(10 * (on_both % BATCH), history))
                on_both += 1
            if number % budget.chosen.shared_every == 0:
                reached |= play(shared, steps(budget.chance, budget.chance.randint(2, LONGEST_SHARED)))
                of_shared += 1
        for mirror in mirrors:
            assert_promises(mirror)
        for mirror in [*mirrors, *shared]:
            mirror.engine.dispose()
    if server.server:
        server.server.remove()
    print("reached in shared histories:", ", ".join(sorted(reached)))
    budget.report(replayed_on_both_databases=on_both, shared=of_shared, answers=answered, transitions=transitions)


if __name__ == "__main__":
    main()
