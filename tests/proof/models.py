"""Random histories of small estates, and lives of many instances at once: SQLite, PostgreSQL and the model agree.

python tests/proof/models.py --count 2000 --seed 1
"""

import random
import tempfile
from datetime import timedelta
from itertools import islice
from typing import Any

from budget import Budget
from estates import PAUSES, answers, instance
from postgres import start as start_postgres
from witness import Witness

from syncer.tables import instance_history, instances, metadata, rejected_items, sync_runs

LONGEST = 8  # answers of a history
LIVES = 2_000  # instances of the large estate


def replay(witnesses: list[Witness], history: list[tuple[timedelta, list[Any]]]) -> None:
    """The same answers into every database; row for row the same, and what the model says."""
    for witness in witnesses:
        for pause, items in history:
            witness.observe(pause, items)
        witness.compare()
    tables = (instances, instance_history, rejected_items, sync_runs)
    one, other = ([witness.mirror.rows(table) for table in tables] for witness in witnesses)
    assert one == other, "SQLite and PostgreSQL differ"


def lives(chance: random.Random, count: int) -> list[tuple[timedelta, list[Any]]]:
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


def fresh(witness: Witness) -> Witness:
    """An empty mirror in the same place, with ids that begin at 1 again."""
    with witness.mirror.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
            connection.exec_driver_sql("DELETE FROM sqlite_sequence")
        else:
            connection.exec_driver_sql(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY CASCADE")
    return Witness.over(witness.mirror)


def main() -> None:
    budget = Budget("models", full=100_000)
    server = start_postgres()
    with tempfile.TemporaryDirectory() as folder:
        witnesses = [Witness(f"sqlite:///{folder}/models.db"), Witness(server.create_database())]
        replay(witnesses, lives(budget.chance, LIVES))
        transitions = len(witnesses[0].model.history)
        answered = LONGEST
        for _ in budget:
            witnesses = [fresh(witness) for witness in witnesses]
            history = list(islice(answers(budget.chance), budget.chance.randint(1, LONGEST)))
            replay(witnesses, history)
            transitions += len(witnesses[0].model.history)
            answered += len(history)
        for witness in witnesses:
            witness.mirror.engine.dispose()
    if server.server:
        server.server.remove()
    budget.report(lives_of_an_instance_besides=LIVES, answers_on_each_database=answered, transitions=transitions)


if __name__ == "__main__":
    main()
