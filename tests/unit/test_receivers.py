"""Receivers without a database: their settings, their formats, and what a reply leads to."""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import loading
import pytest
from canary import PARTNER_TOKEN, find_secrets
from receiving import OTHER_SECRET, SECRET
from standardwebhooks import Webhook

from syncer.errors import ConfigurationError
from syncer.model import Transition
from syncer.receivers import chat, outcome
from syncer.receivers.formats import message_of
from syncer.receivers.news import Digest, Happened, News, Noticed, Trial
from syncer.receivers.outcome import Reply, Verdict, pause_after, verdict_of
from syncer.receivers.receiver import TOLD_BY_DEFAULT, Address, Format, Receiver
from syncer.receivers.standard import parse_secret
from syncer.scrub import Scrubber
from syncer.settings.config import Settings
from syncer.settings.receivers import check_receivers
from syncer.words.catalogue import Words
from syncer.words.language import Language
from syncer.words.receivers import RECEIVERS
from syncer.words.report import REPORT

URL = "https://crm.example/hooks/c0ffee5ec2e7abcdef0123456789"
TELEGRAM_URL = "https://api.telegram.org/bot8123456789:c0ffee5ec2e7-AAH/sendMessage?chat_id=-100&message_thread_id=7"
NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)


def settings(folder: Path, table: str, *, url: str = URL, secret: str = SECRET, **environment: str) -> Settings:
    """What this table of a receiver comes to, with its secrets read."""
    for name, text in (("url.secret", url), ("key.secret", secret)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    (folder / "syncer.toml").write_text(
        table.replace("URL", f'url_file = "{folder}/url.secret"').replace(
            "SECRET", f'secret_file = "{folder}/key.secret"'
        )
    )
    try:
        found = loading.load({}, {"SYNCER_PARTNER_TOKEN": "gac.x", **environment}, None, folder)
    finally:
        (folder / "syncer.toml").unlink()  # a test may have put a token there
    check_receivers(found.receivers)
    return found


def test_a_receiver_has_the_defaults_of_the_contract(tmp_path: Path) -> None:
    (one,) = settings(tmp_path, "[receivers.crm]\nURL\nSECRET").receivers

    assert Receiver("crm") == one.receiver
    words = {"deleted", "expired", "renewed", "vanished", "reappeared"}
    assert words == {str(word) for word in TOLD_BY_DEFAULT}
    assert Address(URL, (parse_secret(SECRET),)) == one.read_address()


def test_every_key_of_a_receiver_is_read(tmp_path: Path) -> None:
    text = """
        lang = "ru"
        [accounts.north]
        token_env = "NORTH"
        [receivers.bot]
        URL
        format = "telegram"
        transitions = ["created", "purged"]
        accounts = ["north"]
        attention = true
        digest = "0 9 * * mon-fri"
    """
    (one,) = settings(tmp_path, text, url=TELEGRAM_URL + "\n").receivers

    assert one.receiver.digest is not None
    assert datetime(2026, 11, 27, 9, tzinfo=UTC) == one.receiver.digest.next_after(NOW)
    assert Receiver(
        "bot", Format.TELEGRAM, frozenset({Transition.CREATED, Transition.PURGED}), frozenset({"north"}),
        wants_attention=True, digest=one.receiver.digest, language=Language.RU,
    ) == one.receiver  # fmt: skip
    address = one.read_address()
    assert TELEGRAM_URL.partition("?")[0] == address.url
    assert {"chat_id": "-100", "message_thread_id": "7"} == address.parameters


def test_new_secrets_need_no_restart(tmp_path: Path) -> None:
    (one,) = settings(tmp_path, "[receivers.crm]\nURL\nSECRET").receivers
    (tmp_path / "key.secret").write_text(f"{OTHER_SECRET}\n{SECRET}\n")
    (tmp_path / "url.secret").write_text("http://localhost:81/")

    assert Address("http://localhost:81/", (parse_secret(OTHER_SECRET), parse_secret(SECRET))) == one.read_address()


def test_an_address_may_be_in_a_variable(tmp_path: Path) -> None:
    (one,) = settings(tmp_path, '[receivers.crm]\nurl_env = "SYNCER_CRM"\nSECRET', SYNCER_CRM=URL).receivers

    assert URL == one.read_address().url


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[receivers.crm]\nSECRET", "[receivers.crm]: it needs url_file or url_env"),
        ('[receivers.crm]\nURL\nurl_env = "X"\nSECRET', "[receivers.crm]: it has both url_file and url_env; keep one"),
        ("[receivers.crm]\nURL", "[receivers.crm]: its format needs secret_file"),
        ('[receivers.crm]\nURL\nSECRET\nformat = "slack"', "its format is slack, which signs nothing; take secret_file out"),
        ('[receivers.crm]\nURL\nSECRET\nformat = "teams"', "format in [receivers.crm]: it is none of standard, slack, telegram"),
        ('[receivers.crm]\nURL\nSECRET\nformt = "slack"', "formt in [receivers.crm]: there is no such setting; did you mean format?"),
        ('[receivers.crm]\nURL\nSECRET\ntransitions = ["delted"]', "there is no transition 'delted'; did you mean deleted?"),
        ('[receivers.crm]\nURL\nSECRET\ntransitions = "deleted"', "transitions in [receivers.crm]: it must be a list"),
        ("[receivers.crm]\nURL\nSECRET\ntransitions = []", "transitions in [receivers.crm]: it must be a list"),
        ('[receivers.crm]\nURL\nSECRET\naccounts = ["nroth"]', "accounts in [receivers.crm]: there is no account 'nroth'"),
        ('[receivers.crm]\nURL\nSECRET\nattention = "yes"', "attention in [receivers.crm]: it must be true or false"),
        ('[receivers.crm]\nURL\nSECRET\ndigest = "1h"', "digest in [receivers.crm]: it is no cron expression"),
        ('[receivers.crm]\nURL\nSECRET\ndigest = "61 9 * * *"', "digest in [receivers.crm]: '61' as minute"),
        ("receivers = 1", "receivers in syncer.toml: write one table per receiver, [receivers.NAME]"),
        (f'[receivers.crm]\nurl_env = "{PARTNER_TOKEN}"\nSECRET', "url_env in [receivers.crm]: it is what looks like a token"),
        (f'[receivers.crm]\nURL\nSECRET\ntransitions = ["{PARTNER_TOKEN}"]', "transitions in [receivers.crm]: it holds what looks"),
        ('[receivers.crm]\nurl_env = "NOT_SET"\nSECRET', "url_env in [receivers.crm]: there is no address; set the variable NOT_SET"),
        ('[receivers.crm]\nurl_file = "/nowhere"\nSECRET', "url_file in [receivers.crm]: reading the secret file /nowhere"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_receiver_is_said_in_one_line(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings(tmp_path, table)

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert [] == find_secrets(str(raised.value).encode())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "there is no address; write it into that file"),
        ("http://crm.example/c0ffee5ec2e7", "plain http:// would send messages unencrypted"),
        ("ftp://crm.example/c0ffee5ec2e7", "it holds no address such as"),
        ("https://ada:c0ffee5ec2e7@crm.example/", "the address must not hold a user or password"),
        ("https://crm.example/c0ffee5ec2e7 x", "it holds no address such as"),
        ("https://[c0ffee5ec2e7/", "it holds no address such as"),
    ],
)
def test_a_wrong_address_is_refused_and_not_shown(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings(tmp_path, "[receivers.crm]\nURL\nSECRET", url=url)

    assert f"url_file in [receivers.crm]: {said}" in str(raised.value)
    assert [] == find_secrets(str(raised.value).encode())


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("c0ffee5ec2e7", "it holds what is no whsec_"),
        ("whsec_c0ffee5ec2e7", "it holds what is no whsec_"),
        (f"whsec_{b64encode(b'x' * 65).decode()}", "24 to 64 bytes in base64"),
        ("", "it has 0 secrets; write one a line"),
        (f"{SECRET}\n{OTHER_SECRET}\n{SECRET}", "it has 3 secrets"),
    ],
)
def test_a_wrong_secret_is_refused_and_not_shown(tmp_path: Path, secret: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings(tmp_path, "[receivers.crm]\nURL\nSECRET", secret=secret)

    assert said in str(raised.value)
    assert "secret_file in [receivers.crm]" in str(raised.value)
    assert [] == find_secrets(str(raised.value).encode())


@pytest.mark.parametrize("url", [URL, TELEGRAM_URL.replace("/sendMessage", "/getMe"), TELEGRAM_URL.partition("?")[0]])
def test_an_address_of_telegram_names_method_and_chat(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="no address of Telegram such as"):
        settings(tmp_path, '[receivers.bot]\nURL\nformat = "telegram"', url=url)


def test_secrets_are_in_no_repr_and_known_to_the_scrubber(tmp_path: Path) -> None:
    found = settings(tmp_path, "[receivers.crm]\nURL\nSECRET")
    (one,) = found.receivers

    assert [] == find_secrets(repr((found, one, one.read_address())).encode())
    scrub = found.scrubber()
    for secret in (URL, "crm.example", "c0ffee5ec2e7abcdef0123456789", SECRET.removeprefix("whsec_")):
        assert "[removed]" == scrub(secret)


def test_words_of_an_address_are_no_secrets() -> None:
    address = Address("https://hooks.slack.com/services/T0123ABCD/B0123ABCD/c0ffee5ec2e7abcdefghijkl", ())

    assert "services" not in address.secrets()
    assert {"T0123ABCD", "B0123ABCD", "c0ffee5ec2e7abcdefghijkl"} <= set(address.secrets())


@pytest.mark.parametrize(
    ("asked", "echo"),
    [
        ("/hook/SuperSecretPath?key=shortkey", "Cannot POST /hook/SuperSecretPath?key=shortkey"),
        ("/hook/SuperSecretPath?key=shortkey", "The route hook/SuperSecretPath could not be found."),
        ("/hook/SuperSecretPath/?key=shortkey", "no /hook/SuperSecretPath here, nor for key=shortkey"),
        ("/api/hook/SuperSecretPath?key=shortkey", "Cannot POST /hook/SuperSecretPath?key=shortkey"),
        ("/hook/SuperSecretPath?key=shortkey&a=b", "<pre>/hook/SuperSecretPath?key=shortkey&amp;a=b</pre>"),
        ("/hook/Super%20Secret%20Path?key=short%20key", "no /hook/Super Secret Path?key=short key"),
        ("/hook/Super%20Secret%20Path?key=short+key", "no key=short key"),
        ("/Super%2DSecret", "no /Super-Secret"),
        ("/?key=shortkey", 'no "key=shortkey"'),
        ("/Secret", '{"error": "no \\/Secret"}'),
    ],
)
def test_path_and_query_of_an_address_are_secrets_though_they_look_like_words(asked: str, echo: str) -> None:
    scrubbed = Scrubber(Address(f"http://127.0.0.1:9{asked}").secrets())(echo)

    assert "[removed]" in scrubbed
    assert not re.search("secret|shortkey|short key", scrubbed, re.IGNORECASE), scrubbed


@pytest.mark.parametrize("asked", ["", "/", "/?", "/hook", "/hook/", "/v1", "/?a", "/v1?a"])
def test_a_short_word_of_an_address_stays_in_other_texts(asked: str) -> None:
    text = "the hook of v1 is a hooked one; see / and docs/v1, a/b"

    assert text == Scrubber(Address(f"http://127.0.0.1:9{asked}").secrets())(text)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED), (204, Verdict.DELIVERED), (299, Verdict.DELIVERED), (199, Verdict.AGAIN),
        (300, Verdict.AGAIN), (301, Verdict.AGAIN), (400, Verdict.AGAIN), (401, Verdict.AGAIN), (404, Verdict.AGAIN),
        (410, Verdict.STOPPED), (429, Verdict.AGAIN), (500, Verdict.AGAIN), (None, Verdict.AGAIN),
    ],
)  # fmt: skip
def test_only_a_yes_is_one_and_only_gone_stops(status: int | None, verdict: Verdict) -> None:
    assert verdict == verdict_of(Reply(status))


