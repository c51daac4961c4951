"""No spelling of a secret survives, whatever logs it."""

import base64
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from canary import PARTNER_TOKEN, WEIRD_PARTNER_TOKEN, api_token, find_secrets

from syncer.scrub import Scrubber, is_secret_value, looks_secret, passwords_in, secrets_of, shown
from syncer.settings.logs import LogFormat, ScrubbedStream, start_logging

SPELLINGS = {
    "raw": WEIRD_PARTNER_TOKEN,
    "percent": quote(WEIRD_PARTNER_TOKEN, safe=""),
    "percent, slash kept": quote(WEIRD_PARTNER_TOKEN),
    "percent, lower case": quote(WEIRD_PARTNER_TOKEN, safe="").replace("%2F", "%2f").replace("%C3%B6", "%c3%b6"),
    "percent, twice": quote(quote(WEIRD_PARTNER_TOKEN, safe=""), safe=""),
    "percent, in full": "".join(f"%{byte:02X}" for byte in WEIRD_PARTNER_TOKEN.encode()),
    "JSON": json.dumps(WEIRD_PARTNER_TOKEN)[1:-1],
    "JSON, slash escaped": json.dumps(WEIRD_PARTNER_TOKEN)[1:-1].replace("/", "\\/"),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_of_a_secret_is_removed(spelling: str) -> None:
    assert Scrubber([WEIRD_PARTNER_TOKEN])(f"before {spelling} after") == "before [removed] after"


def broken_by(between: str) -> Callable[[str], str]:
    return lambda token: between.join(token[at : at + 7] for at in range(0, len(token), 7))


WRITTEN: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "base64": lambda token: base64.b64encode(token.encode()).decode(),
    "base64 behind one byte": lambda token: base64.b64encode(b":" + token.encode()).decode(),
    "base64 behind two bytes": lambda token: base64.b64encode(b"u:" + token.encode()).decode(),
    "base64 for URLs, in a path": lambda token: f"/a/{base64.urlsafe_b64encode(token.encode()).decode()}/b",
    "base64 in lines": lambda token: base64.encodebytes(b"Authorization " * 9 + token.encode()).decode(),
    "hex": lambda token: token.encode().hex(),
    "HTML's entity of the dot": lambda token: token.replace(".", "&#46;"),
    "HTML's entity of the dot in hex": lambda token: token.replace(".", "&#x2E;"),
    "HTML's entity of the dot by name": lambda token: token.replace(".", "&period;"),
    "HTML's entities, twice": lambda token: token.replace(".", "&amp;#46;"),
    "newlines": broken_by("\n"),
    "newlines in JSON": lambda token: json.dumps(broken_by("\r\n  ")(token)),
    "spaces": broken_by(" "),
    "no-break spaces": broken_by("\u00a0"),
    "where a line may break": broken_by("<wbr>"),
    "zero-width spaces": broken_by("\u200b"),
    "zero-width joiners in JSON": lambda token: json.dumps(broken_by("\u200d")(token)),
    "soft hyphens": broken_by("\u00ad"),
    "soft hyphens by name": broken_by("&shy;"),
    "a byte-order mark": broken_by("\ufeff"),
    "signs in place of what cannot be stored": broken_by("\ufffd"),
    "NUL": broken_by("\0"),
    "code points that have no sign": broken_by("\ufff0\ufff8\ufffc\ufdd0\uffff"),
    "blanks of Braille": broken_by("\u2800"),
    "signs of shorthand and of music": broken_by("\U0001bca0\U0001d17a"),
    "lines of a shell": broken_by("\\\n"),
    "reversed": lambda token: token[::-1],
    "Python's escapes": lambda token: "".join(
        f"\\x{ord(letter):02x}" if letter.isascii() else letter for letter in token
    ),
    "bytes as Python shows them": lambda token: repr(token.encode()),
    "bytes as Python shows them, in Latin-1": lambda token: repr(token.encode("latin-1")),
    "bytes as Python shows them, in JSON": lambda token: json.dumps({"header": repr(token.encode())}),
    "JavaScript's escapes": lambda token: "".join(f"\\u{{{ord(letter):x}}}" for letter in token),
    "without its beginning": lambda token: token.removeprefix("gac."),
    "percent and JSON": lambda token: quote(json.dumps(token), safe=""),
}


@pytest.mark.parametrize("token", [PARTNER_TOKEN, WEIRD_PARTNER_TOKEN], ids=["usual", "weird"])
@pytest.mark.parametrize("writing", WRITTEN)
def test_a_token_is_removed_however_it_is_written(writing: str, token: str) -> None:
    scrubbed = Scrubber([token])(f"before {WRITTEN[writing](token)} after")

    assert scrubbed.startswith("before ")
    assert scrubbed.endswith(" after")
    assert "[removed]" in scrubbed
    assert find_secrets(scrubbed.encode()) == []


