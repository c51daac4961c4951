"""Every error that a person can meet at a terminal is told in Russian too, whole, and by one text of the catalogue."""

import ast
import re
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import syncer
from syncer.demo.scenarios import scenario
from syncer.doctor.table import CHECKS
from syncer.model import Transition
from syncer.rules.guard import Ground, Hold, HoldReason, describe
from syncer.views import verify
from syncer.words.catalogue import Text
from syncer.words.error_texts import ERRORS
from syncer.words.errors import COUNTS, in_words, pattern_of
from syncer.words.finding_texts import FINDINGS
from syncer.words.language import Language
from syncer.words.line_texts import LINES, PROMISES, STORY

TEXTS = (*ERRORS, *FINDINGS, *LINES, *STORY)
ROOT = Path(syncer.__file__).parent
RAISED = {
    "ConfigurationError", "UpstreamUnreachable", "FetchStopped", "UpstreamRefused", "AnswerUnusable", "AnswerHeld",
    "ListHeld", "ClockWrong", "RunOvertaken", "DatabaseFailed", "_stale", "_unreachable", "BadItem",
}  # fmt: skip
FINDERS = {"ok", "warning", "error", "failure"}
PARSERS = {"settings/forms.py", "rules/schedule.py"}  # whose ValueErrors become messages about settings
VALUE = "42"
VALUES = {
    "doing": "renaming", "where": " a.csv", "WHERE": "customers load",
    "CONFIG_FILE": "syncer.toml", "_phase(error)": "connecting", "side": "behind",
    "and_receivers": " and 3 receivers", "way_of(upstream.api_url)": " by way of the environment's proxy proxy.corp:3128",
}  # fmt: skip
ENGLISH = re.compile(
    r"\b(the|is|are|it|its|of|an|and|or|not|no|was|were|has|have|been|by|in|for|which|that|this|with|from|there|run|"
    r"check|correct|give|name|write|keep|set|says|only|must|cannot|too|another|one|next|again|already|than)\b"
)
NAMES = re.compile(
    r"`[^`]*`|syncer [a-z-]+( [a-z-]+)*|--[a-z-]+( [A-Z]+)*|\[?[A-Z_]{2,}\S*|[a-z]+[_.:/@=][\w.:/@=\[\]]*"
)


