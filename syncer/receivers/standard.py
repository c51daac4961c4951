"""The format `standard`: JSON that is signed as the Standard Webhooks specification says."""

import hmac
import json
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, assert_never

from syncer.receivers.news import Digest, Happened, News, Noticed, Trial

SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins
KEY_BYTES = range(24, 65)
_FINGERPRINT = "token_fingerprint"  # tells of a token


def body(news: News) -> bytes:
    """`{"type": …, "timestamp": …, "data": …}`, the same bytes for the same news."""
    kind, moment, data = _parts(news)
    document = {"type": kind, "timestamp": moment, "data": data}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()


def _parts(news: News) -> tuple[str, datetime, dict[str, Any]]:
    match news:
        case Happened(row):
            changes = {column: pair for column, pair in row["changes"].items() if column != _FINGERPRINT}
            return f"instance.{row['transition']}", row["occurred_at"], {**row, "changes": changes}
        case Noticed(row, seen_at, has_come):
            return f"attention.{'began' if has_come else 'ended'}", row["since"] if has_come else seen_at, dict(row)
        case Digest():
            data = {
                "after_history_id": news.after_id,
                "until_history_id": news.until_id,
                "transitions": {str(word): n for word, n in news.transitions.items()},
            }
            if news.attention is not None:
                data["attention"] = [
                    {"severity": severity, "reason": reason, "n": n}
                    for (severity, reason), n in sorted(news.attention.items())
                ]
            return "digest", news.due_at, data
        case Trial(sent_at):
            return "test", sent_at, {"test": True}
        case _:
            assert_never(news)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def parse_secret(text: str) -> bytes:
    """The key that a secret stands for; raises `ValueError` with words to follow a name."""
    if text.startswith(SECRET_PREFIX):
        try:
            key = b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
        except (NoBase64, ValueError):
            key = b""
        if len(key) in KEY_BYTES:
            return key
    raise ValueError(
        f"it holds what is no {SECRET_PREFIX} and {KEY_BYTES.start} to {KEY_BYTES.stop - 1} bytes in base64; make one: "
        f"echo {SECRET_PREFIX}$(openssl rand -base64 32)"
    )


def headers(message_id: str, sent_at: datetime, content: bytes, keys: Iterable[bytes]) -> Mapping[str, str]:
    """What tells a receiver that the message is whole, new and ours; a signature for each key, the first one first."""
    seconds = str(int(sent_at.timestamp()))
    signed = f"{message_id}.{seconds}.".encode() + content
    signatures = [f"v1,{b64encode(hmac.new(key, signed, sha256).digest()).decode('ascii')}" for key in keys]
    return {"webhook-id": message_id, "webhook-timestamp": seconds, "webhook-signature": " ".join(signatures)}
