"""CONTRACT 4, 5 and 6 once more, written from their text alone: slow, plain, and without a line of the core.

Works on raw upstream items with naive UTC+3 times, keeps plain dictionaries, and says what the tables must hold.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

ORDER = [
    "created", "reappeared", "restored", "renewed", "extended", "changed", "token_rotated", "expired", "deleted", "vanished", "purged",
]  # fmt: skip
GRACE = timedelta(minutes=5)
FLAGS: dict[Any, bool] = {0: False, 1: True, "true": True, "false": False}


class Bad(Exception):
    """The item is no good."""


def utc(text: Any) -> datetime | None:
    if text is None or (isinstance(text, str) and text.startswith("0001-01-01")):
        return None
    if not isinstance(text, str) or not re.fullmatch(r"[0-9-]{10}T[0-9:]{8}", text):
        raise Bad
    try:
        return (datetime.fromisoformat(text) - timedelta(hours=3)).replace(tzinfo=UTC)
    except ValueError:
        raise Bad from None


def flag(value: Any) -> bool | None:
    if value is not None and (isinstance(value, float | list | dict) or value not in FLAGS):
        raise Bad
    return None if value is None else FLAGS[value]


def an_id(item: Any) -> int | None:
    value = item.get("idInstance") if isinstance(item, dict) else None
    if isinstance(value, str) and re.fullmatch("[1-9][0-9]*", value):
        value = int(value)
    return value if type(value) is int and 0 < value < 2**63 else None


def renews_itself(state: dict[str, Any]) -> bool:
    partner = state["is_partner"]
    return bool(partner) if partner is not None else (state["tariff"] or "").startswith("PARTNER")


class ContractModel:
    """What a mirror must hold after each answer of any of its accounts."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = []
        self.accepted: dict[str, datetime] = {}
        self.rejected = 0  # items of the last answer
        self.listed = 0
        self.held_for: set[int] = set()  # what the last held answer lacks
        self.approved: dict[str, list[set[int]]] = {}

    def observe_body(self, body: bytes, now: datetime, account: str = "default", share: int = 5) -> str:
        """Take an answer as it came over the wire."""
        try:
            items = json.loads(body.decode("utf-8-sig"), parse_constant=lambda word: [][int(word)])
        except (ValueError, RecursionError):
            return "failed"
        return self.observe(items, now, account, share) if isinstance(items, list) else "failed"

    def approve(self, account: str = "default") -> None:
        """Let through what the last answer was held for."""
        self.approved.setdefault(account, []).append(self.held_for)

    def observe(self, items: list[Any], now: datetime, account: str = "default", share: int = 5) -> str:
        """Take an answer; says `held`, `failed` or `accepted`."""
        good: dict[int, dict[str, Any]] = {}
        seen: dict[int, list[dict[str, Any]]] = {}
        unreadable = 0
        for item in items:
            key = an_id(item)
            if key is None:
                unreadable += 1
            else:
                seen.setdefault(key, []).append(item)
        bad = unreadable
        self.listed = unreadable
        for key, told in seen.items():
            forms = [self._form(item) for item in told]
            others = [form for form in forms if form != forms[0]]
            self.listed += 1 + len(others)
            if others:
                bad += 1 + len(others)
            elif isinstance(forms[0], str):
                bad += 1
            else:
                good[key] = forms[0]
        self.rejected = bad
        if bad > 3 and bad * 10 > self.listed:
            return "failed"
        here = {key for key, row in self.rows.items() if row["account"] == account}
        listed = {key for key in here if not self.rows[key]["missing"]}
        live = {key for key in listed if not self.rows[key]["deleted"]}
        gone = sorted(listed - seen.keys()) if not unreadable else []
        lost = {key for key in gone if key in live}
        if (
            (not items and live)
            or (items and listed and not (seen.keys() & here))
            or len(lost) > max(3, len(live) * share / 100)
        ) and not any(lost <= allowed for allowed in self.approved.get(account, [])):
            self.held_for = lost
            return "held"
        owners = {account, *(self.rows[key]["account"] for key in good if key in self.rows)}
        now = max([now, *(self.accepted[owner] for owner in owners if owner in self.accepted)])
        for key in sorted(good):
            was_expired = key in self.rows and self.rows[key]["is_expired"]
            state = self._settled(good[key], now, was_expired=was_expired)
            self._listed(key, state | {"account": account, "missing": False}, now)
        for key in gone:
            row = self.rows[key]
            row["missing"] = True
            word = "purged" if row["deleted"] else "vanished"
            self._record(key, [(word, now, "observed")], now, self.accepted.get(account))
        self.accepted[account] = now
        self.approved.pop(account, None)
        return "accepted"

    def _form(self, item: dict[str, Any]) -> dict[str, Any] | str:
        try:
            return self._state(item)
        except Bad:
            return json.dumps(item, sort_keys=True)

    def _settled(self, state: dict[str, Any], now: datetime, *, was_expired: bool) -> dict[str, Any]:
        created = state["time_created"]
        if not state["is_expired"] or state["deleted"]:
            return state
        ends = state["expiration_date"]
        rolls_late = not was_expired and renews_itself(state) and ends is not None and ends <= now < ends + GRACE
        if rolls_late or (created is not None and now - created < GRACE):
            return state | {"is_expired": False}
        return state

    def _state(self, item: dict[str, Any]) -> dict[str, Any]:
        token, name = item.get("apiTokenInstance"), item.get("name")
        deleted, is_expired = flag(item.get("deleted")), flag(item.get("isExpired"))
        if deleted is None or is_expired is None or not (name is None or isinstance(name, str)):
            raise Bad
        if name is not None:
            name = re.sub("[\x00\ud800-\udfff]", "\ufffd", name)
            if len(name.encode()) > 65536:
                raise Bad
            name = name.replace(token or "\x00", "[removed]")
        return {
            "name": name,
            "type_instance": item.get("typeInstance"),
            "tariff": item.get("tariff"),
            "is_partner": flag(item.get("isPartner")),
            "time_created": utc(item.get("timeCreated")),
            "time_deleted": utc(item.get("timeDeleted")),
            "deleted": deleted,
            "expiration_date": utc(item.get("expirationDate")),
            "is_expired": is_expired,
            "token_fingerprint": sha256(token.encode()).hexdigest()[:16] if token and len(token) > 15 else None,
            "extra": {key: value for key, value in item.items() if key in {"apiUrl", "unknown"}},
        }

    def _listed(self, key: int, new: dict[str, Any], now: datetime) -> None:
        def told(moment: datetime | None) -> tuple[datetime, str]:
            return (moment, "upstream") if moment is not None and moment <= now else (now, "observed")

        old = self.rows.get(key)
        if old is not None and new["token_fingerprint"] is None:
            new["token_fingerprint"] = old["token_fingerprint"]
        self.rows[key] = new
        previous = self.accepted.get(old["account"]) if old else None
        if old is None:
            happened = [("created", *told(new["time_created"]))]
            if new["is_expired"]:
                happened.append(("expired", *told(new["expiration_date"])))
            if new["deleted"]:
                happened.append(("deleted", *told(new["time_deleted"])))
            self._record(key, happened, now, None)
            return
        seen_now = (now, "observed")
        happened = []
        if old["missing"]:
            happened.append(("reappeared", *seen_now))
        if old["deleted"] and not new["deleted"]:
            happened.append(("restored", *seen_now))
        if new["deleted"] and not old["deleted"]:
            happened.append(("deleted", *told(new["time_deleted"])))
        if old["is_expired"] and not new["is_expired"]:
            happened.append(("renewed", *seen_now))
        if new["is_expired"] and not old["is_expired"]:
            happened.append(("expired", *told(new["expiration_date"])))
        other = any(
            old[name] != new[name]
            for name in ("name", "type_instance", "tariff", "is_partner", "time_created", "account")
        )
        if old["deleted"] and new["deleted"] and old["time_deleted"] != new["time_deleted"]:
            other = True
        before, after = old["expiration_date"], new["expiration_date"]
        if before != after and old["is_expired"] == new["is_expired"]:
            if before is None or after is None or after < before:
                other = True
            elif not renews_itself(new):
                if new["is_expired"]:
                    other = True
                else:
                    happened.append(("extended", *seen_now))
        if other:
            happened.append(("changed", *seen_now))
        if old["token_fingerprint"] not in {None, new["token_fingerprint"]}:
            happened.append(("token_rotated", *seen_now))
        self._record(key, happened, now, previous)

    def _record(
        self, key: int, happened: list[tuple[str, datetime, str]], now: datetime, previous: datetime | None
    ) -> None:
        row = self.rows[key]
        for word, occurred_at, source in sorted(happened, key=lambda event: ORDER.index(event[0])):
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
