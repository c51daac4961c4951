"""Faults of production, one at a named function each: for every kind of fault that a world knows, what it must see."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple

from sqlalchemy import select, update

from syncer.errors import DatabaseFailed
from syncer.receivers.outcome import Verdict
from syncer.storage.lease import Acquired
from syncer.storage.tables import receivers, sync_runs


class Planted(NamedTuple):
    """`broken` is given the real function, and what stands in its place is what it gives."""

    target: str  # module:name
    broken: Callable[[Any], Any]


def _nothing(_real: Any) -> Any:
    return lambda *_of, **_named: None


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda _real: lambda *_of, **_named: value


def _only(kind: str) -> Callable[[Any], Any]:
    """Of the problems that it finds, this kind alone."""

    def broken(real: Any) -> Any:
        def problem(*of: Any) -> Any:
            found = real(*of)
            return found if found is not None and found.kind == kind else None

        return problem

    return broken


def _commits_amid(real: Any) -> Any:
    def move_base(connection: Any, *rest: Any) -> None:
        connection.connection.commit()
        real(connection, *rest)

    return move_base


def _commits_before_lives(real: Any) -> Any:
    def write(connection: Any, changes: Any) -> None:
        connection.connection.commit()
        real(connection, changes)

    return write


def _takes_lost_for_done(_real: Any) -> Any:
    from syncer.storage import database

    def write(engine: Any, _run: Any, what: Callable[[Any], Any]) -> Any:
        result = None
        try:
            with database.writing(engine, "applying the answer") as connection:
                result = what(connection)
        except DatabaseFailed:
            if result is None:
                raise
        return result

    return write


def _observes(**values: Any) -> Callable[[Any], Any]:
    """An observation that has these values; None stands for the moment as the clock has it."""

    def broken(real: Any) -> Any:
        def observe(connection: Any, account: str, grace: Any, listing: Any, at: Any) -> Any:
            observation, rows = real(connection, account, grace, listing, at)
            given = {name: at if value is None else value for name, value in values.items()}
            return observation._replace(**given), rows

        return observe

    return broken


def _closes_by_id_alone(real: Any) -> Any:
    def finish(connection: Any, run: Any, *rest: Any, **values: Any) -> None:
        began = connection.execute(select(sync_runs.c.started_at).where(sync_runs.c.id == run.id)).scalar()
        real(connection, run._replace(started_at=began or run.started_at), *rest, **values)

    return finish


def _keeps_the_first_token(real: Any) -> Any:
    first: dict[str, str] = {}

    def upstream(**values: Any) -> Any:
        token = values["token"]
        return real(**values | {"token": first.setdefault(token[:-4], token)})

    return upstream


def _stays_planned(_real: Any) -> Any:
    return lambda _schedule, planned, _jump, _now: planned


def _a_day_later(real: Any) -> Any:
    return lambda *of: real(*of) + timedelta(days=1)


def _approves_all(real: Any) -> Any:
    return lambda ground, approved: bool(approved) or real(ground, approved)


def _moves_before_it_posts(real: Any) -> Any:
    """The cursor passes the first message when the receiver is acquired, and comes to it with the delivery alone."""

    def acquire(connection: Any, cursor: Any, holder: str) -> Any:
        held = real(connection, cursor, holder)
        if held is None:
            return None
        further = held.cursor + 1
        connection.execute(update(receivers).where(receivers.c.name == held.name).values(last_history_id=further))
        return held._replace(cursor=further)

    return acquire


def _adds_a_secret(real: Any) -> Any:
    def message_of(receiver: Any, address: Any, *rest: Any) -> Any:
        message = real(receiver, address, *rest)
        return message._replace(body=message.body + address.url.encode())

    return message_of


def _a_rate_a_day_later(real: Any) -> Any:
    return lambda connection, tariff, rate, currency, day: real(
        connection, tariff, rate, currency, day + timedelta(days=1)
    )


def _counts_its_tries(real: Any) -> Any:
    tries = count()
    return lambda news: real(news)[:-1] + f',"try":{next(tries)}}}'.encode()


def _from_the_beginning(real: Any) -> Any:
    return lambda connection, receiver, _after, until: real(connection, receiver, 0, until)


def _opens_another(real: Any) -> Any:
    def transport(upstream: Any) -> Any:
        os.open("/dev/null", os.O_RDONLY)
        return real(upstream)

    return transport


def _newest_first(real: Any) -> Any:
    return lambda *of: real(*of)[::-1]


PLANTED = {
    "late and stalled": Planted("syncer.sync:_is_overtaken", _always(value=False)),
    "COMMIT whose acknowledgement is lost": Planted("syncer.storage.runs:read_status_after_failure", _nothing),
    "COMMIT that is lost": Planted("syncer.sync:_write", _takes_lost_for_done),
    "kill": Planted("syncer.storage.runs:move_base", _commits_amid),
    "stale answer": Planted("syncer.sync:time_problem", _only("clock")),
    "wrong clock": Planted("syncer.sync:time_problem", _only("stale")),
    "clock set back": Planted("syncer.sync:observe", _observes(observed_at=None)),
    "clock that jumps": Planted("syncer.rules.schedule:planned_after_jump", _stays_planned),
    "part of a list": Planted("syncer.sync:part_problem", _nothing),
    "half a list, another's, or none": Planted("syncer.rules.guard:examine", _nothing),
    "approval of something else": Planted("syncer.rules.guard:_is_approved", _approves_all),
    "many bad items": Planted("syncer.answer.problem:too_many_rejects", _nothing),
    "restore": Planted("syncer.storage.runs:finish_run", _closes_by_id_alone),
    "move": Planted("syncer.storage.mirror:drop_claims", _nothing),
    "retired": Planted("syncer.sync:observe", _observes(retired=[])),
    "renamed": Planted("syncer.storage.accounts:_give_way", _nothing),
    "rotated token": Planted("syncer.daemon.leased_runs:Upstream", _keeps_the_first_token),
    "message that is no yes": Planted("syncer.send:verdict_of", _always(Verdict.DELIVERED)),
    "message that fails": Planted("syncer.storage.receivers:acquire", _moves_before_it_posts),
    "many messages": Planted("syncer.storage.receivers:read_events", _newest_first),
    "receiver that asks to wait": Planted("syncer.send:pause_after", _always(timedelta(seconds=1))),
    "receiver of two processes": Planted("syncer.storage.receivers:is_held", _always(value=False)),
    "messages after a restore": Planted("syncer.storage.epoch:begin", _always("0ddba11")),
    "death after a yes": Planted("syncer.receivers.standard:body", _counts_its_tries),
    "secret in a message": Planted("syncer.send:message_of", _adds_a_secret),
    "what needs attention": Planted("syncer.storage.receivers:note_told", _nothing),
    "sums": Planted("syncer.storage.receivers:count_by_transition", _from_the_beginning),
    "who reads amid a write": Planted("syncer.storage.timeline:write", _commits_before_lives),
    "two currencies in a month": Planted("syncer.views.rates:_refuse_two_in_a_month", _nothing),
    "days that are sold twice": Planted("syncer.rules.customers:first_overlap", _nothing),
    "prices": Planted("syncer.views.rates:set_rate", _a_rate_a_day_later),
    "customers": Planted("syncer.storage.customers:apply", _nothing),
    "newer schema": Planted("syncer.storage.schema:require_current", _nothing),
    "newer schema under a run": Planted("syncer.storage.schema:require_own", _nothing),
    "older schema": Planted("syncer.storage.schema:ensure_current", _nothing),
    "clock that drifts": Planted("syncer.sync:time_problem", _only("stale")),
    "descriptors": Planted("syncer.upstream.client:_transport", _opens_another),
    "two processes": Planted("syncer.storage.lease:acquire", _always(Acquired())),
    "429 for long": Planted("syncer.storage.lease:hold_back", _nothing),
    "tokens that are kept": Planted("syncer.storage.tokens:Safe.keep", _nothing),
    "figures": Planted("syncer.rules.timeline:first_midnight", _a_day_later),
    "a token in what is said": Planted("syncer.scrub:Scrubber.__call__", lambda _real: lambda _self, text: text),
    "new and told to be expired": Planted("syncer.rules.transitions:settle", lambda _real: lambda told, *_of, **_named: told),
    "nightly roll": Planted("syncer.storage.mirror:Writer.roll", lambda _real: lambda *_of: None),
    "purged": Planted("syncer.rules.transitions:decide_absent", lambda real: lambda before, *rest: real(
        before._replace(instance=before.instance._replace(deleted=False)), *rest)),
}  # fmt: skip
"""By the kind of fault that shows it."""
IN_FIGURES = {"figures", "prices", "customers"}
"""What only the figures' model sees."""


def real_of(target: str) -> tuple[Any, str, Any]:
    """Whose attribute it is, its name, and what it is; `LookupError` if there is none."""
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    if not hasattr(owner, name):
        raise LookupError(f"{target}: there is no {name}")
    return owner, name, getattr(owner, name)


@contextmanager
def planted(fault: Planted) -> Iterator[None]:
    """While the block runs, the fault is wherever the function is known."""
    owner, name, real = real_of(fault.target)
    false = fault.broken(real)
    places = [(owner, name)]
    for module in [known for key, known in sys.modules.items() if key.partition(".")[0] in {"syncer", "world"}]:
        places += [(module, known) for known, value in vars(module).items() if value is real and module is not owner]
    for place, known in places:
        setattr(place, known, false)
    try:
        yield
    finally:
        for place, known in places:
            setattr(place, known, real)
