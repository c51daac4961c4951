"""Each statement of a run on PostgreSQL fails once with each SQLSTATE that a server may give it; then all is as before.

    python tests/proof/statements.py --seed 1
    python tests/proof/statements.py --count 40 --stages 2 --seed 1

Every statement of a run is counted at the driver: what is executed, by COPY too, each COMMIT and ROLLBACK, each connect.
In a forked run one of them fails. An SQLSTATE is raised by the server itself, in the statement's place and transaction;
a connection is ended by the server, or cut in this process; a COMMIT may also arrive and nothing be heard of it.

Then the exit code is that of what is in the tables, the error is one line without a secret, and beside the run's own rows
nothing differs from the state after one of the transactions of a run that nobody disturbed. From each state that was left
behind, every promise holds, and the next runs end in the rows of a run that nobody disturbed.
"""

import gc
import json
import logging
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
from budget import Budget, scratch
from canary import find_secrets
from exhaustive import OPTIONS, do_all
from scenarios import Stage, others, stages
from sqlalchemy import event
from witness import forked

from syncer.storage import runs

# Of appendix A of PostgreSQL's manual: what a statement that is right may be told, for reasons that lie elsewhere.
STATES = {
    "08000": "a pooler lost its server",
    "08003": "a pooler has no connection any more",
    "08006": "a pooler's connection to the server failed",
    "08P01": "a pooler gives up: it says so under this state",
    "23503": "a foreign key of a user's own table",
    "23505": "a unique index that a user added",
    "23514": "a constraint that a user added",
    "25006": "the server has become a standby, or was set to read only",
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
    "40001": "a serialization failure, or a conflict with recovery",
    "40003": "it is not known whether the statement was completed",
    "40P01": "a deadlock",
    "42501": "a right was taken away",
    "42703": "a column was dropped under a run",
    "42P01": "a table was dropped under a run",
    "53000": "out of some resource",
    "53100": "the disk is full",
    "53200": "out of memory, or of locks",
    "53300": "too many connections",
    "53400": "a limit of the configuration was exceeded",
    "54001": "the stack is too small",
    "55000": "an object is not in the state that is needed",
    "55006": "an object is in use",
    "55P03": "lock_timeout",
    "57014": "statement_timeout, or an administrator cancelled it",
    "57P01": "an administrator ended the session",
    "57P02": "another session crashed the server",
    "57P03": "the server starts or stops",
    "57P04": "the database was dropped",
    "57P05": "idle_session_timeout",
    "58000": "an error of the system",
    "58030": "an error of reading or writing",
    "58P01": "a file is missing",
    "P0001": "a trigger that a user added",
    "XX000": "an error within the server",
    "XX001": "a page of a table is damaged",
    "XX002": "an index is damaged",
}
ENDED, CUT, UNHEARD, REFUSED = "ended by the server", "cut", "arrived, and nothing heard", "refused"
CONNECT, COMMIT, ROLLBACK = "CONNECT", "COMMIT", "ROLLBACK"


class Fault(NamedTuple):
    """The number of a statement, what it is, and what befalls it."""

    number: int
    statement: str
    kind: str


