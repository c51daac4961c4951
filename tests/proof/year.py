"""A year of five-minute polls on a moved clock: both clock changes, suspends, an outage of 100 days, the daily roll.

    python tests/proof/year.py --count 105120 --seed 1

The schedule is a cron expression in Europe/Berlin. The model of the contract follows every answer, and is compared with
the tables once a simulated week.
"""

import os
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from budget import Budget
from builders import item, paid
from mirror import Mirror, account
from sqlalchemy import text
from witness import Witness

from syncer.errors import UpstreamUnreachable
from syncer.model import Trigger
from syncer.rules.schedule import parse_schedule
from syncer.sync import run_once

BEGIN = datetime(2027, 3, 27, 12, 0, tzinfo=UTC)  # half a day before the clocks of Berlin go forward
OUTAGE = (datetime(2027, 6, 1, tzinfo=UTC), datetime(2027, 9, 9, tzinfo=UTC))  # 100 days
FORGOTTEN_AFTER = timedelta(days=92)  # the upstream drops what was deleted
MOSCOW = timedelta(hours=3)
POLLS_OF_A_WEEK = 7 * 24 * 12


def at_upstream(moment: datetime) -> str:
    return (moment + MOSCOW).replace(tzinfo=None, microsecond=0).isoformat()


class Upstream:
    """An estate that changes a few times a day, and rolls the dates of auto-renewing instances at its midnight."""

    def __init__(self, chance: Random, now: datetime) -> None:
        self.chance = chance
        self.items: dict[int, dict[str, Any]] = {}
        self.gone: dict[int, datetime] = {}
        self._day = self._day_of(now)
        for number in range(1, 21):
            make = paid if number % 3 == 0 else item
            self.items[number] = make(number, timeCreated=at_upstream(now - timedelta(days=number)))

    def _day_of(self, now: datetime) -> Any:
        return (now + MOSCOW).date()

    def pass_time(self, now: datetime, *, quiet: bool) -> None:
        """Bring the estate to this moment; a quiet one loses nothing that the guard would hold."""
        while self._day < self._day_of(now):
            self._day += timedelta(days=1)
            for known in self.items.values():
                if known["isPartner"] and not known["deleted"]:
                    rolled = datetime.fromisoformat(known["expirationDate"]) + timedelta(days=1)
                    known["expirationDate"] = rolled.isoformat()
        for number in [number for number, when in self.gone.items() if now - when > FORGOTTEN_AFTER]:
            del self.items[number], self.gone[number]
        if self.chance.random() < 0.01:
            self._happen(now, quiet=quiet)

    def _happen(self, now: datetime, *, quiet: bool) -> None:
        known = self.chance.choice(list(self.items.values()))
        what = self.chance.choice(
            ["name", "create", "tariff"] if quiet else ["name", "create", "delete", "expire", "renew", "restore"]
        )
        if what == "name":
            known["name"] = f"client of {self._day}"
        elif what == "tariff" and not known["isPartner"]:
            known["tariff"] = self.chance.choice(["BUSINESS", "BUSINESS_USD"])
        elif what == "create" and len(self.items) < 40:
            number = max(self.items) + 1
            self.items[number] = item(
                number, timeCreated=at_upstream(now), expirationDate=at_upstream(now + timedelta(days=1))
            )
        elif what == "delete" and not known["deleted"] and len(self.items) > 10:
            known |= {"deleted": True, "timeDeleted": at_upstream(now)}
            self.gone[known["idInstance"]] = now
        elif what == "restore" and known["deleted"]:
            known |= {"deleted": False, "timeDeleted": "0001-01-01T00:00:00"}
            del self.gone[known["idInstance"]]
        elif what == "expire" and not known["isPartner"]:
            known |= {"isExpired": True, "expirationDate": at_upstream(now)}
        elif what == "renew" and not known["isPartner"]:
            known |= {"isExpired": False, "expirationDate": at_upstream(now + timedelta(days=30))}


def unreachable(_read: object) -> NoReturn:
    raise UpstreamUnreachable("calling the upstream: the network is down")


def resident_kilobytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def main() -> None:
    budget = Budget("year", full=105_120)
    schedule = parse_schedule("*/5 * * * *", ZoneInfo("Europe/Berlin"))
    counted: Counter[str] = Counter()
    memory: list[int] = []
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a year of fsync tells nothing more
    with tempfile.TemporaryDirectory(dir=place) as folder:
        witness = Witness(f"sqlite:///{folder}/year.db")
        mirror: Mirror = witness.mirror
        mirror.now = BEGIN
        upstream = Upstream(budget.chance, mirror.now)
        for number in budget:
            due = schedule.next_after(mirror.now)
            assert due - mirror.now <= timedelta(minutes=5), f"a firing after {mirror.now} was left out"
            pause = due - mirror.now
            if budget.chance.random() < 0.0005:
                pause += timedelta(hours=budget.chance.uniform(1, 30))
                counted["suspends"] += 1
            offset = due.astimezone(ZoneInfo("Europe/Berlin")).utcoffset()
            counted["clock changes"] += offset != mirror.now.astimezone(ZoneInfo("Europe/Berlin")).utcoffset()
            is_out = OUTAGE[0] <= mirror.now + pause < OUTAGE[1]
            upstream.pass_time(mirror.now + pause, quiet=is_out)
            if is_out:
                mirror.now += pause
                report = run_once(mirror.engine, account(), unreachable, lambda: mirror.now, Trigger.SCHEDULE)
                assert (report.status, report.exit_code) == ("failed", 3)
                counted["polls in the outage"] += 1
            else:
                witness.observe(pause, list(upstream.items.values()))
            if number % POLLS_OF_A_WEEK == POLLS_OF_A_WEEK - 1:
                witness.compare()
                memory.append(resident_kilobytes())
                print(f"{mirror.now:%Y-%m-%d}: {number + 1} polls, {memory[-1]} kB resident", flush=True)
        witness.compare()
        simulated = mirror.now - BEGIN
        with mirror.engine.connect() as connection:
            gaps = connection.execute(text("SELECT count(*) FROM sync_runs WHERE warning = 'blind_gap'")).scalar_one()
            words = dict(connection.execute(text("SELECT transition, count(*) FROM instance_history GROUP BY 1")).all())
        assert gaps == (1 if mirror.now > OUTAGE[1] else 0), "the outage was not noted as a blind gap"
        mirror.engine.dispose()
    resident = {"resident_after_week_4": f"{memory[3]} kB", "at_the_end": f"{memory[-1]} kB"} if len(memory) > 8 else {}
    print(f"transitions: {words}")
    told = {name.replace(" ", "_"): count for name, count in counted.items()}
    budget.report(simulated_days=simulated.days, **told, **resident)


if __name__ == "__main__":
    main()
