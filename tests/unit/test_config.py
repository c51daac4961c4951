"""Settings: their order, their forms, and what is said of a wrong one (CONTRACT 1)."""

from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import loading
import pytest
from canary import PARTNER_TOKEN, find_secrets

from syncer.errors import ConfigurationError
from syncer.settings import config
from syncer.settings.config import Settings
from syncer.settings.declared import SETTINGS
from syncer.settings.forms import parse_api_url


def load(folder: Path, flags: dict[str, str | None] | None = None, **environment: str) -> Settings:
    return loading.load(flags or {}, {f"SYNCER_{name}": value for name, value in environment.items()}, None, folder)


def problem(folder: Path, flags: dict[str, str | None] | None = None, **environment: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        config.check_tokens(load(folder, flags, **environment))
    message = str(raised.value)
    assert find_secrets(message.encode()) == []
    assert "\n" not in message
    return message


def token_file(folder: Path, text: str = PARTNER_TOKEN, mode: int = 0o600) -> str:
    path = folder / "token.secret"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_setting_that_is_declared_is_read(tmp_path: Path, name: str) -> None:
    assert f"SYNCER_{name.upper()}" in problem(tmp_path, **{name.upper(): "\x01 nothing of the kind"})


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    settings = load(tmp_path)

    (account,) = settings.accounts
    assert (
        account.name,
        account.api_url,
        account.schedule.interval_seconds,
    ) == ("default", "https://api.green-api.com", 300)
    assert timedelta(hours=3) == settings.upstream_offset
    assert (timedelta(minutes=5), Fraction(5, 100)) == (settings.expiry_grace, settings.guard_vanished)
    assert (timedelta(seconds=180), 2**30, True) == (settings.timeout, settings.max_body, settings.auto_migrate)


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({}, "en"), ({"LANG": "ru_RU.UTF-8"}, "ru"), ({"LANG": "C.UTF-8"}, "en"), ({"LANG": "run"}, "en"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": "C"}, "en"), ({"LANG": "de_DE", "LC_MESSAGES": "ru"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "SYNCER_LANG": "en"}, "en"), ({"SYNCER_LANG": "RU"}, "ru"),
    ],
)  # fmt: skip
def test_the_language_is_the_settings_or_that_of_the_locale(
    tmp_path: Path, variables: dict[str, str], language: str
) -> None:
    assert language == loading.load({}, variables, None, tmp_path).language


def test_a_language_that_nobody_wrote_is_refused(tmp_path: Path) -> None:
    assert "SYNCER_LANG: it is none of en, ru" == problem(tmp_path, LANG="de")


def test_the_grace_alone_may_be_nothing(tmp_path: Path) -> None:
    assert timedelta() == load(tmp_path, EXPIRY_GRACE="0s").expiry_grace
    with pytest.raises(ConfigurationError, match="SYNCER_TIMEOUT"):
        load(tmp_path, TIMEOUT="0s")


def test_a_flag_goes_before_the_environment_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "syncer.toml").write_text('timeout = "3s"\nexpiry_grace = "3m"\nguard_vanished = "3%"\n')

    settings = load(tmp_path, {"timeout": "1s"}, TIMEOUT="2s", EXPIRY_GRACE="2m")

    assert (timedelta(seconds=1), timedelta(minutes=2), Fraction(3, 100)) == (
        settings.timeout,
        settings.expiry_grace,
        settings.guard_vanished,
    )


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_variable_that_is_blank_is_not_set(tmp_path: Path, blank: str) -> None:
    (tmp_path / "syncer.toml").write_text('timeout = "3s"\n')

    settings = load(tmp_path, TIMEOUT=blank, MAX_BODY=blank)

    assert (timedelta(seconds=3), 2**30) == (settings.timeout, settings.max_body)


@pytest.mark.parametrize("text", [f"  {PARTNER_TOKEN}\n", PARTNER_TOKEN, f"\t{PARTNER_TOKEN} \r\n"])
def test_white_space_around_the_token_is_stripped(tmp_path: Path, text: str) -> None:
    (by_value,) = load(tmp_path, PARTNER_TOKEN=text).accounts
    (by_file,) = load(tmp_path, PARTNER_TOKEN_FILE=token_file(tmp_path, text)).accounts

    assert (by_value.read_token(), by_file.read_token()) == (PARTNER_TOKEN, PARTNER_TOKEN)


