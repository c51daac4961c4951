"""Senders are killed at every line that they execute and at random, before receivers that fail in every way.

    python tests/proof/receivers.py --count 1000 --seed 1

Each message that arrives is noted before it is answered. Nothing is lost, the order is that of the history, a message
that is repeated has its id and its body, the next one comes after a yes to the last alone; signatures are checked by
the package of the specification, and bodies are searched for canary tokens.
"""

import ast
import gc
import json
import logging
import os
import random
import signal
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from budget import Budget, scratch
from builders import item
from canary import find_secrets
from mirror import Mirror
from postgres import start as start_postgres
from receiving import SECRET, Behaviour, Got, ReceivingServer
from sqlalchemy import select, text
from standardwebhooks import Webhook, WebhookVerificationError
from tracing import Line, Tracer, kill_at
from witness import forked

from syncer import send
from syncer.model import Transition
from syncer.post import client
from syncer.receivers import outcome
from syncer.receivers.receiver import Address, Receiver
from syncer.receivers.standard import parse_secret
from syncer.send import Sender, Sending
from syncer.storage import database, lease, receivers
from syncer.storage.tables import instance_history, syncer_epoch
from syncer.storage.tables import receivers as receivers_table

IDS = range(1, 13)
LOOKS = 40  # of one victim
TOLD = Receiver("crm", transitions=frozenset(set(Transition) - {Transition.RENEWED}))
YES = range(200, 300)
FAULTS = (
    Behaviour(500),
    Behaviour(503),
    Behaviour(404),
    Behaviour(429, {"Retry-After": "0"}),
    Behaviour(429, {"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}),
    Behaviour(301, {"Location": "http://127.0.0.1:1/"}),
    Behaviour(410),
    Behaviour(fault="hang"),
    Behaviour(fault="drip"),
    Behaviour(fault="cut"),
    Behaviour(500, fault="drip_body"),
    Behaviour(500, fault="cut_body"),
    Behaviour(200, fault="cut_body"),  # says yes, and dies
    Behaviour(200, fault="drip_body"),
    Behaviour(204),
)


def serve(seed: int, record: Path, address: Path, calm: Path) -> int:
    """A receiver in a process of its own: it notes what arrives and what it does, and takes all once `calm` is there."""
    chance, parent = random.Random(seed), os.getpid()

    def work() -> None:
        server = ReceivingServer()
        with record.open("a", buffering=1) as notes:

            def note(got: Got) -> Behaviour:
                is_calm = calm.exists() or chance.random() < 0.6
                behaviour = Behaviour() if is_calm else chance.choice(FAULTS)
                try:
                    Webhook(SECRET).verify(got.body, got.headers)
                    is_signed = True
                except WebhookVerificationError:
                    is_signed = False
                is_yes = behaviour.status in YES and behaviour.fault not in {"hang", "drip", "cut"}
                line = {
                    "id": got.id,
                    "body": got.body.decode(),
                    "yes": is_yes,
                    "signed": is_signed,
                    "what": behaviour.fault,
                }
                notes.write(json.dumps(line | {"status": behaviour.status}) + "\n")
                return behaviour

            server.decide = note
            address.write_text(server.url)
            while os.getppid() == parent:  # it ends with the proof, however that ends
                time.sleep(0.1)

    return forked(work)


def _tell(engine: Any, url: str) -> None:
    """What a daemon's thread does, with short pauses."""
    gc.disable()
    sending = Sending(
        engine, TOLD, lambda: Address(url, (parse_secret(SECRET),)), lease.new_holder(),
        lambda: datetime.now(UTC), Event(), lambda *_secrets: None,  # noqa: TID251 - signatures are of the present
    )  # fmt: skip
    sender = Sender(sending)
    for _ in range(LOOKS):
        pause = sender.send_due()
        if pause >= send.LOOK_SECONDS:
            return
        time.sleep(min(pause, 0.02))


class Telling:
    """One database, one receiver, and what came of it."""

    def __init__(self, url: str, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        folder.mkdir()
        self.record, address, self.calm = folder / "record", folder / "address", folder / "calm"
        self.record.touch()
        self.server = serve(chance.randrange(10**9), self.record, address, self.calm)
        while not (address.exists() and address.read_text()):
            time.sleep(0.01)
        self.address = address.read_text()
        self.mirror = Mirror(url)
        self.estate: dict[int, dict[str, Any]] = {key: item(key) for key in IDS}
        self.mirror.observe(self.estate.values())
        with database.writing(self.mirror.engine, "starting the receiver") as connection:
            receivers.begin(connection, TOLD.name)
        self.begun = self.cursor()
        self.lines: set[Line] = set()
        self.hit: set[Line] = set()
        self.todo: list[Line] = []
        self.ends: Counter[str] = Counter()

    def cursor(self) -> int:
        (row,) = self.mirror.rows(receivers_table)
        return int(row["last_history_id"])

    def live(self) -> None:
        """Something happens to some instances."""
        for key in self.chance.sample(list(IDS), self.chance.randint(1, 3)):
            word = self.chance.choice(("name", "deleted", "token"))
            known = self.estate[key]
            if word == "deleted":
                known["deleted"] = not known["deleted"]
            elif word == "name":
                known["name"] = f"client {self.chance.randint(1, 10**6)}"
            else:
                known["apiTokenInstance"] = f"c0ffee5ec2e7{self.chance.randrange(16**38):038x}"
        self.mirror.observe(self.estate.values())

    def kill(self, *, at_a_line: bool) -> None:
        """Start a sender and kill it, at a line that one executes or at random; look at what arrived until then."""
        self.live()
        place = None
        if at_a_line:
            if not self.todo:
                self._plan()
            place = self.todo.pop()
        self.mirror.engine.dispose()
        child = forked(lambda: self._victim(kill_at(place, self.chance.choice((1, 1, 2, 5))) if place else None))
        if place is None:
            time.sleep(self.chance.uniform(0, 0.4))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or status == 0
        if os.WIFSIGNALED(status):
            self.hit |= {place} if place else set()
        self.ends["killed" if os.WIFSIGNALED(status) else "ended"] += 1
        self._wait_until_alone()
        self.check()
        with database.writing(self.mirror.engine, "resuming") as connection:
            receivers.resume(connection, TOLD.name)

    def _victim(self, trace: Tracer | None) -> None:
        sys.settrace(trace)
        _tell(self.mirror.engine, self.address)
        sys.settrace(None)

    def _plan(self) -> None:
        """Every line that some senders execute, in random order."""
        for _ in range(3):
            self.live()
            seen: set[Line] = set()
            reading, writing = os.pipe()
            self.mirror.engine.dispose()

            def work(seen: set[Line] = seen, pipe: int = writing) -> None:
                self._victim(Tracer(seen.add))
                os.write(pipe, repr(seen).encode())

            child = forked(work)
            os.close(writing)
            with os.fdopen(reading, "rb") as pipe:
                told = pipe.read()
            assert os.waitpid(child, 0)[1] == 0
            found: set[Line] = ast.literal_eval(told.decode())
            self.lines |= found
            with database.writing(self.mirror.engine, "resuming") as connection:
                receivers.resume(connection, TOLD.name)
        self.todo = sorted(self.lines)
        self.chance.shuffle(self.todo)

    def _wait_until_alone(self) -> None:
        """PostgreSQL finishes what a client sent before it died."""
        if self.mirror.engine.dialect.name == "sqlite":
            return
        others = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        for _ in range(10_000):
            with self.mirror.engine.connect() as connection:
                if not connection.execute(others).scalar_one():
                    return
            time.sleep(0.001)
        raise AssertionError("the backend of a killed sender is still there")

    def check(self) -> None:
        """What arrived, held against what the database says."""
        notes = [json.loads(line) for line in self.record.read_text().splitlines()]
        bodies: dict[str, str] = {}
        before = None
        for note in notes:
            assert note["signed"], note
            assert bodies.setdefault(note["id"], note["body"]) == note["body"], "one id, two bodies"
            if before is not None and before["id"] != note["id"]:
                assert before["yes"], f"{note['id']} came before a yes to {before['id']}"
                assert _number(before) < _number(note), "the order is not that of the history"
            before = note
        assert find_secrets("".join(bodies.values()).encode()) == []
        yes = max((_number(note) for note in notes if note["yes"]), default=self.begun)
        wanted = self._wanted()
        arrived = [number for number in wanted if number <= yes]
        assert sorted({_number(note) for note in notes if note["yes"]}) == arrived, "an event is missing"
        cursor = self.cursor()
        assert not [number for number in wanted if yes < number <= cursor], "the cursor passed what was not told"

    def _wanted(self) -> list[int]:
        query = select(instance_history.c.id).where(
            instance_history.c.id > self.begun, instance_history.c.transition.in_(sorted(TOLD.transitions))
        )
        with self.mirror.engine.connect() as connection:
            return sorted(connection.scalars(query))

    def end(self) -> int:
        """The receiver takes everything from now on: then everything has arrived, and only that."""
        self.calm.touch()
        for _ in range(1000):
            with database.writing(self.mirror.engine, "resuming") as connection:
                receivers.resume(connection, TOLD.name)
            _tell(self.mirror.engine, self.address)
            if not [number for number in self._wanted() if number > self.cursor()]:
                break
        self.check()
        notes = [json.loads(line) for line in self.record.read_text().splitlines()]
        (epoch,) = [row["epoch"] for row in self.mirror.rows(syncer_epoch)]
        assert {note["id"] for note in notes} == {f"{epoch}_{number}" for number in self._wanted()}
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
        self.mirror.engine.dispose()
        return len(notes)


def _number(note: dict[str, Any]) -> int:
    return int(note["id"].partition("_")[2])


def main() -> None:
    budget = Budget("receivers", full=20_000)
    logging.disable()
    client.WHOLE_SECONDS, client.CONNECT_SECONDS = 0.3, 5.0
    outcome.FIRST_PAUSE = outcome.LONGEST_PAUSE = outcome.LONGEST_RETRY_AFTER / 10**8
    Receiver.most_a_second = 10_000.0  # type: ignore[method-assign, assignment]  # nobody waits for the limit here
    server = start_postgres()
    with scratch() as folder:
        tellings = [
            Telling(f"sqlite:///{folder}/told.db", folder / "sqlite", budget.chance),
            Telling(server.create_database(), folder / "postgresql", budget.chance),
        ]
        for number in budget:
            tellings[number % 4 == 3].kill(at_a_line=number % 5 != 4)
        arrived = sum(telling.end() for telling in tellings)
    if server.server:
        server.server.remove()
    for telling, name in zip(tellings, ("SQLite", "PostgreSQL"), strict=True):
        print(f"{name}: {dict(telling.ends)}, killed at {len(telling.hit)} of {len(telling.lines)} lines")
    budget.report(messages=arrived, lines=max(len(telling.hit) for telling in tellings))


if __name__ == "__main__":
    main()
