"""CONTRACT 5, item by item."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from builders import ABSENT, TIMES, body, item
from canary import PARTNER_TOKEN, api_token, find_secrets
from hypothesis import example, given
from hypothesis import strategies as st
from reading import WholeBody, read_whole

from syncer.answer.item import SHORTEST_KNOWN_TOKEN, Decoder, ItemReader
from syncer.errors import AnswerUnusable, SyncerError, UpstreamRefused
from syncer.model import FIELDS, Instance, Item, Reject
from syncer.scrub import Scrubber

DECODER = Decoder(timedelta(hours=3), Scrubber([PARTNER_TOKEN]))


def read(*items: Any) -> WholeBody:
    return read_whole(body(items), DECODER)


def taken(**keys: Any) -> Instance:
    (instance,) = read(item(**keys)).instances.values()
    return instance


def why_rejected(the_item: Any) -> str:
    (reject,) = read(the_item).rejects
    return reject.reason


@pytest.mark.parametrize("value", [1, 7, 2**31, 110_100_000_001, 2**63 - 1, "1", "110100000001", str(2**63 - 1)])
def test_an_id_is_an_integer_or_a_decimal_string_of_one(value: Any) -> None:
    assert [int(value)] == list(read(item(value)).instances)


@pytest.mark.parametrize(
    "value", [None, 0, -1, 2**63, 10**30, "9" * 5000, 1.0, True, "", " 1", "+1", "01", "1.0", "x", "١", [1], {}, ABSENT]
)
def test_what_is_no_id_is_rejected_and_proves_no_absence(value: Any) -> None:
    listing = read(item(value))

    assert (list(listing.instances), len(listing.rejects), listing.proves_absence) == ([], 1, False)


@pytest.mark.parametrize("value", [5, "text", None, [], True])
def test_an_item_that_is_no_object_is_rejected(value: Any) -> None:
    assert why_rejected(value) == "it is not an object"


@pytest.mark.parametrize("key", ["deleted", "isExpired"])
@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), (1, True), ("true", True), (False, False), (0, False), ("false", False)]
)
def test_a_required_flag_has_six_spellings(key: str, value: Any, expected: bool) -> None:
    instance = taken(**{key: value})

    assert expected is {"deleted": instance.deleted, "isExpired": instance.is_expired}[key]


@pytest.mark.parametrize("key", ["deleted", "isExpired"])
@pytest.mark.parametrize("value", [None, ABSENT, 2, -1, "yes", "True", "", 1.0, [], {}])
def test_a_required_flag_that_cannot_be_read_is_never_taken_for_false(key: str, value: Any) -> None:
    assert why_rejected(item(**{key: value})).startswith(key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2022-06-03T18:39:44", datetime(2022, 6, 3, 15, 39, 44, tzinfo=UTC)),
        ("2022-06-03T18:39:44Z", datetime(2022, 6, 3, 18, 39, 44, tzinfo=UTC)),
        ("2022-06-03T18:39:44+00:00", datetime(2022, 6, 3, 18, 39, 44, tzinfo=UTC)),
        ("2022-06-03T18:39:44-05:30", datetime(2022, 6, 4, 0, 9, 44, tzinfo=UTC)),
        ("2022-06-03T18:39:44+14:00", datetime(2022, 6, 3, 4, 39, 44, tzinfo=UTC)),
        ("2022-06-03T18:39:44+0530", datetime(2022, 6, 3, 13, 9, 44, tzinfo=UTC)),
        ("2022-06-03T18:39:44.1", datetime(2022, 6, 3, 15, 39, 44, 100_000, tzinfo=UTC)),
        ("2022-06-03T18:39:44.123456789Z", datetime(2022, 6, 3, 18, 39, 44, 123_456, tzinfo=UTC)),
        ("2010-01-01T03:00:00", datetime(2010, 1, 1, tzinfo=UTC)),
        ("2200-01-01T02:59:59", datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00.0000000", None),
        ("0001-01-01T02:30:17+02:30:17", None),
        ("0001-01-01 00:00:00", None),
        ("0001-01-01", None),
        ("0001-06-30T12:00:00", None),  # the year means none, not its first day alone
        (None, None),
        (ABSENT, None),
    ],
)
@pytest.mark.parametrize("key", ["timeCreated", "timeDeleted", "expirationDate"])
def test_a_time_is_read(key: str, text: Any, expected: datetime | None) -> None:
    instance = taken(**{key: text})

    assert (
        expected
        == {
            "timeCreated": instance.time_created,
            "timeDeleted": instance.time_deleted,
            "expirationDate": instance.expiration_date,
        }[key]
    )


@pytest.mark.parametrize("text", ["2022-06-03T18:39:44", "2022-06-03T18:39:44Z", "2022-06-03T18:39:44-05:30"])
def test_a_time_is_kept_in_utc_whatever_the_zone_of_the_machine(text: str) -> None:
    created = taken(timeCreated=text).time_created

    assert created is not None
    assert created.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2022-06-03", "2022-06-03 18:39:44", "2022-W22-5T18:39:44", "20220603T183944", "2022-13-01T00:00:00",
        "2022-02-30T00:00:00", "2022-06-03T24:00:00", "2022-06-03T18:60:00", "2022-06-03T18:39:60", "0000-01-01T00:00:00",
        "2022-06-03T18:39:44.1234567890", "2022-06-03T18:39:44+24:00", "9999-12-31T23:59:59-01:00", "٢٠٢٢-06-03T18:39:44", 0, True, [],
    ],
)  # fmt: skip
def test_a_time_that_cannot_be_is_rejected(text: Any) -> None:
    assert why_rejected(item(timeCreated=text)).startswith("timeCreated is")


@pytest.mark.parametrize("text", ["0002-01-01T00:00:00", "2010-01-01T02:59:59", "1999-12-31T23:59:59Z"])
@pytest.mark.parametrize("key", ["timeCreated", "timeDeleted", "expirationDate"])
def test_a_time_before_the_service_was_there_is_impossible(key: str, text: str) -> None:
    assert f"{key} is an impossible time" == why_rejected(item(**{key: text}))


@pytest.mark.parametrize("text", ["2200-01-01T03:00:00", "9999-12-31T23:59:59", "9999-12-31T23:59:59-01:00"])
def test_a_time_after_2199_is_impossible_unless_it_is_an_expiration_date(text: str) -> None:
    assert taken(expirationDate=text).expiration_date is None
    for key in ("timeCreated", "timeDeleted"):
        assert f"{key} is an impossible time" == why_rejected(item(**{key: text}))


@pytest.mark.parametrize(
    "keys",
    [
        {"name": "😀" * 16_384},
        {"name": "ж" * 32_768},
        {"name": "x" * 65_536},
        {"name": ""},
        {"name": None},
        {"name": ABSENT},
    ],
)
def test_a_name_of_up_to_64_kibibytes_is_taken(keys: dict[str, Any]) -> None:
    expected = keys["name"] if isinstance(keys["name"], str) else None

    assert expected == taken(**keys).name


@pytest.mark.parametrize("name", ["😀" * 16_385, "ж" * 32_769, "x" * 65_537])
def test_a_longer_name_is_rejected_and_cut(name: str) -> None:
    (reject,) = read(item(name=name)).rejects

    assert reject.reason == "name is longer than 64 KiB"
    assert len(reject.item) < 3000


@pytest.mark.parametrize(
    "key", ["name", "typeInstance", "typeAccount", "messenger", "partnerUserUiid", "tariff", "apiTokenInstance"]
)
def test_a_text_of_another_type_is_rejected(key: str) -> None:
    assert f"{key} is not a string" == why_rejected(item(**{key: 5}))


def test_unknown_keys_are_kept_in_canonical_form() -> None:
    assert taken(b="ж", a={"d": True, "c": [1, 2.5, None]}).extra == '{"a":{"c":[1,2.5,null],"d":true},"b":"ж"}'


def test_the_order_of_keys_makes_no_difference() -> None:
    one = item(extra={"x": 1, "y": 2})

    assert read(one).instances == read(dict(reversed(one.items()))).instances


def test_identical_items_count_once() -> None:
    listing = read(item(), item(), dict(reversed(item().items())))

    assert (listing.listed, len(listing.instances), listing.rejects) == (1, 1, ())


def test_what_is_listed_is_counted_without_repetitions() -> None:
    assert read(item(1), item(2), item(3), item(1)).listed == 3


def test_differing_items_of_one_id_are_rejected_each_form_once() -> None:
    listing = read(item(1), item(2), item(1, name="x"), item(1))

    assert ([2], [0, 2], frozenset({1})) == (
        list(listing.instances),
        [reject.position for reject in listing.rejects],
        listing.rejected_ids,
    )


def test_a_bad_and_a_good_item_of_one_id_are_both_rejected() -> None:
    assert [reject.position for reject in read(item(deleted=None), item()).rejects] == [0, 1]


@pytest.mark.parametrize(("bad", "accepted"), [(3, True), (4, True), (5, False)])
def test_more_than_a_tenth_and_more_than_three_bad_items_refuse_the_answer(bad: int, accepted: bool) -> None:
    items = [item(number, deleted=None if number <= bad else False) for number in range(1, 41)]
    if accepted:
        assert bad == len(read(*items).rejects)
    else:
        with pytest.raises(AnswerUnusable, match="5 of 40 items are rejected"):
            read(*items)


def test_less_than_a_tenth_of_bad_items_is_tolerated() -> None:
    assert len(read(*(item(number, deleted=None if number <= 4 else False) for number in range(1, 51))).rejects) == 4


def test_three_bad_items_of_three_are_tolerated() -> None:
    assert len(read(1, 2, 3).rejects) == 3


@pytest.mark.parametrize(
    "document", [b'{"code":401,"description":"Unauthorized"}', b'{"statusCode":403}', b'{"code":"401"}']
)
def test_an_error_object_that_names_the_credentials_is_a_refusal(document: bytes) -> None:
    with pytest.raises(UpstreamRefused):
        read_whole(document, DECODER)


@pytest.mark.parametrize(
    "document",
    [
        b"", b" ", b"null", b"{}", b"5", b'"x"', b"true", b'{"code":404,"description":"Not found"}', b"<html></html>", b"[", b"[1,",
        b"[1,]", b"[] x", b"[NaN]", b"[Infinity]", b"[-Infinity]", b"[01]", b"['x']", b'["\x01"]', b'["\\x"]', b'[{"a":"\\u12G4"}]',
        b"\xff\xfe[\x00]\x00", b'["\xed\xa0\x80"]', b'["\xff"]', b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b"\x00", b"[1 2]",
        b'[{"idInstance":1,"deleted":false,"isExpired":false,"a":NaN}]',
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_list_in_strict_json_is_unusable(document: bytes) -> None:
    with pytest.raises(AnswerUnusable) as raised:
        read_whole(document, DECODER)
    assert "\n" not in str(raised.value)


NOT_A_LIST = "not a list; nothing is inferred from it"
CUT = "x" * 100


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("", "it is empty; nothing is inferred from it, try again later"),
        (" \n", "it is empty; nothing is inferred from it, try again later"),
        ("null", f"it is null, {NOT_A_LIST}"),
        ("{}", f"it is an object, {NOT_A_LIST}"),
        ("5", f"it is a number, {NOT_A_LIST}"),
        ("1.5", f"it is a number, {NOT_A_LIST}"),
        ('"x"', f"it is a string, {NOT_A_LIST}"),
        ("true", f"it is a boolean, {NOT_A_LIST}"),
        ("[", "it is not whole JSON (Expecting value: line 1 column 2 (char 1)); nothing is inferred from it"),
        ("\n [NaN]", "it is not whole JSON (NaN is not JSON); nothing is inferred from it"),
        (' {"a":-Infinity}', "it is not whole JSON (-Infinity is not JSON); nothing is inferred from it"),
        ("[" * 100_000, "it is not whole JSON (it is nested too deeply); nothing is inferred from it"),
        ("<html>\n\t<p>", "it is no JSON but '<html> <p>'; check SYNCER_API_URL and any proxy"),
        (f"{CUT}y", f"it is no JSON but {CUT[:80]!r}; check SYNCER_API_URL and any proxy"),
        (f"x{' ' * 3999}y", "it is no JSON but 'x'; check SYNCER_API_URL and any proxy"),
        (f"x{' ' * 3998}y", "it is no JSON but 'x y'; check SYNCER_API_URL and any proxy"),
        (f"x{' ' * 3990}{PARTNER_TOKEN}", "it is no JSON but 'x'; check SYNCER_API_URL and any proxy"),
        (f"x y {'z' * 4000}", "it is no JSON but 'x y'; check SYNCER_API_URL and any proxy"),
        (f"{' ' * 4000}x", "it is no JSON but 'x'; check SYNCER_API_URL and any proxy"),
        (f"<p>{PARTNER_TOKEN}", "it is no JSON but '<p>[removed]'; check SYNCER_API_URL and any proxy"),
        ('{"code":404,"description":"Not found"}', "it is an error object, code 404 'Not found', not a list; check SYNCER_API_URL"),
        ('{"statusCode":"E","message":"no"}', "it is an error object, code E 'no', not a list; check SYNCER_API_URL"),
        (json.dumps({"code": "x" * 30, "message": "x" * 300}), f"it is an error object, code {'x' * 20} {'x' * 200!r}, not a list; check SYNCER_API_URL"),
        (json.dumps({"code": PARTNER_TOKEN, "message": PARTNER_TOKEN}), "it is an error object, code [removed] '[removed]', not a list; check SYNCER_API_URL"),
        ('{"code":404}', f"it is an object, {NOT_A_LIST}"),
        ('{"code":null,"message":"no"}', f"it is an object, {NOT_A_LIST}"),
        ('{"message":"no"}', f"it is an object, {NOT_A_LIST}"),
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_a_person_is_told_what_was_there_instead_of_a_list(document: str, told: str) -> None:
    with pytest.raises(AnswerUnusable) as raised:
        read_whole(document.encode(), DECODER)

    assert f"reading the answer: {told}" == str(raised.value)
    assert (raised.value.kind, raised.value.http_status) == ("not_a_list", None)


@pytest.mark.parametrize(("document", "place"), [(b"\xff\xfe[", 0), (b'["\xff"]', 2), (b"\xef\xbb\xbf[\xff]", 1)])
def test_a_person_is_told_where_the_answer_is_garbled(document: bytes, place: int) -> None:
    with pytest.raises(AnswerUnusable) as raised:
        read_whole(document, DECODER)

    assert str(raised.value) == (
        f"reading the answer: byte {place} is not UTF-8; a proxy may have garbled it, try again later"
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"code": 401, "description": "Unauthorized"}, "401 'Unauthorized'"),
        ({"statusCode": 403}, "403 ''"),
        ({"code": "401", "message": "x" * 300}, f"401 {'x' * 200!r}"),
        ({"code": 403, "description": PARTNER_TOKEN}, "403 '[removed]'"),
    ],
    ids=["code", "statusCode", "cut", "scrubbed"],
)
def test_a_person_is_told_of_a_refusal_in_the_upstreams_words(document: dict[str, Any], words: str) -> None:
    with pytest.raises(UpstreamRefused) as raised:
        read_whole(json.dumps(document).encode(), DECODER)

    assert str(raised.value) == (
        f"calling the upstream: it answered code {words}; check the partner token and SYNCER_API_URL"
    )
    assert raised.value.http_status == 200


def test_a_person_is_told_of_the_first_of_too_many_bad_items() -> None:
    with pytest.raises(AnswerUnusable) as raised:
        read(item(1), item(2, deleted=None), 3, 4, 5)

    assert str(raised.value) == (
        "reading the answer: 4 of 5 items are rejected, the first at position 1 because deleted is missing; "
        "nothing was applied, `syncer probe` shows the answer's shape"
    )
    assert raised.value.kind == "too_many_rejects"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (5, "it is not an object"),
        (item(ABSENT), "idInstance is missing"),
        (item(None), "idInstance is missing"),
        (item(0), "idInstance is no integer from 1 to 2^63-1"),
        (item(deleted=None), "deleted is missing"),
        (item(isExpired=ABSENT), "isExpired is missing"),
        (item(deleted=2), "deleted is neither true nor false"),
        (item(isFree="yes"), "isFree is neither true nor false"),
        (item(isPartner=[]), "isPartner is neither true nor false"),
        (item(timeCreated="yesterday"), "timeCreated is not a time such as 2022-06-03T18:39:44"),
        (item(timeDeleted=5), "timeDeleted is not a time such as 2022-06-03T18:39:44"),
        (item(expirationDate="2022-02-30T00:00:00"), "expirationDate is an impossible time"),
        (item(expirationDate="2022-02-30T00:00:00Z"), "expirationDate is an impossible time"),
    ],
)
def test_a_bad_item_says_why(bad: Any, reason: str) -> None:
    assert reason == why_rejected(bad)


def test_items_of_one_id_that_differ_say_how_many_they_are() -> None:
    listing = read(item(1), item(2), item(1, name="x"), item(1, name="y"), item(1))

    assert [(0, "client"), (2, "x"), (3, "y")] == [
        (reject.position, json.loads(reject.item)["name"]) for reject in listing.rejects
    ]
    assert {"idInstance is listed 3 times with differing items"} == {reject.reason for reject in listing.rejects}
    assert {1} == {reject.id_instance for reject in listing.rejects}
    assert (listing.listed, listing.proves_absence) == (4, True)


def test_a_rejected_item_is_kept_without_its_secrets_and_cut() -> None:
    token = "short"
    (reject,) = read(
        item(
            1, deleted=None, apiTokenInstance=token, name=f"{'n' * 1020}{token}", note=f"{token} here", list=[token, 5]
        )
    ).rejects

    kept = json.loads(reject.item)
    assert (0, 1) == (reject.position, reject.id_instance)
    assert ("[removed]", f"{'n' * 1020}[rem", "[removed] here", ["[removed]", 5]) == (
        kept["apiTokenInstance"],
        kept["name"],
        kept["note"],
        kept["list"],
    )
    assert {**item(1), "deleted": None}.keys() | {"note", "list"} == kept.keys()


def test_a_text_of_a_rejected_item_is_cut_after_its_secrets_are_removed() -> None:
    (reject,) = read(item(1, deleted=None, name=f"{'n' * 1010} {PARTNER_TOKEN}")).rejects

    assert f"{'n' * 1010} [removed]" == json.loads(reject.item)["name"]


@pytest.mark.parametrize("token", [None, "", 5, ["t"]])
def test_a_rejected_item_without_a_token_is_kept_too(token: Any) -> None:
    (reject,) = read(item(1, deleted=None, apiTokenInstance=token)).rejects

    assert ("[removed]" if token else token) == json.loads(reject.item)["apiTokenInstance"]


def test_a_rejected_item_that_is_nested_too_deeply_is_kept_in_words() -> None:
    (reject,) = read(json.loads('{"deleted":false,"a":' + "[" * 65 + "]" * 65 + "}")).rejects

    assert reject.item == '"it is nested deeper than 64 levels"'


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"b":', "}")], ids=["lists", "objects"])
def test_a_value_is_taken_down_to_the_level_that_is_allowed(opening: str, closing: str) -> None:
    """The item itself is the first of the 64 levels."""
    deepest, deeper = (opening * levels + "[]" + closing * levels for levels in (62, 63))

    assert f'{{"a":{deepest}}}' == taken(a=json.loads(deepest)).extra
    assert why_rejected(item(a=json.loads(deeper))) == "it is nested deeper than 64 levels"


@pytest.mark.parametrize("key", ["token", "Secret", "userPassword", "passwd", "apiKey", "api_key"])
def test_a_value_is_not_kept_where_its_key_names_a_secret(key: str) -> None:
    kept = json.loads(taken(a={key: "hush", f"{key}2": "", f"{key}3": 5, f"{key}4": {"x": "open"}}).extra)

    assert {"a": {key: "[removed]", f"{key}2": "", f"{key}3": "[removed]", f"{key}4": "[removed]"}} == kept


def test_unknown_keys_and_their_values_are_scrubbed() -> None:
    assert {"[removed]": ["[removed]", {"a\ufffd": "b\ufffd"}]} == json.loads(
        taken(**{PARTNER_TOKEN: [api_token(1), {"a\x00": "b\x00"}]}).extra
    )


@pytest.mark.parametrize(("digits", "kept"), [("9" * 4000, int), ("9" * 4001, str), ("-" + "9" * 3999, int)])
def test_a_whole_number_of_up_to_four_thousand_digits_is_kept_as_one(digits: str, kept: type) -> None:
    document = '[{"idInstance":1,"deleted":false,"isExpired":false,"a":' + digits + ',"b":"\\ud800"}]'

    assert kept(digits) == json.loads(read_whole(document.encode(), DECODER).instances[1].extra)["a"]


def test_a_fingerprint_is_the_beginning_of_a_hash() -> None:
    assert taken(apiTokenInstance="0123456789abcdef").token_fingerprint == "9f9f5111f7b27a78"


@pytest.mark.parametrize("token", ["", "abc", "****", "0123456789abcde", "*" * 50, "0" * 16, None, ABSENT])
def test_a_token_that_is_absent_or_masked_is_unknown(token: Any) -> None:
    listing = read_whole(body([item(1, apiTokenInstance=token)]), DECODER._replace(keeps_tokens=True))

    assert listing.instances[1].token_fingerprint is None
    assert {1: None} == dict(listing.tokens)


def test_only_the_tokens_of_instances_that_are_taken_are_kept() -> None:
    listing = read_whole(
        body(
            [
                item(1, apiTokenInstance="token of number 1"),
                item(2, apiTokenInstance="token of number 2", deleted=None),
                item(3, apiTokenInstance="token of number 3"),
                item(3, apiTokenInstance="token of number 4"),
                item(4, apiTokenInstance=""),
                item(1, apiTokenInstance="token of number 1"),
                item(5, apiTokenInstance="token of number 5", unknown=1),
            ]
        ),
        DECODER._replace(keeps_tokens=True),
    )

    assert {1: b"token of number 1", 4: None, 5: b"token of number 5"} == dict(listing.tokens)


def test_no_token_is_kept_unless_tokens_are() -> None:
    assert {1: None} == dict(read(item(1)).tokens)


def test_an_item_by_itself_is_rejected_at_its_position() -> None:
    reader = ItemReader(DECODER)

    assert Reject(7, None, "it is not an object", "5") == reader.read_one(b"5", 7, 0, 0)
    assert Reject(7, None, "idInstance is missing", "{}") == reader.read_one(b"{}", 7, 0, 0)
    rejected = reader.read_one(b'{"idInstance": 1, "name": 5}', 7, 0, 0)
    assert Reject(7, 1, "name is not a string", '{"idInstance":1,"name":5}') == rejected


@pytest.mark.parametrize(("length", "removed"), [(SHORTEST_KNOWN_TOKEN - 1, False), (SHORTEST_KNOWN_TOKEN, True)])
def test_a_token_is_removed_from_other_texts_unless_it_is_too_short_to_be_one(*, length: int, removed: bool) -> None:
    token = "z" * length

    instance = taken(apiTokenInstance=token, name=f"a {token}", tariff=f"b {token}", a=f"c {token}", apiUrl=token)

    shown = "[removed]" if removed else token
    assert (f"a {shown}", f"b {shown}", {"a": f"c {shown}", "apiUrl": shown}) == (
        instance.name,
        instance.tariff,
        json.loads(instance.extra),
    )


def test_a_byte_order_mark_is_allowed() -> None:
    assert list(read_whole(b"\xef\xbb\xbf" + body([item(1)]), DECODER).instances) == [1]


def test_numbers_beyond_the_common_range_are_kept_to_the_digit() -> None:
    document = (
        b'[{"idInstance":1,"deleted":false,"isExpired":false,"a":123456789012345678901234567890,"b":1e400,"c":'
        + b"9" * 5000
        + b"}]"
    )

    extra = json.loads(read_whole(document, DECODER).instances[1].extra)
    assert extra == {"a": 123456789012345678901234567890, "b": "1e400", "c": "9" * 5000}


@pytest.mark.parametrize("opening", ["[", '{"a":[1,"]}",'])
@pytest.mark.parametrize("levels", [100, 900, 990, 1500, 9000])
@pytest.mark.parametrize("block_bytes", [100, 10**6])
def test_an_item_that_is_nested_however_deeply_does_not_sink_the_rest(
    opening: str, levels: int, block_bytes: int
) -> None:
    closing = "]" if opening == "[" else "]}"
    levels = levels // len(closing)
    deep = f'{{"idInstance":2,"deleted":false,"isExpired":false,"x":{opening * levels}1{closing * levels}}}'
    text = f"[{json.dumps(item(1))}, {deep}, {json.dumps(item(3))}]".encode()

    read = read_whole(text, DECODER._replace(block_bytes=block_bytes))

    assert list(read.instances) == [1, 3]
    assert [(one.id_instance, one.reason) for one in read.rejects] == [(2, "it is nested deeper than 64 levels")]


@pytest.mark.parametrize("inside", ["NaN", "1,,2", '"a', "tru", '{"a"}', "]", "{]", "01", r'"\x"'])
def test_what_is_nested_deeply_is_read_as_strictly_as_all_else(inside: str) -> None:
    deep = f'{{"idInstance":2,"deleted":false,"isExpired":false,"x":{"[" * 1500}{inside}{"]" * 1500}}}'

    with pytest.raises(AnswerUnusable):
        read_whole(f"[{json.dumps(item(1))}, {deep}]".encode(), DECODER)


def test_a_list_that_breaks_off_deep_within_an_item_is_none() -> None:
    with pytest.raises(AnswerUnusable):
        read_whole(f'[{{"idInstance":2,"x":{"[" * 1500}]'.encode(), DECODER)


def test_a_value_nested_too_deeply_is_rejected() -> None:
    assert (
        why_rejected(json.loads('{"idInstance":1,"deleted":false,"isExpired":false,"a":' + "[" * 65 + "]" * 65 + "}"))
        == "it is nested deeper than 64 levels"
    )


def test_the_plain_path_reads_the_same_as_the_quick_one() -> None:
    items = body([item(1, a=1.5, b="ж😀", c=[1, {}]), item(2, name=5), 7])
    by_the_plain_path = items[:-1] + b', {"x":"\\ud800"}]'

    quick, plain = read_whole(items, DECODER), read_whole(by_the_plain_path, DECODER)
    assert (quick.instances, quick.rejects) == (plain.instances, plain.rejects[:-1])


def test_prefixes_of_a_list_are_never_taken_for_a_whole_one() -> None:
    whole = body([item(1, name="a]b"), item(2)])
    for length in range(len(whole)):
        with pytest.raises(AnswerUnusable):
            read_whole(whole[:length], DECODER)


def json_values(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | numbers | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=8,
    )


JSON_VALUES = json_values(st.floats())
KEYS = st.sampled_from(list(item()))


@given(st.lists(st.dictionaries(KEYS | st.text(), JSON_VALUES) | JSON_VALUES, max_size=8))
def test_any_list_is_read_or_refused_in_words(items: list[Any]) -> None:
    try:
        listing = read_whole(json.dumps(items).encode(), DECODER)
    except SyncerError as error:
        assert "\n" not in str(error)
    else:
        assert listing.proves_absence == all(reject.id_instance is not None for reject in listing.rejects)
        json.loads(
            "["
            + ",".join([*(one.extra for one in listing.instances.values()), *(one.item for one in listing.rejects)])
            + "]"
        )


@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_any_bytes_in_a_list_are_read_or_refused_in_words(noise: bytes, place: int) -> None:
    whole = body([item(1), item(2)])
    place %= len(whole)
    try:
        read_whole(whole[:place] + noise + whole[place + len(noise) :], DECODER)
    except SyncerError as error:
        assert find_secrets(str(error).encode()) == []


def test_an_item_that_is_bad_twice_in_the_same_way_counts_once() -> None:
    bad = item(1, deleted=None)

    listing = read(bad, bad)

    assert [1] == [reject.id_instance for reject in listing.rejects]


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_two_bad_items_of_one_id_that_differ_are_both_kept(names: tuple[str, str]) -> None:
    listing = read(*(item(1, deleted=None, name=name) for name in names))

    assert list(names) == [json.loads(reject.item)["name"] for reject in listing.rejects]
    assert listing.listed == 2


def test_a_token_that_stands_in_another_field_is_removed_from_it() -> None:
    token = "0123456789abcdef0123456789abcdef"

    name = taken(name=f"my token is {token}", apiTokenInstance=token).name

    assert name is not None
    assert token not in name


OWN_TOKEN = "0123456789abcdef0123456789abcdef"
KNOWN_TOKEN = "Kx9fQ2mZp7Lw4RtB"  # no longer than it must be
BREAKS = {
    "NUL": "\0",
    "a lone surrogate": "\ud800",
    "a replacement": "\ufffd",
    "an invisible sign": "\u200b",
    "one beyond the basic plane": "\U000e0100",
}


@pytest.mark.parametrize("between", BREAKS.values(), ids=BREAKS)
@pytest.mark.parametrize("is_rejected", [False, True], ids=["taken", "rejected"])
@pytest.mark.parametrize(
    "token", [PARTNER_TOKEN, OWN_TOKEN, KNOWN_TOKEN], ids=["the partner's", "its own", "a short one"]
)
def test_a_token_that_is_broken_up_by_what_is_not_seen_is_removed(token: str, is_rejected: bool, between: str) -> None:
    broken = f"{token[:7]}{between}{token[7:]}"
    own = OWN_TOKEN if token == PARTNER_TOKEN else token
    listing = read(item(1, apiTokenInstance=own, name=f"a {broken} b", x={"y": broken}, isExpired=is_rejected and "?"))

    if is_rejected:
        (reject,) = listing.rejects
        kept = json.loads(reject.item)
        assert ("a [removed] b", {"y": "[removed]"}) == (kept["name"], kept["x"])
    else:
        (instance,) = listing.instances.values()
        assert ("a [removed] b", {"x": {"y": "[removed]"}}) == (instance.name, json.loads(instance.extra))


@pytest.mark.parametrize("between", BREAKS.values(), ids=BREAKS)
def test_a_broken_token_is_removed_from_an_item_in_its_usual_form(between: str) -> None:
    names = {taken(apiTokenInstance=token, name=between.join(token)).name for token in (OWN_TOKEN, KNOWN_TOKEN)}

    assert {"[removed]"} == names


@pytest.mark.parametrize("token", ["****************", "a" + "\u200b" * 20, "\ufffd" * 20, KNOWN_TOKEN])
def test_a_name_with_what_is_not_seen_stays_as_it_is(token: str) -> None:
    name = "Café ❤\ufe0f at the beach\u200b, with a long name"

    assert name == taken(apiTokenInstance=token, name=name).name


# Beside the keys of every list those that the quick reading knows; an unknown one sends the item the other way.
SHORT_TOKEN = "z" * SHORTEST_KNOWN_TOKEN
BARE = {"idInstance": 1, "deleted": False, "isExpired": True}
TOO_LONG = "ж" * ((FIELDS["name"].longest_bytes or 0) // 2 + 1)
LISTED_TEXTS = st.sampled_from(
    [None, "", "whatsapp", "nul\x00", api_token(1), f"has {api_token(1)}", PARTNER_TOKEN, TOO_LONG]
) | st.text(max_size=30)
USUAL_ITEMS = st.fixed_dictionaries(
    {
        "name": LISTED_TEXTS,
        "typeInstance": LISTED_TEXTS,
        "partnerUserUiid": LISTED_TEXTS,
        "apiTokenInstance": st.sampled_from([None, "", api_token(1), OWN_TOKEN, "short"]),
        "timeDeleted": st.sampled_from([None, *TIMES, "2026-02-30T00:00:00", "yesterday"]),
        "deleted": st.booleans(),
        "isFree": st.booleans() | st.none(),
    },
    optional={"apiUrl": LISTED_TEXTS, "mediaUrl": LISTED_TEXTS},
).map(lambda keys: item(1, **keys))
UNUSUAL_ITEMS = st.dictionaries(KEYS, json_values(st.floats(allow_nan=False, allow_infinity=False))).map(
    lambda keys: item(1) | keys
)


@given(st.lists(USUAL_ITEMS | UNUSUAL_ITEMS, max_size=4))
@example(
    [
        item(name=None),
        item(typeInstance="t" * SHORTEST_KNOWN_TOKEN),
        item(apiUrl="https://1101.api.example", mediaUrl=None),
    ]
)
@example([item(name=f"has {api_token(1)}", apiTokenInstance=api_token(1)), item(apiTokenInstance=None), item(0)])
@example(
    [
        item(name=f"has {OWN_TOKEN}", tariff=f"has {OWN_TOKEN}", apiUrl=f"has {OWN_TOKEN}", apiTokenInstance=OWN_TOKEN),
        item(apiTokenInstance="nul\x00"),
        item(name="nul\ufffd" * 9, apiTokenInstance="nul\x00" * 9),
    ]
)
@example([item(name=TOO_LONG), item(name=TOO_LONG[1:]), item(name="x" * 20_000), item(name="😀" * 16_385)])
@example([item(timeCreated="yesterday"), item(timeDeleted="yesterday"), item(expirationDate="yesterday")])
@example([BARE, BARE | {"unknown": "x"}, BARE | {"apiTokenInstance": OWN_TOKEN}, BARE | {"mediaUrl": "https://x"}])
@example([BARE | {"tariff": OWN_TOKEN, "apiTokenInstance": token} for token in (OWN_TOKEN, None, OWN_TOKEN)])
@example([BARE | {"tariff": SHORT_TOKEN, "apiTokenInstance": token} for token in (SHORT_TOKEN, None, SHORT_TOKEN)])
def test_an_item_is_read_alike_in_a_list_alone_and_by_type(items: list[dict[str, Any]]) -> None:
    """A key that nobody knows changes nothing but `extra`, though it keeps the quick reading off."""
    reader = ItemReader(DECODER)
    for one in items:
        text = json.dumps(one).encode()
        listing = read(one)
        (expected,) = [*listing.rejects, *listing.instances.values()]
        (in_list,) = reader.read([text], [0], [0], [0])
        unusual = reader.read_one(json.dumps(one | {"": 1}).encode(), 0, 0, 0)

        assert expected == _said(reader.read_one(text, 0, 0, 0)) == _said(in_list)
        assert _without_unknown_key(expected) == _without_unknown_key(_said(unusual))


def _said(outcome: Item | Reject) -> Instance | Reject:
    return outcome.instance if isinstance(outcome, Item) else outcome


def _without_unknown_key(said: Instance | Reject) -> Instance | Reject:
    kept = json.loads(said.item if isinstance(said, Reject) else said.extra)
    if isinstance(kept, dict):
        kept.pop("", None)
    text = json.dumps(kept, sort_keys=True)
    return said._replace(item=text) if isinstance(said, Reject) else said._replace(extra=text)