def test_pauses_double_from_a_second_to_an_hour() -> None:
    longest = [pause_after(tries, None, 0.0).total_seconds() for tries in range(1, 15)]
    shortest = [pause_after(tries, None, 1.0).total_seconds() for tries in range(1, 15)]

    assert [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600] == longest
    assert [1, *(pause / 2 for pause in longest[1:])] == shortest
    assert timedelta(hours=1) == pause_after(10**9, None, 0.0)


def test_a_longer_pause_that_is_asked_for_is_kept_up_to_a_day() -> None:
    assert timedelta(seconds=7) == pause_after(1, 7.0, 0.5)
    assert timedelta(seconds=64) == pause_after(7, 7.0, 0.0)
    assert outcome.LONGEST_RETRY_AFTER == pause_after(1, 1e12, 0.5)


ROW: Mapping[str, Any] = {
    "id": 35, "id_instance": 1101000001, "account": "north", "run_id": 7, "transition": "deleted",
    "occurred_at": NOW - timedelta(hours=1), "time_source": "upstream", "observed_at": NOW, "previous_observed_at": None,
    "changes": {"deleted": [False, True], "token_fingerprint": ["a", "b"]}, "name": "Ёж & <b>Co</b>\n", "tariff": "BUSINESS",
    "type_instance": "v3", "messenger": None, "is_free": None, "is_partner": None, "time_deleted": NOW, "deleted": True,
    "expiration_date": NOW + timedelta(days=3), "is_expired": False, "missing": False,
}  # fmt: skip
ATTENTION = {
    "id_instance": 1101000001, "account": "north", "name": "Ёж", "reason": "not_renewed", "since": NOW, "severity": 1,
}  # fmt: skip
DIGEST = Digest(
    NOW, 30, 41, {Transition.DELETED: 5, Transition.EXPIRED: 1}, {Transition.DELETED: ["Ёж", "1102", "x"]},
    {(1, "not_renewed"): 2},
)  # fmt: skip
NEWS: list[tuple[str, News]] = [
    ("e_35", Happened(ROW)),
    ("e_1101000001_not_renewed_20261126T090000000000Z", Noticed(ATTENTION, NOW)),
    ("e_1101000001_not_renewed_20261126T090000000000Z_over", Noticed(ATTENTION, NOW, has_come=False)),
    ("e_digest_20261126T090000Z", DIGEST),
    ("e_test_1", Trial(NOW, "1")),
]


