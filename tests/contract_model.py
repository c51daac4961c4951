"""CONTRACT 4, 5 and 6 once more, written from their text alone: slow, plain, and without a line of the core.

Keeps plain dictionaries, and says what the tables must hold; `contract_items.py` reads items and headers,
`contract_guard.py` has the reasons of the guard, `contract_zone.py` the births.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from contract_guard import Reasons, Shares, Shown, is_covered, live_of, reasons_of, renews_itself
from contract_items import ReadAnswer, Said
from contract_zone import Birth, Heard, births_of, speaks_against

ORDER = [
    "created", "reappeared", "restored", "renewed", "extended", "changed", "token_rotated", "expired", "deleted", "vanished", "purged",
]  # fmt: skip
GRACE = timedelta(minutes=5)
BLIND = timedelta(days=80)
CHANGED = ("name", "type_instance", "tariff", "is_partner", "time_created", "account")
Happened = tuple[str, datetime, str, set[str]]  # word, occurred_at, time_source, columns


class ContractModel:
    """What a mirror must hold after each answer of any of its accounts.

    After `observe`: `listed` and `rejected` items, `reasons` of the guard (also those that an approval covered), error
    `kinds` of what the answer says of itself, `warnings`. Runs are numbered from 1.
    """

    def __init__(self, shares: Shares | None = None) -> None:
        self.shares = shares or Shares()
        self.rows: dict[int, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = []
        self.columns: list[set[str]] = []  # what each row of the history says of `changes`
        self.accepted: dict[str, datetime] = {}
        self.claims: dict[tuple[int, str], int] = {}  # since which run
        self.retired: set[str] = set()
        self.approved: dict[str, list[Reasons]] = {}
        self.runs = 0
        self.listed = self.rejected = 0
        self.reasons: Reasons = {}
        self.kinds: set[str] = set()
        self.warnings: set[str] = set()
        self._moved_at: dict[str, datetime] = {}
        self._last: dict[str, tuple[int, datetime | None]] = {}  # the last accepted run, and its `Date`
        self._births: dict[str, list[Birth]] = {}
        self._held: dict[int, tuple[str, Reasons]] = {}
        self._changed: dict[str, set[int]] = {}  # instances by column, of the last answer

    def observe_body(self, body: bytes, now: datetime, account: str = "default") -> str:
        """Take an answer as it came over the wire."""
        try:
            items = json.loads(body.decode("utf-8-sig"), parse_constant=lambda word: [][int(word)])
        except (ValueError, RecursionError):
            items = None
        if isinstance(items, list):
            return self.observe(items, now, account)
        self.runs += 1
        return "failed"

    def approve(self, run: int | None = None) -> None:
        """Let through what a run was held for; without one, the last that was held."""
        account, reasons = self._held[run or max(self._held)]
        self.approved.setdefault(account, []).append(reasons)

    def rename(self, old: str, new: str) -> bool:
        """Whether it is allowed: NEW may exist, if it owns nothing. What both claim is claimed since OLD claims it."""
        if old == new or any(row["account"] == new for row in self.rows.values()):
            return False
        is_taken_over = new in self.accepted
        last = max(self._last.get(name, (0, None)) for name in (old, new))
        for row in [*self.rows.values(), *self.history]:
            if row["account"] == old:
                row["account"] = new
        kept: dict[tuple[int, str], int] = {}
        for (key, claimant), since in self.claims.items():
            name = new if claimant == old else claimant
            if name != self.rows[key]["account"]:
                kept[key, name] = since if claimant == old else kept.get((key, name), since)
        self.claims = kept
        named: dict[str, Any]
        self._births[new] = self._births.pop(old, []) + self._births.get(new, [])
        for named in (self.accepted, self.approved, self._moved_at, self._last):  # type: ignore[assignment]
            named.pop(new, None)
            if old in named:
                named[new] = named.pop(old)
        if is_taken_over:  # no history of an account was observed after its last accepted answer
            observed = [event["observed_at"] for event in self.history if event["account"] == new]
            self.accepted[new] = max([self.accepted[new], *observed])
            self._last[new] = last
        self._held = {run: (new if name == old else name, reasons) for run, (name, reasons) in self._held.items()}
        self.retired = {new if name == old else name for name in self.retired - {new}}
        return True

    def retire(self, name: str) -> None:
        """It is no longer expected; what it owns may be taken, and its claims end."""
        self.retired.add(name)
        self.claims = {claim: since for claim, since in self.claims.items() if claim[1] != name}

    def observe(self, items: list[Any], now: datetime, account: str = "default", said: Said | None = None) -> str:
        """Take an answer; says `held`, `failed` or `accepted`."""
        self.runs += 1
        said = said or Said()
        answer = ReadAnswer(items)
        self.listed, self.rejected = answer.listed, answer.rejected
        self.reasons, self.warnings = {}, set()
        _, last_date = self._last.get(account, (0, None))
        self.kinds = said.problems(answer.listed, last_date)
        if self.kinds or answer.is_refused:
            return "failed"
        own = {key: row for key, row in self.rows.items() if row["account"] == account}
        of_others = {key for key in answer.seen & self.rows.keys() if key not in own}
        taken = {key for key in of_others & answer.good.keys() if answer.proves_absence and self._is_free(key)}
        claimed = of_others - taken
        moving = {
            key: heir
            for key in (own.keys() - answer.seen if answer.proves_absence else ())
            if (heir := self._heir(key)) is not None
        }
        now = self._observed_at(now, account, taken | {key for key in claimed if (key, account) not in self.claims})
        states = {
            key: self._settled(state, now, was_expired=key in self.rows and self.rows[key]["is_expired"])
            for key, state in answer.good.items()
        }
        claims = {key for key, claimant in self.claims if claimant == account}
        shown = Shown(
            own, claims, states, answer.seen, answer.is_empty, answer.proves_absence, set(moving), now
        )  # fmt: skip
        self.reasons = reasons_of(shown, self.shares)
        if not is_covered(self.reasons, self.approved.get(account, [])):
            self._held[self.runs] = account, self.reasons
            return "held"
        live = live_of(own)
        gap = now - self.accepted.get(account, now)
        self._changed = {}
        new = states.keys() - self.rows.keys()
        last_observed = self.accepted.get(account)
        self._apply(shown, account, claimed, moving)
        created = {key: row["time_created"] for key, row in self.rows.items()}
        births = self._births.setdefault(account, [])
        if last_observed is not None:
            heard = Heard(last_date, last_observed), Heard(said.date, now)
            births += births_of({key: created[key] for key in new}, *heard)
        if speaks_against(births, created):
            self.warnings.add("zone")
        if any(len(live & changed) > max(10, len(live) * 20 / 100) for changed in self._changed.values()):
            self.warnings.add("mass_change")
        if any(account in {claimant, self.rows[key]["account"]} for key, claimant in self.claims):
            self.warnings.add("overlap")
        if gap > BLIND:
            self.warnings.add("blind_gap")
        self._last[account] = self.runs, said.date
        self.approved.pop(account, None)
        self.retired.discard(account)
        return "accepted"

    def _is_free(self, key: int) -> bool:
        """Whether whoever lists it next has it."""
        return bool(self.rows[key]["missing"]) or self.rows[key]["account"] in self.retired

    def _heir(self, key: int) -> str | None:
        """Who claims it for the longest time."""
        claimants = [(since, claimant) for (claimed, claimant), since in self.claims.items() if claimed == key]
        return min(claimants)[1] if claimants else None

    def _observed_at(self, now: datetime, account: str, foreign: set[int]) -> datetime:
        names = {account, *(self.rows[key]["account"] for key in foreign)}
        known = [times[name] for times in (self.accepted, self._moved_at) for name in names if name in times]
        return max([now, *known])

    def _apply(self, shown: Shown, account: str, claimed: set[int], moving: dict[int, str]) -> None:
        """Write what an accepted answer says."""
        now = shown.now
        for key in sorted(shown.states.keys() - claimed):
            owner = self.rows[key]["account"] if key in self.rows else account
            if owner != account:
                self._moved_at[owner] = self._moved_at[account] = now
            self._listed(key, shown.states[key] | {"account": account, "missing": False}, now)
        absent = shown.own.keys() - shown.seen if shown.proves_absence else set()
        for key in sorted(absent):
            row, previous = self.rows[key], self.accepted.get(account)
            if key in moving:
                happened = [("reappeared", now, "observed", {"missing"})] if row["missing"] else []
                row |= {"account": moving[key], "missing": False}
                self._moved_at[moving[key]] = self._moved_at[account] = now
                self._record(key, [*happened, ("changed", now, "observed", {"account"})], now, previous)
            elif not row["missing"]:
                row["missing"] = True
                word = "purged" if row["deleted"] else "vanished"
                self._record(key, [(word, now, "observed", {"missing"})], now, previous)
        for key in claimed:
            self.claims.setdefault((key, account), self.runs)
        self.claims = {
            (key, claimant): since
            for (key, claimant), since in self.claims.items()
            if self.rows[key]["account"] != claimant
            and (claimant != account or key in shown.seen or not shown.proves_absence)
        }
        self.accepted[account] = now

    def _settled(self, state: dict[str, Any], now: datetime, *, was_expired: bool) -> dict[str, Any]:
        created = state["time_created"]
        if not state["is_expired"] or state["deleted"]:
            return state
        ends = state["expiration_date"]
        rolls_late = not was_expired and renews_itself(state) and ends is not None and ends <= now < ends + GRACE
        if rolls_late or (created is not None and now - created < GRACE):
            return state | {"is_expired": False}
        return state

    def _listed(self, key: int, new: dict[str, Any], now: datetime) -> None:
        def told(moment: datetime | None) -> tuple[datetime, str]:
            return (moment, "upstream") if moment is not None and moment <= now else (now, "observed")

        old = self.rows.get(key)
        if old is not None and new["token_fingerprint"] is None:
            new["token_fingerprint"] = old["token_fingerprint"]
        self.rows[key] = new
        previous = self.accepted.get(old["account"]) if old else None
        if old is None:
            happened: list[Happened] = [("created", *told(new["time_created"]), set())]
            if new["is_expired"]:
                happened.append(("expired", *told(new["expiration_date"]), set()))
            if new["deleted"]:
                happened.append(("deleted", *told(new["time_deleted"]), set()))
            self._record(key, happened, now, None)
            return
        differs = {column for column in new if column != "extra" and old[column] != new[column]}
        seen_now = (now, "observed")
        happened = []
        if old["missing"]:
            happened.append(("reappeared", *seen_now, {"missing"}))
        if old["deleted"] and not new["deleted"]:
            happened.append(("restored", *seen_now, differs & {"deleted", "time_deleted"}))
        if new["deleted"] and not old["deleted"]:
            happened.append(("deleted", *told(new["time_deleted"]), differs & {"deleted", "time_deleted"}))
        if old["is_expired"] and not new["is_expired"]:
            happened.append(("renewed", *seen_now, differs & {"is_expired", "expiration_date"}))
        if new["is_expired"] and not old["is_expired"]:
            happened.append(("expired", *told(new["expiration_date"]), differs & {"is_expired", "expiration_date"}))
        others = differs & set(CHANGED)
        if old["deleted"] and new["deleted"]:
            others |= differs & {"time_deleted"}
        before, after = old["expiration_date"], new["expiration_date"]
        if before != after and old["is_expired"] == new["is_expired"]:
            if before is None or after is None or after < before:
                others.add("expiration_date")
            elif not renews_itself(new):
                if new["is_expired"]:
                    others.add("expiration_date")
                else:
                    happened.append(("extended", *seen_now, {"expiration_date"}))
        if others:
            happened.append(("changed", *seen_now, others))
        if old["token_fingerprint"] not in {None, new["token_fingerprint"]}:
            happened.append(("token_rotated", *seen_now, {"token_fingerprint"}))
        self._record(key, happened, now, previous)

    def _record(self, key: int, happened: list[Happened], now: datetime, previous: datetime | None) -> None:
        row = self.rows[key]
        for word, occurred_at, source, columns in sorted(happened, key=lambda event: ORDER.index(event[0])):
            for column in columns:
                self._changed.setdefault(column, set()).add(key)
            self.columns.append(columns)
            self.history.append(
                {
                    "id_instance": key,
                    "transition": word,
                    "occurred_at": occurred_at,
                    "time_source": source,
                    "observed_at": now,
                    "previous_observed_at": previous,
                    **{
                        name: value
                        for name, value in row.items()
                        if name not in {"time_created", "token_fingerprint", "extra"}
                    },
                }
            )


def as_the_model_has_it(row: dict[str, Any]) -> dict[str, Any]:
    """Of a stored row, only what the model speaks of."""
    columns = (
        "name", "type_instance", "tariff", "is_partner", "time_created", "time_deleted", "deleted", "expiration_date",
        "is_expired", "token_fingerprint", "account",
    )  # fmt: skip
    kept = {column: row[column] for column in columns}
    extra = {key: value for key, value in json.loads(row["extra"]).items() if key in {"apiUrl", "unknown"}}
    return kept | {"missing": row["missing_since"] is not None, "extra": extra}
