"""The life of one instance as a person would tell it, from its history. Pure, but for the reading."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from syncer.model import FIELDS, TimeSource, Transition
from syncer.storage.tables import instance_history, instances
from syncer.views.catalogue import bi_instances, read
from syncer.views.strangers_text import one_line
from syncer.words.language import MESSENGER_FIELDS, messenger

NOUNS = {
    **{name: field.noun for name, field in FIELDS.items()},
    "account": "the account",
    "token_fingerprint": "the token's fingerprint",
}


SENTENCES = {
    Transition.CREATED: "It was created.",
    Transition.REAPPEARED: "It was listed again.",
    Transition.RESTORED: "It was restored: the upstream does not call it deleted any more.",
    Transition.RENEWED: "It was paid for again{until}.",
    Transition.EXTENDED: "It was extended{until}.",
    Transition.CHANGED: "It was changed:",
    Transition.TOKEN_ROTATED: "Its token was changed.",
    Transition.EXPIRED: "It expired.",
    Transition.DELETED: "It was deleted.",
    Transition.VANISHED: "It vanished: not listed any more, though nobody said that it was deleted.",
    Transition.PURGED: "The upstream dropped it from the list, as it does about three months after a deletion.",
}


def read_life(connection: Connection, id_instance: int) -> dict[str, Any] | None:
    """The instance as `bi_instances` has it and its history, oldest first; None if it was never seen."""
    found = read(connection, select(bi_instances).where(bi_instances.c.id_instance == id_instance))
    if not found:
        return None
    history = connection.execute(
        select(instance_history).where(instance_history.c.id_instance == id_instance).order_by(instance_history.c.id)
    )
    events = [dict(row._mapping) | {"changes": json.loads(row.changes)} for row in history]
    return {"instance": found[0], "history": events}


def near_ids(connection: Connection, id_instance: int, limit: int = 3) -> list[int]:
    """Known ids that begin as a mistyped one does, the longest common beginning first."""
    digits = str(id_instance)
    for length in range(len(digits) - 1, 2, -1):
        low = int(digits[:length])
        bounds = [
            instances.c.id_instance.between(low * 10**more, (low + 1) * 10**more - 1)
            for more in {len(digits) - length - 1, len(digits) - length, len(digits) - length + 1}
            if (low + 1) * 10**more - 1 < 2**63
        ]
        for bound in bounds:
            query = select(instances.c.id_instance).where(bound).order_by(instances.c.id_instance).limit(limit)
            if found := list(connection.scalars(query)):
                return found
    return []


def unknown(id_instance: int, near: Sequence[int]) -> str:
    """What a person is told of an id that no answer ever listed."""
    hint = f"did you mean {' or '.join(map(str, near))}?" if near else "see: syncer export bi_instances"
    return f"no instance {id_instance} was ever seen; {hint}"


def tell(life: Mapping[str, Any]) -> list[str]:
    """The story in lines: what it is now, then every step, when, who says so, and the run that saw it."""
    instance = life["instance"]
    lines = [_headline(instance), ""]
    lines += [line for event in life["history"] for line in _step(event)]
    return [*lines, "", *_present(instance)]


def _headline(instance: Mapping[str, Any]) -> str:
    parts = [part for part in (messenger(instance["type_instance"]), instance["tariff"]) if part]
    name = f" “{one_line(instance['name'])}”" if instance["name"] else ""
    return f"Instance {instance['id_instance']}{name} ({', '.join(parts)}) of the account {instance['account']}"


def _step(event: Mapping[str, Any]) -> list[str]:
    when = _when(event["occurred_at"])
    if event["time_source"] == TimeSource.UPSTREAM:
        source = f"the upstream's own time; seen by run {event['run_id']} at {_when(event['observed_at'])}"
    elif event["previous_observed_at"] is None:
        source = f"when run {event['run_id']} first saw it"
    else:
        before = _when(event["previous_observed_at"])
        source = f"seen by run {event['run_id']}; it happened after {before}, the answer before"
    changed = [
        f"    {NOUNS.get(column, column)}: {_value(column, old)} → {_value(column, new)}"
        for column, (old, new) in event["changes"].items()
        if column not in {"missing", "token_fingerprint"}
    ]
    return [f"{when}  {_sentence(event)}", f"    ({source})", *changed]


def _sentence(event: Mapping[str, Any]) -> str:
    sentence = SENTENCES[Transition(event["transition"])]
    until = f", until {_when(event['expiration_date'])}" if event["expiration_date"] else ""
    return sentence.replace("{until}", until)


def _present(instance: Mapping[str, Any]) -> list[str]:
    status = {
        "active": "It lives",
        "expired": "It is expired, and not deleted",
        "deleted": "It is deleted",
        "vanished": "It is not listed",
        "purged": "It is deleted and not listed any more",
    }[instance["status"]]
    days = f"{status}; {_days(instance['age_days'])} old, charged for {_days(instance['billable_days'])}."
    lines = [days]
    if instance["expiration_date"] is not None and instance["status"] in {"active", "expired"}:
        lines.append(f"Its expiration date is {_when(instance['expiration_date'])}.")
    if instance["renewed_at"] is not None:
        lines.append(f"That date was last seen to move forward at {_when(instance['renewed_at'])}.")
    if instance["last_seen_at"] is not None:
        lines.append(f"It was last listed at {_when(instance['last_seen_at'])}.")
    return lines


def _days(n: int) -> str:
    return "1 day" if n == 1 else f"{n} days"


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _value(column: str, value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = one_line(str(value))
    return messenger(text) if column in MESSENGER_FIELDS else text


def document(life: Mapping[str, Any], lines: Sequence[str]) -> dict[str, Any]:
    """`syncer explain --json`: the facts, and the story."""
    return {**life, "story": list(lines)}