@pytest.mark.parametrize(("message_id", "news"), NEWS)
def test_a_message_has_the_id_of_its_news_and_the_same_body_when_it_is_repeated(message_id: str, news: News) -> None:
    address = Address(URL, (parse_secret(SECRET),))
    now = datetime.now(UTC)  # noqa: TID251 - the package checks against the present

    first = message_of(Receiver("crm"), address, news, "e", now)
    again = message_of(Receiver("crm"), address, news, "e", now + timedelta(seconds=60))

    assert (message_id, message_id) == (first.id, again.id)
    assert first.body == again.body
    assert Webhook(SECRET).verify(first.body, dict(first.headers)) == json.loads(again.body)
    assert {"type", "timestamp", "data"} == json.loads(first.body).keys()


def test_what_tells_of_a_token_is_left_out_of_a_body() -> None:
    body = message_of(Receiver("crm"), Address(URL, (parse_secret(SECRET),)), Happened(ROW), "e", NOW).body

    assert {"deleted": [False, True]} == json.loads(body)["data"]["changes"]


def test_a_digest_is_told_by_numbers() -> None:
    body = json.loads(message_of(Receiver("crm"), Address(URL, (parse_secret(SECRET),)), DIGEST, "e", NOW).body)

    assert {
        "type": "digest", "timestamp": "2026-11-26T09:00:00Z",
        "data": {
            "after_history_id": 30, "until_history_id": 41, "transitions": {"deleted": 5, "expired": 1},
            "attention": [{"severity": 1, "reason": "not_renewed", "n": 2}],
        },
    } == body  # fmt: skip