class Interception:
    """Between SQLAlchemy and psycopg: counts what a run says to the server, and lets one of it fail."""

    def __init__(self, stage: Stage, fault: Fault | None = None) -> None:
        self.said: list[str] = []
        self._number, self._kind = (fault.number, fault.kind) if fault else (0, "")
        dialect = stage.engine.dialect
        self._commit, self._rollback = dialect.do_commit, dialect.do_rollback
        dialect.do_commit, dialect.do_rollback = self._do_commit, self._do_rollback  # type: ignore[method-assign]
        event.listen(stage.engine, "connect", self._on_connect)
        event.listen(stage.engine, "do_connect", self._do_connect)

    def _is_due(self, statement: str) -> bool:
        self.said.append(statement)
        return len(self.said) == self._number

    def _on_connect(self, connection: Any, _record: object) -> None:
        interception = self

        class Cursor(psycopg.Cursor[Any]):
            """One whose statements may fail."""

            def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
                interception.before(self, query)
                return super().execute(query, *arguments, **options)

            def executemany(self, query: Any, *arguments: Any, **options: Any) -> None:
                interception.before(self, query)
                super().executemany(query, *arguments, **options)

            def copy(self, statement: Any, *arguments: Any, **options: Any) -> Any:
                interception.before(self, statement)
                return super().copy(statement, *arguments, **options)

        connection.cursor_factory = Cursor

    def before(self, cursor: psycopg.Cursor[Any], statement: Any) -> None:
        """What befalls a statement, if it does."""
        if self._is_due(str(statement)):
            self._strike(cursor.connection)

    def _strike(self, connection: psycopg.Connection[Any]) -> None:
        with psycopg.Cursor(connection) as cursor:
            if self._kind == CUT:
                with socket.socket(fileno=os.dup(connection.fileno())) as ours:
                    ours.shutdown(socket.SHUT_RDWR)
            elif self._kind == ENDED:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            else:
                cursor.execute(f"DO $$ BEGIN RAISE 'told so' USING ERRCODE = '{self._kind}'; END $$")

    def _do_connect(self, _dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
        if self._is_due(CONNECT):
            options["port"] = 1

    def _do_commit(self, connection: Any) -> None:
        is_due = self._is_due(COMMIT)
        if is_due and self._kind == UNHEARD:
            self._commit(connection)
            self._kind = CUT
            self._strike(connection.driver_connection)
            connection.execute("SELECT 1")
        if is_due:
            self._strike(connection.driver_connection)
        self._commit(connection)

    def _do_rollback(self, connection: Any) -> None:
        if self._is_due(ROLLBACK):
            self._strike(connection.driver_connection)
        self._rollback(connection)


def told_by_child(work: Callable[[], object]) -> Any:
    """What a forked process tells as JSON; it has to end by itself."""
    reading, writing = os.pipe()

    def tell() -> None:
        gc.disable()  # it would touch, and so copy, everything
        told = work()
        with os.fdopen(writing, "w") as pipe:
            json.dump(told, pipe)

    child = forked(tell)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0, "the process of a run died"
    return json.loads(told)


def faults_of(stage: Stage) -> list[Fault]:
    """Each that can befall each statement of a run that nobody disturbs."""

    def work() -> list[str]:
        interception = Interception(stage)
        stage.run()
        return interception.said

    stage.put()
    found = []
    for number, statement in enumerate(told_by_child(work), 1):
        kinds: tuple[str, ...] = (*STATES, ENDED, CUT)
        if statement == COMMIT:
            kinds += (UNHEARD,)
        elif statement == ROLLBACK:  # a server never refuses it
            kinds = (ENDED, CUT)
        elif statement == CONNECT:
            kinds = (REFUSED,)
        found += [Fault(number, " ".join(statement.split())[:80], kind) for kind in kinds]
    return found


def fail(stage: Stage, fault: Fault) -> str:
    """A run whose statement fails, and what is to hold after it; in a word what came of it."""

    def work() -> list[Any]:
        interception = Interception(stage, fault)
        result = stage.run()
        return [len(interception.said), result.exit_code, str(result.error or "")]

    stage.put()
    said, exit_code, error = told_by_child(work)
    assert said >= fault.number, "the run did not come to the statement"
    left = stage.read()
    has_applied = stage.has_applied(left)
    wanted = stage.result.exit_code if has_applied else 8
    assert exit_code == wanted, f"exit code {exit_code} instead of {wanted}: {error}"
    assert "\n" not in error
    assert find_secrets(repr((error, left["sync_runs"])).encode()) == []
    assert others(left) in [others(one) for one in stage.milestones], "the rows are those after no COMMIT"
    stage.check_rest(left)
    return "applied all the same" if has_applied else "nothing written"


def main() -> None:
    budget = Budget("statements", full=sys.maxsize, numbers=OPTIONS)
    logging.disable()  # most runs end badly, as they are meant to
    runs.COMMIT_LOOKUP_PAUSE_SECONDS = 0.001
    with scratch() as folder, stages(folder, "PostgreSQL") as every:
        faults = do_all(budget, every, faults_of, fail)
    statements = {(stage, fault.number) for stage, found in faults.items() for fault in found}
    budget.report(stages=len(faults), statements=len(statements), sqlstates=len(STATES), faults=budget.share)


if __name__ == "__main__":
    main()