def test_a_rotated_token_file_is_read_anew(tmp_path: Path) -> None:
    (account,) = load(tmp_path, PARTNER_TOKEN_FILE=token_file(tmp_path)).accounts
    token_file(tmp_path, "gac.another")

    assert account.read_token() == "gac.another"


def test_no_secret_is_in_the_repr_of_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, PARTNER_TOKEN=PARTNER_TOKEN, DATABASE_URL=f"postgresql://u:{PARTNER_TOKEN}@h/d")

    assert find_secrets(repr(settings).encode()) == []


def test_accounts_have_their_own_token_address_and_schedule(tmp_path: Path) -> None:
    (tmp_path / "syncer.toml").write_text(
        f"""
        schedule = "10m"
        [accounts.north]
        token_file = "{token_file(tmp_path)}"
        [accounts.south]
        token_env = "SOUTH_TOKEN"
        api_url = "https://7700.api.greenapi.com/"
        schedule = "1h"
        """
    )
    settings = loading.load({}, {"SOUTH_TOKEN": "gac.south"}, None, tmp_path)

    assert [(one.name, one.api_url, one.schedule.interval_seconds, one.read_token()) for one in settings.accounts] == [
        ("north", "https://api.green-api.com", 600, PARTNER_TOKEN),
        ("south", "https://7700.api.greenapi.com", 3600, "gac.south"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PARTNER_TOKEN", "", "SYNCER_PARTNER_TOKEN: no partner token is set"),
        ("PARTNER_TOKEN", f"{PARTNER_TOKEN[:9]} {PARTNER_TOKEN[9:]}", "SYNCER_PARTNER_TOKEN: white space"),
        ("PARTNER_TOKEN", f"{PARTNER_TOKEN}\x07x", "SYNCER_PARTNER_TOKEN: white space or a control"),
        ("PARTNER_TOKEN", "..", "SYNCER_PARTNER_TOKEN: it is no token"),
        (
            "PARTNER_TOKEN_FILE",
            "/nowhere/token",
            "SYNCER_PARTNER_TOKEN_FILE: reading the secret file /nowhere/token: No such file",
        ),
        ("API_URL", "http://api.green-api.com", "SYNCER_API_URL: plain http:// would send the token unencrypted"),
        ("API_URL", "ftp://x", "SYNCER_API_URL: it is no address"),
        ("API_URL", "https://", "SYNCER_API_URL: it is no address"),
        ("API_URL", "https://h:x", "SYNCER_API_URL: it is no address"),
        ("API_URL", "https://u:p@h", "SYNCER_API_URL: it must not hold a user"),
        ("API_URL", "https://h/partner/deleteInstanceAccount", "SYNCER_API_URL: give the host alone"),
        ("API_URL", "https://h/?x=", "SYNCER_API_URL: give the host alone"),
        ("DATABASE_URL", "mysql://h/d", "SYNCER_DATABASE_URL: it is no URL for SQLite or PostgreSQL"),
        ("DATABASE_URL", "sqlite://", "SYNCER_DATABASE_URL: an in-memory database forgets"),
        ("DATABASE_URL", "postgresql+asyncpg://h/d", "SYNCER_DATABASE_URL: syncer speaks psycopg 3"),
        ("SCHEDULE", "often", "SYNCER_SCHEDULE: 'often' is no duration"),
        ("SCHEDULE", "0 0 31 2 *", "SYNCER_SCHEDULE: '0 0 31 2 *' never fires"),
        ("TIMEZONE", "Mars/Olympus", "SYNCER_TIMEZONE: there is no time zone 'Mars/Olympus'"),
        ("TIMEZONE", "../etc", "SYNCER_TIMEZONE: there is no time zone"),
        ("UPSTREAM_OFFSET", "Moscow", "SYNCER_UPSTREAM_OFFSET: it is no offset such as"),
        ("EXPIRY_GRACE", "5", "SYNCER_EXPIRY_GRACE: '5' is no duration"),
        ("GUARD_VANISHED", "5", "SYNCER_GUARD_VANISHED: it is no share such as 5%"),
        ("GUARD_VANISHED", "101%", "SYNCER_GUARD_VANISHED: it is no share"),
        ("GUARD_VANISHED", "nan%", "SYNCER_GUARD_VANISHED: it is no share"),
        *(
            ("GUARD_VANISHED", text, "SYNCER_GUARD_VANISHED: it is no share")
            for text in ("1e-99999999%", "1_0%", "1/2%", "1/2", "+5%", "-0.5", "9" * 5000 + "%", "%", ".%", "5%%")
        ),
        ("GUARD_CHANGED", "1e-99999999%", "SYNCER_GUARD_CHANGED: it is no share"),
        ("ACCOUNT", "a\nb", "SYNCER_ACCOUNT: it is no name"),
        ("TOKEN_KEY", "abc", "SYNCER_TOKEN_KEY: it is no key of 32 bytes"),
        ("TIMEOUT", "0s", "SYNCER_TIMEOUT: '0s' is no duration"),
        ("MAX_BODY", "1TB", "SYNCER_MAX_BODY: it is no size"),
        ("LOG_FORMAT", "xml", "SYNCER_LOG_FORMAT: it is neither console nor json"),
        ("LOG_LEVEL", "loud", "SYNCER_LOG_LEVEL: it is none of"),
        ("LISTEN", "9464", "SYNCER_LISTEN: it is no host:port"),
        *(
            ("LISTEN", text, "SYNCER_LISTEN: it is no host:port")
            for text in (
                "http://127.0.0.1:80",
                "ho st:1",
                "127.0.0.1:65536",
                "127.0.0.1:" + "9" * 5000,
                ":80",
                "[]:80",
                "a..b:80",
                "[::1:80",
                "::g:80",
                "a@b:80",
            )
        ),
        *(
            ("PING_URL", text, "SYNCER_PING_URL: it is no http")
            for text in (
                "mailto:x",
                "https://h:65536/x",
                "https://h:x",
                "https://h/a b",
                "https://h/\x07",
                "https://[h/",
            )
        ),
        ("PING_URL", "https://u:p@h/x", "SYNCER_PING_URL: it must not hold a user"),
        ("AUTO_MIGRATE", "maybe", "SYNCER_AUTO_MIGRATE: it is neither true nor false"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, name: str, value: str, words: str) -> None:
    settings = {"PARTNER_TOKEN": PARTNER_TOKEN} if not name.startswith("PARTNER") else {}

    assert problem(tmp_path, **settings | {name: value}).startswith(words)


def test_a_token_and_a_token_file_together_are_refused(tmp_path: Path) -> None:
    said = problem(tmp_path, PARTNER_TOKEN=PARTNER_TOKEN, PARTNER_TOKEN_FILE=token_file(tmp_path))

    assert said == "SYNCER_PARTNER_TOKEN: it is set together with SYNCER_PARTNER_TOKEN_FILE; keep one"


def test_a_database_url_may_lie_in_a_file_as_it_may_hold_a_password(tmp_path: Path) -> None:
    path = token_file(tmp_path, "postgresql://syncer:pw@db/mirror\n")

    assert load(tmp_path, DATABASE_URL_FILE=path).database_url.database == "mirror"
    assert load(tmp_path, {"database_url": "sqlite:///x.db"}, DATABASE_URL_FILE=path).database_url.database == "x.db"
    assert "SYNCER_DATABASE_URL: it is set together with SYNCER_DATABASE_URL_FILE; keep one" == problem(
        tmp_path, DATABASE_URL="sqlite:///x.db", DATABASE_URL_FILE=path
    )


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("mysql://u:pw@h/d", 0o600, "it is no URL for SQLite or PostgreSQL"),
        ("", 0o600, "it is no URL for SQLite or PostgreSQL"),
        ("postgresql://h/d", 0o644, "everybody may read it; run: chmod 600"),
    ],
)
def test_a_wrong_file_with_a_database_url_is_named(tmp_path: Path, text: str, mode: int, words: str) -> None:
    said = problem(tmp_path, DATABASE_URL_FILE=token_file(tmp_path, text, mode))

    assert said.startswith("SYNCER_DATABASE_URL_FILE: ")
    assert words in said