def said(news: News, language: Language = Language.EN) -> str:
    return chat.text(news, Words(language, RECEIVERS, REPORT)).replace("\u00a0", " ").replace("\u202f", " ")


def test_people_are_told_in_their_language() -> None:
    assert (
        "Deleted: “Ёж & <b>Co</b>” (1101000001, MAX, BUSINESS, account north)\n26 November 2026, 11:00 UTC+3"
    ) == said(Happened(ROW))
    assert ("Удалён: «Ёж & <b>Co</b>» (1101000001, MAX, BUSINESS, аккаунт north)\n26 ноября 2026, 11:00 UTC+3") == said(
        Happened(ROW), Language.RU
    )
    observed = {**ROW, "transition": "renewed", "time_source": "observed", "name": ""}
    assert (
        "Paid for again: an instance without a name (1101000001, MAX, BUSINESS, account north)\n"
        "until 29 November 2026, 12:00 UTC+3\nseen 26 November 2026, 11:00 UTC+3"
    ) == said(Happened(observed))
    assert (
        "Needs attention: did not renew at the last 00:00 UTC+3\n“Ёж” (1101000001, account north)\n"
        "since 26 November 2026, 12:00 UTC+3"
    ) == said(Noticed(ATTENTION, NOW))
    assert said(Noticed(ATTENTION, NOW, has_come=False)).startswith("No longer needs attention: did not renew")
    assert said(DIGEST) == (
        "Summary, 26 November 2026, 12:00 UTC+3\nDeleted: 5: Ёж, 1102, x, …\nExpired: 1\n\n"
        "Needs attention now\nDid not renew at the last 00:00 UTC+3 (money is lost): 2"
    )
    assert said(DIGEST._replace(transitions={}, names={}, attention=None)).endswith("\nNothing happened.")


