"""No spelling of a secret survives, whatever logs it."""

import json
import logging
import sys
from urllib.parse import quote

import pytest
from canary import PARTNER_TOKEN, WEIRD_PARTNER_TOKEN, api_token, find_secrets

from syncer.scrub import Scrubber
from syncer.settings.logs import LogFormat, start_logging

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


@pytest.mark.parametrize(
    "text",
    [
        f"token {api_token(1)}",
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