def test_a_secret_file_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    path = token_file(tmp_path, mode=0o644)

    assert problem(tmp_path, PARTNER_TOKEN_FILE=path).endswith(f"everybody may read it; run: chmod 600 {path}")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("shedule = '5m'", "there is no such setting; did you mean schedule?"),
        ("timeout = ", "--config: reading"),
        ("timeout = [5]", "timeout in syncer.toml: it must be a string"),
        ("accounts = 5", "accounts in syncer.toml: write one table per account"),
        (
            "[accounts.a]\ntoken_fil = 'x'",
            "token_fil in [accounts.a]: there is no such setting; did you mean token_file?",
        ),
        ("[accounts.a]\n", "[accounts.a]: it needs either token_file or token_env"),
        ("[accounts.a]\ntoken_file='x'\ntoken_env='X'", "[accounts.a]: it has both token_file and token_env; keep one"),
        (
            "[accounts.a]\ntoken_env = 'NOT_SET'",
            "token_env in [accounts.a]: no partner token is set; set the variable NOT_SET",
        ),
        ("[accounts.a]\ntoken_env='X'\nschedule='x'", "schedule in [accounts.a]: 'x' is no duration"),
    ],
)
def test_a_wrong_file_is_said_in_one_line(tmp_path: Path, document: str, words: str) -> None:
    (tmp_path / "syncer.toml").write_text(document)

    assert words in problem(tmp_path)


