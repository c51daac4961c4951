"""The promises of the tables (CONTRACT 4) as SQL, checked on the database as it is.

A file of `promises/` holds one query for a few named checks; it begins with a line for each of them,
`-- name (table): sentence`. The query gives a row per breach: the check's name, and the id of a row of that table.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, text

from syncer.storage import timeline
from syncer.storage.database import reading
from syncer.words.errors import in_words
from syncer.words.language import Language

SHOWN_IDS = 5
_FOLDER = Path(__file__).parent / "promises"
_CHECK = re.compile(r"-- (\w+) \((\w+)\): (.+)")
# Room to sort in memory, and pages at the price of a disk without a moving head: else indexes are passed over.
_PLANNED_FOR = "SELECT set_config('work_mem', '128MB', true), set_config('random_page_cost', '1.1', true)"
_SIZES = """
SELECT
    (SELECT count(*) FROM instances) AS instances,
    (SELECT count(*) FROM instance_history) AS transitions,
    (SELECT count(*) FROM sync_runs) AS runs
"""


class Check(NamedTuple):
    """A promise by its name; `table` is where the ids of the rows that break it are found."""

    name: str
    table: str
    sentence: str


class Outcome(NamedTuple):
    """How many rows break a promise, and the smallest few of their ids."""

    check: Check
    broken: int
    first_ids: tuple[int, ...]


class Verification(NamedTuple):
    """All outcomes, and the size of what was checked."""

    outcomes: tuple[Outcome, ...]
    instances: int
    transitions: int
    runs: int
    seconds: float

    @property
    def holds(self) -> bool:
        return not any(outcome.broken for outcome in self.outcomes)


TIMELINE = Check(
    "timeline_is_of_history",
    "instances",
    "Versions, lives and their days are what the history says; so are all figures, which are made of them.",
)
"""The one promise that is no SQL: the timeline is worked out anew from the history."""


def queries() -> Iterator[tuple[list[Check], str]]:
    """Each file's checks and its query, in the order of the files' names."""
    for path in sorted(_FOLDER.glob("*.sql")):
        query = path.read_text("utf-8")
        yield [Check(*found.groups()) for found in _CHECK.finditer(query)], query


def verify(engine: Engine) -> Verification:
    """Check every promise on one state of the database, whatever runs meanwhile."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with reading(engine, "verifying the tables") as connection:
        return verification_of(connection)


def verification_of(connection: Connection) -> Verification:
    """Check every promise as this transaction sees the database."""
    began = time.monotonic()
    if connection.dialect.name == "postgresql":
        connection.execute(text(_PLANNED_FOR))
    outcomes = [outcome for checks, query in queries() for outcome in _ask(connection, checks, query)]
    strays = sorted(timeline.stray_ids(connection))
    outcomes.append(Outcome(TIMELINE, len(strays), tuple(strays[:SHOWN_IDS])))
    sizes = connection.execute(text(_SIZES)).one()
    return Verification(
        tuple(outcomes), sizes.instances, sizes.transitions, sizes.runs, seconds=time.monotonic() - began
    )


def _ask(connection: Connection, checks: list[Check], query: str) -> Iterator[Outcome]:
    broken: dict[str, set[int]] = {check.name: set() for check in checks}
    for name, row_id in connection.execute(text(_spelled(connection, query))):
        broken[name].add(row_id)
    for check in checks:
        ids = sorted(broken[check.name])
        yield Outcome(check, len(ids), tuple(ids[:SHOWN_IDS]))


def _spelled(connection: Connection, query: str) -> str:
    """SQLite before 3.39 knows the comparison of NULLs by another name only."""
    if connection.dialect.name == "postgresql":
        return query
    return query.replace("IS NOT DISTINCT FROM", "IS").replace("IS DISTINCT FROM", "IS NOT")


def document(verification: Verification) -> dict[str, Any]:
    """What `syncer verify --json` prints."""
    return {
        "holds": verification.holds,
        "instances": verification.instances,
        "transitions": verification.transitions,
        "runs": verification.runs,
        "seconds": round(verification.seconds, 3),
        "checks": [
            {**outcome.check._asdict(), "broken": outcome.broken, "first_ids": list(outcome.first_ids)}
            for outcome in verification.outcomes
        ],
    }


def lines(language: Language, verification: Verification) -> Iterator[str]:
    """The same for people."""
    for check, broken, first_ids in verification.outcomes:
        yield f"{'BROKEN' if broken else 'ok    '} {check.name}: {in_words(language, check.sentence)}"
        if broken:
            ids = ", ".join(map(str, first_ids)) + (", …" if broken > len(first_ids) else "")
            yield "       " + in_words(language, f"{broken} rows of {check.table} break it: {ids}")
    failed = sum(1 for outcome in verification.outcomes if outcome.broken)
    verdict = (
        f"{failed} of {len(verification.outcomes)} checks are broken"
        if failed
        else (f"all {len(verification.outcomes)} checks hold")
    )
    size = f"{verification.instances} instances, {verification.transitions} transitions, {verification.runs} runs"
    yield in_words(language, f"{verdict}: {size}, in {verification.seconds:.1f} s")
