"""The formats `slack` and `telegram`: a text that people read."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, assert_never

from syncer.receivers.news import Digest, Happened, News, Noticed, Trial
from syncer.words import language
from syncer.words.catalogue import Words

BILLING_ZONE = timezone(timedelta(hours=3))  # where days begin (CONTRACT 7)
LONGEST_TEXT = 4000  # signs of UTF-16, of which Telegram takes 4096
LONGEST_NAME = 100


def text(news: News, words: Words) -> str:
    """What people are told, in a few lines."""
    match news:
        case Happened(row):
            lines = [words(f"happened_{row['transition']}", who=_who(row, words)), _when(row, words)]
            if row["transition"] in {"renewed", "extended"} and row["expiration_date"] is not None:
                lines.insert(1, words("until_when", when=_moment(words, row["expiration_date"])))
        case Noticed(row, _, has_come):
            lines = [
                words("noticed" if has_come else "noticed_over", what=words(f"notice_{row['reason']}")),
                _who(row, words),
            ]
            if has_come:
                lines.append(words("since_when", when=_moment(words, row["since"])))
        case Digest():
            lines = _digest(news, words)
        case Trial():
            lines = [words("trial")]
        case _:
            assert_never(news)
    said = "\n".join(lines)
    cut = said.encode("utf-16-le")[: 2 * LONGEST_TEXT].decode("utf-16-le", "ignore")
    return said if cut == said else f"{cut}…"


def slack(said: str) -> bytes:
    """The body of Slack's incoming webhooks, in which names call nobody and link nowhere."""
    escaped = said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return json.dumps({"text": escaped}, ensure_ascii=False).encode()


def telegram(said: str, parameters: Mapping[str, str]) -> bytes:
    """The body of Telegram's `sendMessage`: the address's parameters, such as the chat, and a text without markup."""
    document = {**parameters, "text": said, "link_preview_options": {"is_disabled": True}}
    return json.dumps(document, ensure_ascii=False).encode()


def _who(row: Mapping[str, Any], words: Words) -> str:
    """An instance as people know it; the id that they look it up by comes with it."""
    about = [str(row["id_instance"])]
    about += [said for said in (language.messenger(row.get("type_instance")), row.get("tariff")) if said]
    about.append(words("of_account", account=_one_line(row["account"])))
    name = _one_line(row["name"])
    inside = ", ".join(about)
    return words("who", name=_short(name, LONGEST_NAME), about=inside) if name else words("who_unnamed", about=inside)


def _when(row: Mapping[str, Any], words: Words) -> str:
    said = _moment(words, row["occurred_at"])
    return said if row["time_source"] == "upstream" else words("seen_at", when=said)


def _digest(news: Digest, words: Words) -> list[str]:
    lines = [words("digest", when=_moment(words, news.due_at))]
    for word, n in news.transitions.items():
        names = [_short(_one_line(name), LONGEST_NAME) for name in news.names.get(word, ())]
        said = words("digest_line", what=words(f"counted_{word}"), n=language.number(n))
        lines.append(f"{said}: {', '.join(names)}{', …' if len(names) < n else ''}" if names else said)
    if not news.transitions:
        lines.append(words("digest_nothing"))
    if news.attention:
        lines += ["", words("digest_attention")]
        for (severity, reason), n in sorted(news.attention.items()):
            what = f"{words(f'reason_{reason}')} ({words(f'severity_{severity}')})"
            lines.append(words("digest_line", what=what, n=language.number(n)))
    return lines


def _moment(words: Words, moment: datetime) -> str:
    return f"{language.moment(words.language, moment.astimezone(BILLING_ZONE))} UTC+3"


def _one_line(said: str | None) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in said or "").split())


def _short(said: str, longest: int) -> str:
    return said if len(said) <= longest else f"{said[: longest - 1]}…"