@pytest.mark.parametrize("word", Transition)
@pytest.mark.parametrize("language", Language)
def test_every_transition_has_its_words(word: Transition, language: Language) -> None:
    assert said(Happened({**ROW, "transition": str(word)}), language)
    assert said(DIGEST._replace(transitions={word: 1}, names={}), language)


@pytest.mark.parametrize(
    "reason",
    ["expired_not_deleted", "not_renewed", "expiring_soon", "vanished", "lived_under_a_day", "claimed_twice"],
)
def test_every_reason_for_attention_has_its_words(reason: str) -> None:
    assert said(Noticed({**ATTENTION, "reason": reason}, NOW))
    assert said(DIGEST._replace(attention={(2, reason): 1}))


def test_slack_is_told_no_markup_and_telegram_its_parameters() -> None:
    slack = Receiver("chat", Format.SLACK)
    telegram = Receiver("bot", Format.TELEGRAM)

    message = message_of(slack, Address(URL), Happened(ROW), "e", NOW)
    assert "“Ёж &amp; &lt;b&gt;Co&lt;/b&gt;”" in json.loads(message.body)["text"]
    assert {"content-type": "application/json"} == message.headers
    document = json.loads(message_of(telegram, Address(URL, (), {"chat_id": "-1"}), Happened(ROW), "e", NOW).body)
    assert ("-1", said(Happened(ROW))) == (document["chat_id"], document["text"].replace("\u00a0", " "))


def test_no_text_is_longer_than_a_chat_takes() -> None:
    names = {word: ["🐘" * 5000] * 3 for word in Transition}
    text = said(DIGEST._replace(transitions=dict.fromkeys(Transition, 9), names=names))

    assert 4000 <= len(text.encode("utf-16-le")) // 2 <= 4096
    assert text.endswith("…")