def texts_of(node: ast.expr) -> Iterator[str]:
    """What an expression can be as a message, its values replaced."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            str(one.value)
            if isinstance(one, ast.Constant)
            else VALUES.get(ast.unparse(one.value) if isinstance(one, ast.FormattedValue) else "", VALUE)
            for one in node.values
        )
    elif isinstance(node, ast.IfExp):
        yield from texts_of(node.body)
        yield from texts_of(node.orelse)


def found() -> Iterator[str]:
    """Every message and remedy that is written where doctor finds something, and its usual remedies."""
    for path in sorted((ROOT / "doctor").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FINDERS:
                for argument in node.args[1:]:
                    yield from texts_of(argument)
    yield from (check.remedy for check in CHECKS.values())


def raised() -> Iterator[str]:
    """Every message that is written where an error is made."""
    for path in sorted(ROOT.rglob("*.py")):
        names = RAISED | ({"ValueError"} if path.relative_to(ROOT).as_posix() in PARSERS else set())
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names and node.args:
                yield from texts_of(node.args[0])


MESSAGES = sorted(
    {message for message in (*raised(), *found()) if re.search("[a-z]+ [a-z]+ [a-z]+", NAMES.sub("", message))}
)


def english_in(said: str) -> list[str]:
    return [
        found[0]
        for found in ENGLISH.finditer(NAMES.sub("", re.sub("id, customer . from|ALTER ROLE.*|set-ntp", "", said)))
    ]


def test_there_are_messages_to_look_at() -> None:
    assert len(MESSAGES) > 130


@pytest.mark.parametrize("message", MESSAGES)
def test_what_is_raised_is_told_in_russian(message: str) -> None:
    said = in_words(Language.RU, message)

    assert re.search("[а-я]{2}", said), said
    assert [] == english_in(said), said
    assert message == in_words(Language.EN, message)


@pytest.mark.parametrize("reason", HoldReason)
@pytest.mark.parametrize("run", [None, 12])
def test_what_an_answer_is_held_for_is_told_in_russian(reason: HoldReason, run: int | None) -> None:
    whats = {
        HoldReason.FLIPPED: [Transition.DELETED, Transition.EXPIRED, Transition.RESTORED],
        HoldReason.SHIFTED: ["+2:00:00"],
    }.get(reason, [""])
    for what in map(str, whats):
        told = "" if reason is HoldReason.FOREIGN else "1101 “Такси”, 1102 and 3 more"
        ground = Ground(reason, what, (1, 2, 3, 4, 5), 90, told)
        both = Hold((ground, Ground(HoldReason.OLDER, "", (1, 2, 3, 4), 9, "7, 8")), 77)

        for hold in (Hold((ground,), 77), both):
            said = in_words(Language.RU, describe(hold, run))

            assert [] == english_in(said), said
            assert ("syncer approve 12" in said) == (run is not None)
            assert not told or "Такси" in said


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "calling the upstream: it answered HTTP 503 'Service: closed' (4 of 4 tries); the next run tries again",
            "обращение к API: ответ — HTTP 503 'Service: closed' (попыток 4 из 4); следующий запуск попробует снова",
        ),
        (
            ("reading the bill: SQLite /srv/a.db: another program has held its lock for too long; end it, "
            "then run again"),
            "чтение счёта: SQLite /srv/a.db: файл слишком долго занят другой программой; завершите её и повторите",
        ),
        (
            ("SYNCER_PARTNER_TOKEN: no partner token is set; set SYNCER_PARTNER_TOKEN, or write it into the file of "
            "SYNCER_PARTNER_TOKEN_FILE"),
            ("SYNCER_PARTNER_TOKEN: партнёрский токен не задан; задайте SYNCER_PARTNER_TOKEN или запишите токен в файл "
            "из SYNCER_PARTNER_TOKEN_FILE"),
        ),
        ("explain: no instance 5 was ever seen; did you mean 51 or 52?",
         "explain: инстанса 5 syncer никогда не видел; возможно, вы имели в виду 51 или 52?"),
        ("what nobody ever wrote: a name; and more", "what nobody ever wrote: a name; and more"),
    ],
)  # fmt: skip
def test_a_message_is_told_as_a_person_would(message: str, said: str) -> None:
    assert said == in_words(Language.RU, message)


def test_what_is_not_ours_stays_as_it_is() -> None:
    """A name that looks like a sentence of ours ends no error, and a long one takes no time."""
    message = (
        "reading the answer: it is no JSON but 'empty; " + "a: b; " * 200 + "'; check SYNCER_API_URL and any proxy"
    )

    assert in_words(Language.RU, message).startswith("чтение ответа: это не JSON, а 'empty")


def fields(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: str(text.en)[:40])
def test_a_text_of_an_error_has_its_places_in_both_languages(text: Text) -> None:
    assert set() == set(fields(str(text.ru))) ^ set(fields(str(text.en))) - {"number"}
    assert [] == english_in(re.sub(r"\{\w+\}", "", str(text.ru)))


def test_each_promise_that_verify_checks_is_told_in_russian() -> None:
    sentences = {check.sentence for checks, _ in verify.queries() for check in checks} | {verify.TIMELINE.sentence}

    assert {text.en for text in PROMISES} == sentences
    assert [] == [said for text in PROMISES for said in english_in(str(text.ru))]


def test_each_step_of_the_demo_is_told_in_russian() -> None:
    titles = {step.title for step in scenario("demo", datetime(2026, 11, 20, tzinfo=UTC))}

    assert {text.en for text in STORY} == titles | {"a moment ago: nothing changed"}


def test_no_text_stands_there_twice() -> None:
    said = [re.sub(r"\{\w+\}", "{}", str(text.en)) for text in TEXTS]

    assert sorted(set(said)) == sorted(said)


def constants() -> str:
    """Everything that the code says, with a place for each value."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        if "words" not in path.parts:
            tree = ast.parse(path.read_text("utf-8"))
            found += [text for node in ast.walk(tree) if isinstance(node, ast.expr) for text in texts_of(node)]
    return "\n".join(found)


def test_no_text_of_ours_has_gone_from_the_code() -> None:
    """Of each text the longest piece between two places is written somewhere, but for those of click and the system."""
    said = constants()
    system = {
        str(text.en)
        for text in TEXTS
        if re.match(
            r"[A-Z\[]|peer closed|\{text\} is n|the exchange|the (upstream|database).s$|timed out", str(text.en)
        )
    }
    pieces = {str(text.en): max(re.split(r"\{\w+\}|; |: ", str(text.en)), key=len) for text in TEXTS}

    assert [] == [text for text, piece in pieces.items() if text not in system and piece.strip(" .,()") not in said]


@pytest.mark.parametrize("text", [text for text in TEXTS if "{" in str(text.en)], ids=lambda text: str(text.en)[:40])
def test_a_text_recognises_itself(text: Text) -> None:
    places = {name: "7" if name in COUNTS else f"<{name}>" for name in fields(str(text.en))}
    filled = str(text.en).format_map(places)

    assert pattern_of(text).fullmatch(filled)
    assert in_words(Language.RU, filled) == str(text.ru).format_map(places)
