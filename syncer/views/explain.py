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
from syncer.words.catalogue import Words
from syncer.words.language import MESSENGER_FIELDS, messenger


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


def tell(words: Words, life: Mapping[str, Any]) -> list[str]:
    """The story in lines: what it is now, then every step, when, who says so, and the run that saw it."""
    instance = life["instance"]
    lines = [_headline(words, instance), ""]
    lines += [line for event in life["history"] for line in _step(words, event)]
    return [*lines, "", *_present(words, instance)]


def _headline(words: Words, instance: Mapping[str, Any]) -> str:
    return words(
        "life",
        instance=instance["id_instance"],
        name=words("quoted", name=one_line(instance["name"])) if instance["name"] else "",
        kind=", ".join(part for part in (messenger(instance["type_instance"]), instance["tariff"]) if part),
        account=instance["account"],
    )


def _step(words: Words, event: Mapping[str, Any]) -> list[str]:
    when = _when(event["occurred_at"])
    run = event["run_id"]
    if event["time_source"] == TimeSource.UPSTREAM:
        source = words("by_upstream", run=run, moment=_when(event["observed_at"]))
    elif event["previous_observed_at"] is None:
        source = words("first_seen_by", run=run)
    else:
        source = words("seen_after", run=run, before=_when(event["previous_observed_at"]))
    changed = [
        f"    {_noun(words, column)}: {_value(words, column, old)} → {_value(words, column, new)}"
        for column, (old, new) in event["changes"].items()
        if column not in {"missing", "token_fingerprint"}
    ]
    return [f"{when}  {_sentence(words, event)}", f"    ({source})", *changed]


def _noun(words: Words, column: str) -> str:
    """What a column is called in a story."""
    if column in FIELDS:
        return words.spoken(FIELDS[column].noun)
    return words("the_account") if column == "account" else column


def _sentence(words: Words, event: Mapping[str, Any]) -> str:
    told = {}
    if event["transition"] in {Transition.RENEWED, Transition.EXTENDED}:
        until = event["expiration_date"]
        told["until"] = words("until", moment=_when(until)) if until else ""
    return words(f"life_{event['transition']}", **told)


def _present(words: Words, instance: Mapping[str, Any]) -> list[str]:
    status = instance["status"]
    age, billed = (words.counted("days", instance[column]) for column in ("age_days", "billable_days"))
    lines = [words("lived", status=words(f"is_{status}"), age=age, billed=billed)]
    if instance["expiration_date"] is not None and status in {"active", "expired"}:
        lines.append(words("expires_at", moment=_when(instance["expiration_date"])))
    if instance["renewed_at"] is not None:
        lines.append(words("renewed_at", moment=_when(instance["renewed_at"])))
    if instance["last_seen_at"] is not None:
        lines.append(words("listed_at", moment=_when(instance["last_seen_at"])))
    return lines


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _value(words: Words, column: str, value: object) -> str:
    if value is None:
        return words("none")
    if isinstance(value, bool):
        return words("yes" if value else "no")
    text = one_line(str(value))
    return messenger(text) if column in MESSENGER_FIELDS else text


def document(life: Mapping[str, Any], lines: Sequence[str]) -> dict[str, Any]:
    """`syncer explain --json`: the facts, and the story."""
    return {**life, "story": list(lines)}