def test_a_file_without_a_token_is_named_as_the_place_for_it(tmp_path: Path) -> None:
    path = token_file(tmp_path, "\n")
    (tmp_path / "syncer.toml").write_text(f"[accounts.a]\ntoken_file = '{path}'\n")

    assert f"token_file in [accounts.a]: no partner token is set; write it into {path}" == problem(tmp_path)


def test_two_accounts_with_one_token_are_refused(tmp_path: Path) -> None:
    path = token_file(tmp_path)
    (tmp_path / "syncer.toml").write_text(f"[accounts.a]\ntoken_file = '{path}'\n[accounts.b]\ntoken_file = '{path}'\n")

    assert "account 'b' has the same token as account 'a'" in problem(tmp_path)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:1", "http://127.9.9.9"])
def test_plain_http_is_good_for_loopback(address: str) -> None:
    assert address == parse_api_url(address + "/")


@pytest.mark.parametrize(
    ("text", "size"), [("1GiB", 2**30), ("500MB", 500_000_000), ("10 kB", 10_000), ("7", 7), ("3KiB", 3072)]
)
def test_sizes_have_units(tmp_path: Path, text: str, size: int) -> None:
    assert size == load(tmp_path, MAX_BODY=text).max_body


@pytest.mark.parametrize("text", ["2.5%", "0.025", "2.5 %"])
def test_a_share_is_a_percentage_or_a_fraction(tmp_path: Path, text: str) -> None:
    assert Fraction(25, 1000) == load(tmp_path, GUARD_VANISHED=text).guard_vanished


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5%", "1/20"), ("5 %", "1/20"), ("2.5%", "1/40"), ("0%", "0"), ("100%", "1"), ("0.05", "1/20"), (".5", "1/2"), ("1.0", "1"), ("0", "0")],
)  # fmt: skip
def test_a_share_is_a_percentage_or_a_decimal(tmp_path: Path, text: str, expected: str) -> None:
    assert Fraction(expected) == load(tmp_path, GUARD_VANISHED=text).guard_vanished


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)), ("0.0.0.0:0", ("0.0.0.0", 0)), ("localhost:80", ("localhost", 80)),
        ("[::1]:9464", ("::1", 9464)), ("[fe80::1%lo]:1", ("fe80::1%lo", 1)), ("my_pod-1.svc.:1", ("my_pod-1.svc.", 1)),
    ],
)  # fmt: skip
def test_a_place_to_listen_is_a_host_and_a_port(tmp_path: Path, text: str, expected: tuple[str, int]) -> None:
    assert expected == load(tmp_path, LISTEN=text).listen


@pytest.mark.parametrize("text", ["http://pings.internal:8080/up?create=1", "https://hc-ping.com/uuid"])
def test_a_ping_goes_to_any_address_that_can_be(tmp_path: Path, text: str) -> None:
    assert text == load(tmp_path, PING_URL=text).ping_url