def test_only_the_token_is_removed() -> None:
    text = "%D0%B0 &amp; \\n gac%2E{} &lt;\u200b {} \u044f"
    token = PARTNER_TOKEN.removeprefix("gac.")

    assert Scrubber([PARTNER_TOKEN])(text.format(token, token[::-1])) == text.replace("gac%2E", "").format(
        *["[removed]"] * 2
    )


@pytest.mark.parametrize("secret", ["pass", "P4ss%", "<br>", "%41", "\u200b\u200b"])
def test_a_short_secret_is_removed_as_it_stands(secret: str) -> None:
    scrub = Scrubber([secret])

    assert scrub(f"a {secret} b") == "a [removed] b"
    assert scrub("a p ass is pa-ss, a PASS, a ssap") == "a p ass is pa-ss, a PASS, a ssap"


def test_letters_keep_their_places_when_case_is_left_out() -> None:
    """What is found without case is removed by its place."""
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode)]))
    text = every + PARTNER_TOKEN.upper()

    assert Scrubber([PARTNER_TOKEN])(text) == every + "[removed]"


@pytest.mark.parametrize(
    "text",
    ["%" * 65_000, "\\" * 65_000, "&" * 65_000, "\u200b" * 65_000],
    ids=["percent", "backslash", "ampersand", "invisible"],
)
def test_a_long_name_of_signs_costs_next_to_nothing(text: str) -> None:
    scrub = Scrubber([PARTNER_TOKEN])

    def seconds() -> float:
        began = time.process_time()
        scrub(text)
        return time.process_time() - began

    assert min(seconds() for _ in range(5)) < 0.01  # of CPU; it took a tenth of a second


@pytest.mark.parametrize(
    ("key", "value", "hidden"),
    [
        ("apiToken", "x", True),
        ("apiTokens", ["x"], True),
        ("password", {"value": "x"}, True),
        ("pin_secret", 123456, True),
        ("api-key", "x", True),
        ("Authorization", "x", True),
        ("token", "", False),
        ("token", None, False),
        ("tokenKnown", True, False),
        ("tokens", [], False),
        ("name", "x", False),
    ],
)
def test_what_stands_under_a_secret_key_is_not_kept(key: str, value: object, hidden: bool) -> None:
    assert hidden == is_secret_value(key, value)


@pytest.mark.parametrize(
    "text",
    [
        f"token {api_token(1)}",
        f"token {api_token(1).upper()}",
        f"token {api_token(1)[:25]}\n{api_token(1)[25:]}",
        f"token {api_token(1)[:25]}\u200b{api_token(1)[25:]}",
        "https://h/partner%2FgetInstances%2Funknown",
        "GAC." + "0D" * 23,
        base64.b64encode(b"gac." + b"0d" * 23).decode(),
        f"pre{api_token(1)}post",
        f"shop{api_token(1)}x",
        f'{{"apiTokenInstance": "short"}} {api_token(2)}',
        f"https://h/partner/getInstances/{quote('unknown token')}",
        f"gac.{'0d' * 23}",
        "1" * 50,
        f"https://h/partner/getInstances/{'1' * 60}",
    ],
)
def test_what_is_shaped_like_a_token_is_removed_though_nobody_named_it(text: str) -> None:
    scrubbed = Scrubber()(text)

    assert "[removed]" in scrubbed
    assert find_secrets(scrubbed.encode()) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "run finished",
        "apiTokenInstance is not a string",
        "9" * 51,
        "9" * 45,
        " ".join(["1101000001"] * 5),
        "[removed]",
        "100 % of C:\\new\\table & <br> more, much more",
        "https://api.green-api.com/partner/getInstances/{partnerToken}",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert text == Scrubber([PARTNER_TOKEN])(text)


