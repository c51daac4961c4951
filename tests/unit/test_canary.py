"""The search for secrets finds every spelling, so that its silence means something."""

import base64
import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from canary import DATABASE_PASSWORD, PARTNER_TOKEN, WEIRD_PARTNER_TOKEN, api_token, find_secrets

CANARIES = {
    "partner token": PARTNER_TOKEN,
    "weird partner token": WEIRD_PARTNER_TOKEN,
    "instance token": api_token(1101000001),
    "database password": DATABASE_PASSWORD,
}


def in_full(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


ENCODINGS: dict[str, tuple[str, Callable[[str], str]]] = {
    "raw": ("raw", str),
    "percent": ("percent-encoded", lambda token: quote(token, safe="")),
    "percent, slash kept": ("percent-encoded", quote),
    "percent, lower case": (
        "percent-encoded in lower case",
        lambda token: re.sub(r"%..", lambda found: found[0].lower(), quote(token, safe="")),
    ),
    "percent, in full": ("percent-encoded in full", in_full),
    "percent, in full, lower case": ("percent-encoded in full", lambda token: in_full(token).lower()),
    "JSON": ("JSON-escaped", json.dumps),
    "JSON, slash escaped": ("JSON-escaped", lambda token: json.dumps(token).replace("/", "\\/")),
    "JSON, in full": ("JSON-escaped", lambda token: "".join(f"\\u{ord(letter):04x}" for letter in token)),
    "base64": ("base64", lambda token: base64.b64encode(token.encode()).decode()),
    "base64 after one byte": ("base64", lambda token: base64.b64encode(b":" + token.encode()).decode()),
    "base64 after two bytes": ("base64", lambda token: base64.b64encode(b"u:" + token.encode()).decode()),
    "base64 for URLs": ("base64", lambda token: base64.urlsafe_b64encode(token.encode()).decode()),
    "hex": ("hex", lambda token: token.encode().hex()),
    "hex in upper case": ("hex", lambda token: token.encode().hex().upper()),
    "reversed": ("reversed", lambda token: token[::-1]),
}


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("spelling", ENCODINGS)
def test_every_canary_is_found_in_every_encoding_and_the_encoding_is_named(canary: str, spelling: str) -> None:
    encoding, encode = ENCODINGS[spelling]
    written = encode(CANARIES[canary])
    plain = CANARIES[canary][:14] in written

    assert f"{canary}, {'raw' if plain else encoding}" in find_secrets(f"before {written} after".encode())


@pytest.mark.parametrize(
    "written",
    [
        quote(quote(WEIRD_PARTNER_TOKEN, safe=""), safe=""),
        quote(WEIRD_PARTNER_TOKEN, safe="").replace("%2F", "%2f"),
        repr(WEIRD_PARTNER_TOKEN.encode()).replace("/", "\\x2f"),
        WEIRD_PARTNER_TOKEN.upper(),
        api_token(1).upper(),
        PARTNER_TOKEN.replace(".", "&#46;"),
        PARTNER_TOKEN.replace(".", "&amp;#x2E;"),
        PARTNER_TOKEN.replace("5", "5\n"),
        json.dumps(PARTNER_TOKEN.replace("5", "5\r\n")),
        PARTNER_TOKEN.replace("5", "5\u200b"),
        json.dumps(PARTNER_TOKEN.replace("5", "5\u200b")),
        PARTNER_TOKEN.replace("5", "5\u00ad"),
        PARTNER_TOKEN.replace("5", "5<wbr>"),
        PARTNER_TOKEN.removeprefix("gac."),
    ],
    ids=[
        "percent twice",
        "percent in both cases",
        "Python's escapes",
        "upper case",
        "upper-case hex digits",
        "HTML",
        "HTML twice",
        "newlines",
        "newlines in JSON",
        "zero-width spaces",
        "zero-width spaces in JSON",
        "soft hyphens",
        "where a line may break",
        "without its beginning",
    ],
)
def test_a_mixed_spelling_is_found(written: str) -> None:
    assert len(find_secrets(written.encode())) == 1


@pytest.mark.parametrize("canary", [PARTNER_TOKEN, WEIRD_PARTNER_TOKEN, api_token(7)])
def test_a_canary_that_was_cut_is_found(canary: str) -> None:
    assert len(find_secrets(canary[:20].encode())) == 1


def test_it_is_found_between_bytes_that_are_no_text() -> None:
    assert find_secrets(b"\x00\xff" * 5000 + api_token(7).encode() + b"\xfe\x00") == ["instance token, raw"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{partnerToken}",
        "[removed]",
        "100% of gac.",
        "gac." + "a" * 46,
        "https://api.green-api.com/partner/getInstances/%7BpartnerToken%7D",
    ],
)
def test_other_text_holds_no_secret(text: str) -> None:
    assert find_secrets(text.encode()) == []


def test_the_tokens_have_the_forms_of_the_upstream() -> None:
    assert re.fullmatch(r"gac\.[0-9a-f]{46}", PARTNER_TOKEN)
    assert re.fullmatch(r"[0-9a-f]{50}", api_token(1101000001))


def test_instance_tokens_differ_by_instance_and_generation() -> None:
    assert len({api_token(1), api_token(2), api_token(1, 1), api_token(2, 1)}) == 4
