"""The probe tells forms and never a value that may name somebody; each open point is judged from the answer alone."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from builders import ABSENT, body, item, paid
from canary import PARTNER_TOKEN, WEIRD_PARTNER_TOKEN, api_token, find_secrets
from hypothesis import given
from hypothesis import strategies as st

from syncer.doctor import probe
from syncer.scrub import Scrubber
from syncer.words.language import Language

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def upstream_time(moment: datetime) -> str:
    return (moment + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%S")


def shape_of(answer: bytes | list[Any], **headers: str) -> dict[str, Any]:
    sent = {
        "Date": format_datetime(NOW, usegmt=True),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    raw = answer if isinstance(answer, bytes) else body(answer)
    scrub = Scrubber([PARTNER_TOKEN, WEIRD_PARTNER_TOKEN])
    return probe.shape_of(probe.Sample(raw, sent, 1.25, NOW), timedelta(hours=3), scrub)


def shown(document: dict[str, Any]) -> str:
    return "\n".join([json.dumps(document, ensure_ascii=False), *probe.lines(Language.EN, document)])


def key(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in document["keys"] if one["key"] == name)


def verdict(document: dict[str, Any], start: str) -> str:
    (found,) = [one["verdict"] for one in document["points"] if one["point"].startswith(start)]
    return str(found)


def evidence(document: dict[str, Any], start: str) -> str:
    (found,) = [one["evidence"] for one in document["points"] if one["point"].startswith(start)]
    return str(found)


def test_keys_are_counted_with_their_types_forms_and_words() -> None:
    document = shape_of([item(1101000001), paid(110100000002, messenger=ABSENT, isFree=None), item("1101000003")])

    assert {
        "key": "idInstance",
        "known": True,
        "present": 3,
        "types": {"integer": 2, "string": 1},
        "forms": {"10 digits": 2, "12 digits": 1},
        "values": {},
    } == key(document, "idInstance")
    assert {"whatsapp": 2} == key(document, "messenger")["values"]
    assert {"PARTNER_23": 2, "BUSINESS": 1} == key(document, "tariff")["values"]
    assert ({"boolean": 2, "null": 1}, {"false": 2}) == (
        key(document, "isFree")["types"],
        key(document, "isFree")["values"],
    )
    assert {"dddd-dd-ddTdd:dd:dd": 3} == key(document, "timeCreated")["forms"]
    assert {"no date (year 1)": 3} == key(document, "timeDeleted")["forms"]
    assert {"50 hex digits": 3} == key(document, "apiTokenInstance")["forms"]


@pytest.mark.parametrize(
    ("time", "form"),
    [
        ("2026-06-03T18:39:44.123Z", "dddd-dd-ddTdd:dd:dd.dddZ"),
        ("2026-06-03 18:39:44+03:00", "dddd-dd-dd dd:dd:dd+dd:dd"),
        ("03.06.2026", "dd.dd.dddd"),
        ("1780501184", "10 digits"),
        ("yesterday", "text"),
        ("", "empty"),
    ],
)
def test_a_time_is_shown_as_the_places_of_its_digits(time: str, form: str) -> None:
    assert {form: 1} == key(shape_of([item(timeCreated=time)]), "timeCreated")["forms"]


PRIVATE = {
    "a name": {"name": "Ivanov Ivan"},
    "a name beyond ASCII": {"name": "Иванов"},
    "a telephone number as name": {"name": "79991234567"},
    "an id": {"idInstance": 79991234567},
    "a name as tariff": {"tariff": "Ivanov Ivan"},
    "a telephone number as tariff": {"tariff": "79991234567"},
    "a telephone number within a tariff": {"tariff": "CLIENT_79991234567"},
    "a token as tariff": {"tariff": api_token(7)},
    "a cut token as tariff": {"tariff": api_token(7)[:30]},
    "a token as type": {"typeInstance": PARTNER_TOKEN},
    "a name as type": {"typeInstance": "ivanov@example.com"},
    "a customer": {"partnerUserUiid": "7f3c2b1a-0000-4000-8000-79991234567a"},
    "an address": {"apiUrl": "https://79991234567.example/Ivanov"},
    "an unknown key's value": {"webhook": "https://Ivanov.example"},
    "a nested value": {"owner": {"Ivanov": ["Иванов", 79991234567]}},
    "an id as key": {"79991234567": 1},
    "a name as key": {"Ivanov Ivan": 1},
    "a token as key": {PARTNER_TOKEN: 1, api_token(9): 2},
}


@pytest.mark.parametrize("keys", PRIVATE.values(), ids=PRIVATE)
def test_nothing_that_names_somebody_is_shown(keys: dict[str, Any]) -> None:
    text = shown(shape_of([item(**keys)]))

    assert [] == [private for private in ("Ivanov", "ivanov", "Иванов", "79991234567") if private in text]
    assert find_secrets(text.encode()) == []


FORM = re.compile(
    r"empty|no date \(year 1\)|[0-9]+ digits?|d{1,4}[-/.]d{1,2}[-/.]d{1,4}([T ][d:.,]+ ?(Z|[+-][d:]+)?)?"
    r"|UUID|[0-9]+ hex digits|URL|text|text beyond ASCII"
)


@given(
    st.text(max_size=60) | st.from_regex(r"[0-9T:. /-]{8,25}") | st.from_regex(r"[0-9a-fA-F-]{8,50}"),
    st.sampled_from(["name", "partnerUserUiid", "apiUrl", "timeCreated", "anything"]),
)
def test_of_any_text_under_another_key_than_the_words_only_a_known_form_is_shown(text: str, name: str) -> None:
    told = key(shape_of([item(**{name: text})]), name)

    assert ({}, 1) == (told["values"], len(told["forms"]))
    assert FORM.fullmatch(next(iter(told["forms"])))


def test_the_words_of_a_key_with_too_many_of_them_are_data_and_not_shown() -> None:
    document = shape_of(
        [item(1101000001 + n, tariff=f"client_{chr(97 + n // 26)}{chr(97 + n % 26)}") for n in range(60)]
    )

    assert ({}, {"word of a large set": 60}) == (key(document, "tariff")["values"], key(document, "tariff")["forms"])
    assert "client_" not in shown(document)


def test_very_many_unknown_keys_are_data_and_only_counted() -> None:
    document = shape_of([item() | {f"client{chr(97 + n // 26)}{chr(97 + n % 26)}": n for n in range(100)}])

    assert 100 == document["keys_not_shown"]
    assert "clientaa" not in shown(document)


def test_of_headers_the_names_are_shown_and_three_facts() -> None:
    document = shape_of(
        [item()],
        Set_Cookie="session=Ivanov",
        Content_Type="application/json; charset=utf-8",
        Content_Encoding="gzip",
        ETag=f'W/"{api_token(1)}"',
        X_Request_Id=PARTNER_TOKEN,
        **{api_token(3): "x"},
    )

    assert {
        "names": ["content-encoding", "content-type", "date", "etag", "set-cookie", "x-request-id"],
        "names_not_shown": 1,
        "date": "2026-11-23T12:00:00Z",
        "etag": "weak",
        "gzip": True,
    } == document["headers"]
    assert "Ivanov" not in shown(document)
    assert find_secrets(shown(document).encode()) == []


@pytest.mark.parametrize("name", ["Content_Type", "Content_Encoding", "Date", "ETag"])
def test_a_header_fact_of_another_form_is_not_repeated(name: str) -> None:
    assert "Ivanov" not in shown(shape_of([item()], **{name: "Ivanov; charset=Ivanov"}))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b'{"code":401,"description":"Unauthorized"}', "object"),
        (b"null", "null"),
        (b'"Ivanov"', "string"),
        (b"<html>Ivanov</html>", "no JSON"),
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[1" + b"0" * 5000 + b"]", "no JSON"),
        (b"[]", "array"),
        (b'\xef\xbb\xbf[{"name": "\\ud800"}]', "array"),
    ],
)
def test_any_body_has_a_shape(answer: bytes, kind: str) -> None:
    document = shape_of(answer)

    assert kind == document["kind"]
    assert "Ivanov" not in shown(document)


def test_an_object_shows_its_keys_and_judges_no_point() -> None:
    document = shape_of(b'{"code":401,"description":"Unauthorized"}')

    assert ["code", "description"] == [one["key"] for one in document["keys"]]
    assert document["points"] == []


def test_items_that_are_no_object_are_counted_by_type() -> None:
    assert {"null": 2, "integer": 1} == shape_of([item(), None, None, 5])["items_that_are_no_object"]


def test_size_and_duration_are_told() -> None:
    answer = body([item()])
    document = shape_of(answer)

    assert (len(answer), 1.25, 1) == (document["body_bytes"], document["seconds"], document["items"])
    assert f"array of 1 items, {len(answer)} bytes in 1.25 s, not compressed" in probe.lines(Language.EN, document)[0]


@pytest.mark.parametrize("born", ["now", "later", "long ago", "no list"])
def test_a_person_is_told_the_shape_in_their_language(born: str) -> None:
    """Types, forms, keys and headers are of no language."""
    ages = {"now": timedelta(0), "later": timedelta(days=-1), "long ago": timedelta(days=400)}
    answer = [
        item(1, timeCreated=upstream_time(NOW - age), isExpired=not age, newKey="x")
        for age in [ages.get(born)]
        if age is not None
    ]
    gone = [item(2, deleted=True, timeDeleted=upstream_time(NOW - timedelta(days=9)))] if born == "now" else []
    document = shape_of([*answer, *gone, None] if answer else b'{"code": 401}', weird_="x", Content_Encoding="gzip")

    lines = [re.sub("^  .*?: [0-9].*$", "", line) for line in probe.lines(Language.RU, document)]
    said = re.sub(
        r"(заголовки|тип): ?[^;]*|Date:.*|Date|timeCreated|isExpired|array|object|null|gzip|probe|UTC|API",
        "",
        "\n".join(lines),
    )

    assert re.search("[а-я]{3}", said)
    assert [] == re.findall("[A-Za-z]{2,}", said), said


AGO_4_MONTHS = upstream_time(NOW - timedelta(days=120))
AGO_2_MONTHS = upstream_time(NOW - timedelta(days=60))
JUST_NOW = upstream_time(NOW - timedelta(minutes=5))
LIST = [item(1101000001), item(1101000002), item(1101000003)]
POINTS: dict[str, tuple[str, list[Any], dict[str, str], str]] = {
    "old times, which prove no zone": ("naive times are at", LIST, {}, "not provable"),
    "a time of now, which proves no zone": ("naive times are at", [item(timeCreated=JUST_NOW)], {}, "not provable"),
    "a time after Date": ("naive times are at", [item(timeCreated=upstream_time(NOW + timedelta(hours=1)))], {}, "contradicted"),
    "no Date": ("naive times are at", LIST, {"Date": "soon"}, "not seen"),
    "a deletion of 2 months": ("deleted instances", [item(deleted=True, timeDeleted=AGO_2_MONTHS)], {}, "confirmed"),
    "a deletion of 4 months": ("deleted instances", [item(deleted=True, timeDeleted=AGO_4_MONTHS)], {}, "contradicted"),
    "a live row with an old deletion": ("deleted instances", [item(timeDeleted=AGO_4_MONTHS)], {}, "not seen"),
    "no deletion": ("deleted instances", LIST, {}, "not seen"),
    "new and expired": ("new live", [item(timeCreated=JUST_NOW, isExpired=True)], {}, "confirmed"),
    "new and not expired": ("new live", [item(timeCreated=JUST_NOW)], {}, "contradicted"),
    "new, expired and deleted": ("new live", [item(timeCreated=JUST_NOW, isExpired=True, deleted=True)], {}, "not seen"),
    "old and expired": ("new live", [item(isExpired=True)], {}, "not seen"),
}  # fmt: skip


@pytest.mark.parametrize(("point", "items", "headers", "expected"), POINTS.values(), ids=POINTS)
def test_an_open_point_is_judged(point: str, items: list[Any], headers: dict[str, str], expected: str) -> None:
    assert expected == verdict(shape_of(items, **headers), point)


def test_a_new_instance_shows_that_times_are_not_utc_and_no_more() -> None:
    told = evidence(shape_of([item(timeCreated=JUST_NOW)]), "naive times are at")

    assert "at least +02:55" in told
    assert "not UTC" in told


def test_the_age_of_the_oldest_new_instance_that_says_expired_is_told() -> None:
    told = evidence(shape_of([item(timeCreated=JUST_NOW, isExpired=True), item(2, timeCreated=JUST_NOW)]), "new live")

    assert "1 of 2 live instances younger than an hour, the oldest of 5 minutes" == told