def test_a_rotated_token_is_learnt() -> None:
    scrub = Scrubber([PARTNER_TOKEN])
    scrub.learn("the new token")

    assert scrub("x the new token y") == "x [removed] y"


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_no_logger_writes_a_secret(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    start_logging(log_format, "debug", Scrubber([WEIRD_PARTNER_TOKEN]))
    try:
        raise ValueError(f"a library says {SPELLINGS['percent']}")  # noqa: TRY301 - its traceback is what is tested
    except ValueError:
        logging.getLogger("some.library").exception(
            "GET %s", WEIRD_PARTNER_TOKEN, extra={"fields": {"url": SPELLINGS["percent"]}}
        )

    written = capsys.readouterr().err
    assert "Traceback" in written
    assert find_secrets(written.encode()) == []
    if log_format is LogFormat.JSON:
        assert json.loads(written)["level"] == "error"
    assert sys.stderr is not None


def test_what_removes_secrets_does_not_show_them() -> None:
    assert PARTNER_TOKEN not in repr(Scrubber([PARTNER_TOKEN]))


def test_the_fingerprint_of_the_secrets_is_the_same_in_any_order() -> None:
    one, other = "an-owner-token-of-1", "another-owner-token"

    assert Scrubber([one, other]).fingerprint() == Scrubber([other, one]).fingerprint() != Scrubber([one]).fingerprint()


def test_nothing_gets_out_by_a_scrubbed_stream(tmp_path: Path) -> None:
    scrub = Scrubber()
    scrub.learn_misplaced(WEIRD_PARTNER_TOKEN, "innocent")
    with (tmp_path / "errors").open("w", encoding="utf-8") as file:
        stream = ScrubbedStream(file, scrub)
        print("no such file:", PARTNER_TOKEN, WEIRD_PARTNER_TOKEN, "innocent", file=stream)
        stream.writelines([api_token(1)])
        stream.flush()

    assert (tmp_path / "errors").read_text() == "no such file: [removed] what looks like a token innocent\n[removed]"


@pytest.mark.parametrize("variable", ["SYNCER_DATABASE_URL", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("address", ["postgresql://u:pass%20w@h/d", "u:pass%20w@h:3128", "http://u:pass%20w@h"])
def test_the_environments_passwords_are_known_before_any_setting_is_read(variable: str, address: str) -> None:
    assert secrets_of({variable: address}) == ["pass%20w", "pass w"]


def test_of_a_password_with_a_sign_every_part_is_known() -> None:
    assert passwords_in("postgresql://u:hunter2@secret@host/db") == ["hunter2@secret", "hunter2", "secret"]
    assert passwords_in("sqlite:///a:b") == passwords_in("https://host/a@b") == []


def test_a_short_secret_with_a_known_beginning_is_removed_too() -> None:
    assert "[removed]" in Scrubber(["gac.abcdef12"])("the token is gac.abcdef12")


def test_what_looks_like_a_token_is_not_shown() -> None:
    assert ("what looks like a token", "token.txt") == (shown(PARTNER_TOKEN), shown("token.txt"))
    assert ("what looks like a token", "/run/secrets/url") == (
        shown("https://hooks.example/a"),
        shown("/run/secrets/url"),
    )


BOT = f"123456789:AAH{'sEcr3t_' * 5}"


@pytest.mark.parametrize(
    "text",
    [
        BOT, f"bot{BOT}", f"/nonexist/{BOT}", f"api.telegram.org/bot{BOT}/sendMessage?chat_id=1",
        "api.telegram.org/bot1234:short", "hooks.slack.com/services/T0/B0/secret", "https:/hooks.slack.com/services/T0/B0",
        "https://hooks.example/a", "HTTPS://hooks.example/?key=a", "https://hooks.example?key", "--https://hooks.example/a",
        "/nonexist/https:/hooks.example/a", "postgresql://joe:pw@db/e", "/nonexist/postgresql://joe:pw@db/e",
        "/nonexist/postgresql:/joe:pw@db/e", "--postgresql://joe:pw@db/e", "sqlite:///postgresql://joe:pw@db/e",
        "host=db password=pw", "a\npassword = pw", f"x whsec_{'QkFzZTY0' * 4}", "whsec_short",
        base64.b64encode(b"abcdefghijklmnopqrstuvwx").decode(), base64.b64encode(bytes(range(0, 250, 9))).decode(),
        base64.b64encode(b"The secret of our CRM, 2026").decode(), "4kIRRqGM-x/9pXw_tq3Jm0ZbYc7Ls5Vd",
    ],
)  # fmt: skip
def test_what_could_be_a_secret_looks_like_one(text: str) -> None:
    assert looks_secret(text)
    assert shown(text) == "what looks like a token"


@pytest.mark.parametrize(
    "text",
    [
        "", "default", "0 9 * * *", "*/5 6-22 * * 1-5", "@daily", "1h30m", "12:30", "Europe/Moscow", "127.0.0.1:9464", "[::1]:9464",
        "2026-07-01T10:00:00+03:00", "20260701", "1101000001", "north", "Магазин на диване", "partner@shop.example", "PARTNER_23",
        "GreenApiPartnerAccountMoscow2026Region77", "syncer_partner_account_of_the_north_1", "SYNCER_PARTNER_TOKEN_OF_THE_NORTH_2026",
        "/var/lib/syncer/syncer.db", "/run/secrets/hooks.slack.com", "/etc/syncer/api.telegram.org/bot.url", "sqlite:////var/lib/syncer.db",
        "Report_2026-07-01_of_Syncer_final_version", "/home/IvanPetrov/WorkFiles/GreenAPI2/Q1Report2026", "report 2026-07-01 12:30.html",
        "/srv/Shop1/Shop2/Shop3/Shop4/Shop5/Shop6", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "20260701T100000Z-Report-of-Syncer-for-Q3",
        "https://api.green-api.com", "https://7700.api.greenapi.com/", "http://127.0.0.1:8080", "me@work: notes", "password", "passwords.txt",
        "apiTokenInstance", "expired", "bi_billing_monthly", "12345678:30",
    ],
)  # fmt: skip
def test_ordinary_settings_and_arguments_look_like_no_secrets(text: str) -> None:
    assert not looks_secret(text)
