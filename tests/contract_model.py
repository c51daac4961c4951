"""CONTRACT 4, 5 and 6 once more, written from their text alone: slow, plain, and without a line of the core.

Works on raw upstream items with naive UTC+3 times, keeps plain dictionaries, and says what the tables must hold.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

ORDER = [
    "created", "reappeared", "restored", "renewed", "extended", "changed", "token_rotated", "expired", "deleted", "vanished", "purged",
]  # fmt: skip
GRACE = timedelta(minutes=5)


def utc(text: str | None) -> datetime | None:
    if text is None or text.startswith("0001-01-01"):
        return None
    return (datetime.fromisoformat(text) - timedelta(hours=3)).replace(tzinfo=UTC)


class ContractModel:
    """What a mirror of one account must hold after each answer."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = []
        self.last_accepted: datetime | None = None

    def observe(self, items: list[Any], now: datetime) -> str:
        """Take an answer; says `held` or `accepted`. Items are objects with a good or no id, and good times."""
        good: dict[int, dict[str, Any]] = {}
        seen: set[int] = set()
        every_id_readable = True
        bad = 0
        for item in items:
            if "idInstance" not in item:
                every_id_readable = False
                bad += 1
                continue
            seen.add(item["idInstance"])
            if item.get("deleted") is None or item.get("isExpired") is None:
                bad += 1
            else:
                good[item["idInstance"]] = self._state(item, now)
        if bad > 3 and bad * 10 > len(items):
            return "failed"
        listed = {key for key, row in self.rows.items() if not row["missing"]}
        live = {key for key in listed if not self.rows[key]["deleted"]}
        gone = sorted(listed - seen) if every_id_readable else []
        lost = [key for key in gone if key in live]
        if (
            (not items and live)
            or (items and listed and not (seen & self.rows.keys()))
            or len(lost) > max(3, len(live) * 5 / 100)
        ):
            return "held"
        for key in sorted(good):
            self._listed(key, good[key], now)
        for key in gone:
            row = self.rows[key]
            row["missing"] = True
            self._record(key, [("purged" if row["deleted"] else "vanished", now, "observed")], now, self.last_accepted)
        self.last_accepted = now
        return "accepted"

    def _state(self, item: dict[str, Any], now: datetime) -> dict[str, Any]:
        created = utc(item.get("timeCreated"))
        expired = item["isExpired"]
        if expired and not item["deleted"] and created is not None and now - created < GRACE:
            expired = False
        token = item.get("apiTokenInstance")
        return {
            "name": item.get("name"),
            "type_instance": item.get("typeInstance"),
            "tariff": item.get("tariff"),
            "is_partner": item.get("isPartner"),
            "time_created": created,
            "time_deleted": utc(item.get("timeDeleted")),
            "deleted": item["deleted"],
            "expiration_date": utc(item.get("expirationDate")),
            "is_expired": expired,
            "token_fingerprint": sha256(token.encode()).hexdigest()[:16] if token else None,
            "missing": False,
        }

    def _listed(self, key: int, new: dict[str, Any], now: datetime) -> None:
        def told(moment: datetime | None) -> tuple[datetime, str]:
            return (moment, "upstream") if moment is not None and moment <= now else (now, "observed")

        old = self.rows.get(key)
        self.rows[key] = new
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
        partner = new["is_partner"]
        renews_itself = partner if partner is not None else (new["tariff"] or "").startswith("PARTNER")
        other = any(
            old[name] != new[name] for name in ("name", "type_instance", "tariff", "is_partner", "time_created")
        )
        if old["deleted"] == new["deleted"] and old["time_deleted"] != new["time_deleted"]:
            other = True
        before, after = old["expiration_date"], new["expiration_date"]
        if before != after and old["is_expired"] == new["is_expired"]:
            if before is None or after is None or after < before:
                other = True
            elif not renews_itself:
                if new["is_expired"]:
                    other = True
                else:
                    happened.append(("extended", *seen_now))
        if other:
            happened.append(("changed", *seen_now))
        if old["token_fingerprint"] != new["token_fingerprint"]:
            happened.append(("token_rotated", *seen_now))
        self._record(key, happened, now, self.last_accepted)

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
                    **{name: value for name, value in row.items() if name not in {"time_created", "token_fingerprint"}},
                }
            )
