"""Flags, environment and `syncer.toml` to one frozen `Settings`, checked whole (CONTRACT 1).

Errors name the setting and never show a secret.

Over 300 lines: each setting is checked in one place, pairs of them included.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from click.core import ParameterSource
from sqlalchemy.engine import URL

from syncer.errors import ConfigurationError, nearest
from syncer.rules.schedule import Schedule, parse_duration, parse_schedule
from syncer.scrub import MISPLACED, SHORTEST_SECRET, Scrubber, looks_misplaced
from syncer.settings import forms
from syncer.settings.declared import CONFIG_FILE, PREFIX, SETTINGS
from syncer.settings.logs import LogFormat
from syncer.settings.options import DOCUMENT, PLACES, given
from syncer.settings.reading import parsed, read_secret_file, refuse_unknown
from syncer.settings.receivers import ReceiverSettings, Surroundings, receivers_of
from syncer.storage.database import parse_database_url
from syncer.storage.tokens import parse_key, spellings_of
from syncer.words.language import Language, language_of

NEARLY = 0.8  # of difflib's ratio: SYNCER_SHEDULE is a mistyped setting, SYNCER_PORT is somebody else's
ACCOUNT_KEYS = ("token_file", "token_env", "api_url", "schedule")


@dataclass(frozen=True)
class AccountSettings:
    """What is set of one account; `read_token` reads the secret anew each time: a rotated one needs no restart."""

    name: str
    api_url: str
    schedule: Schedule
    token_setting: str
    read_token: Callable[[], str] = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """Everything that can be set, checked."""

    database_url: URL
    reread_database_url: Callable[[], URL] | None = field(repr=False)
    upstream_offset: timedelta
    expiry_grace: timedelta
    guard_vanished: Fraction
    guard_changed: Fraction
    clock_tolerance: timedelta | None
    timeout: timedelta
    max_body: int
    log_format: LogFormat | None
    log_level: str
    language: Language
    listen: tuple[str, int] | None
    ping_url: str | None = field(repr=False)
    auto_migrate: bool
    token_key: bytes | None = field(repr=False)
    reread_token_key: Callable[[], bytes] | None = field(repr=False)
    accounts: tuple[AccountSettings, ...]
    expected: tuple[str, ...] = ()  # accounts that somebody named; the default's name says nothing
    receivers: tuple[ReceiverSettings, ...] = ()

    def secrets(self) -> list[str]:
        """What must appear in no output; what cannot be read is left out."""
        found = [self.database_url.password or "", self.ping_url or ""]
        found += [str(value) for name, value in self.database_url.query.items() if "password" in name]
        if self.token_key is not None:
            found += spellings_of(self.token_key)
        for configured in self.accounts:
            with suppress(ConfigurationError):
                found.append(configured.read_token())
        for receiver in self.receivers:
            with suppress(ConfigurationError):
                found += receiver.read_address().secrets()
        return [secret for secret in found if len(secret) >= SHORTEST_SECRET]

    def scrubber(self) -> Scrubber:
        """Removes every secret of these settings from text."""
        return Scrubber(self.secrets())


class _Sources:
    """Every setting's value where it was found first, and what the setting is called there."""

    def __init__(self, context: click.Context) -> None:
        self._given = {name: given(context, name) for name in SETTINGS}
        self.environment = dict(os.environ)

    def get(self, name: str) -> tuple[str, str | None]:
        """What the setting is called where it was found, and its text; None when it is set nowhere."""
        found = self._given[name]
        if found is None:
            return SETTINGS[name].variable, None
        value = str(found.value).lower() if isinstance(found.value, bool) else found.value
        if not isinstance(value, str | int):
            raise ConfigurationError(f"{found.called}: it must be a string")
        return found.called, str(value)

    def secret(self, name: str) -> tuple[str, Callable[[], str]] | None:
        """How to read a secret that may stand in the setting itself or in a file; None when it is set nowhere."""
        direct, by_file = self._given[name], self._given[f"{name}_file"]
        if direct is not None and by_file is not None and direct.place == by_file.place:
            raise ConfigurationError(f"{direct.called}: it is set together with {by_file.called}; keep one")
        if by_file is not None and self.is_in_file(name):
            called, path = by_file.called, Path(str(by_file.value))
            return called, lambda: read_secret_file(called, path)
        if direct is None:
            return None
        text = str(direct.value)
        return direct.called, lambda: text

    def is_in_file(self, name: str) -> bool:
        """Whether a secret is read from a file, which may change."""
        direct, by_file = self._given[name], self._given[f"{name}_file"]
        return by_file is not None and (direct is None or by_file.place < direct.place)

    def is_set(self, name: str) -> bool:
        """Whether somebody set it; a default is nobody's word."""
        found = self._given[name]
        return found is not None and PLACES[found.place] is not ParameterSource.DEFAULT

    def read(self, name: str, parse: Callable[[str], Any], *, is_told_blindly: bool = False) -> Any:
        """The setting, parsed; a `ValueError` of `parse` becomes the message, which may show none of it at all."""
        called, text = self.get(name)
        return None if text is None else parsed(called, parse, text.strip(), is_told_blindly=is_told_blindly)


def settings_of(context: click.Context) -> Settings:
    """Check every setting that a command was given.

    Raises `ConfigurationError`. Partner tokens are not read yet: commands that call the upstream do, by `check_tokens`.
    """
    document = context.meta[DOCUMENT]
    sources = _Sources(context)
    _refuse_mistyped(sources.environment, document)
    zone = sources.read("timezone", forms.parse_zone)
    read_token_key = _token_key_reader(sources)
    accounts = _accounts(sources, document.get("accounts"), zone)
    language = sources.read("lang", forms.parse_language) or language_of(sources.environment)
    around = Surroundings(sources.environment, tuple(account.name for account in accounts), zone, language)
    return Settings(
        database_url=_database_url(sources),
        reread_database_url=(lambda: _database_url(sources)) if sources.is_in_file("database_url") else None,
        upstream_offset=sources.read("upstream_offset", forms.parse_offset),
        expiry_grace=sources.read("expiry_grace", forms.parse_grace),
        guard_vanished=sources.read("guard_vanished", forms.parse_share),
        guard_changed=sources.read("guard_changed", forms.parse_share),
        clock_tolerance=sources.read("clock_tolerance", forms.parse_tolerance),
        timeout=sources.read("timeout", parse_duration),
        max_body=sources.read("max_body", forms.parse_size),
        log_format=sources.read("log_format", forms.parse_log_format),
        log_level=sources.read("log_level", forms.parse_log_level),
        language=language,
        listen=sources.read("listen", forms.parse_listen),
        ping_url=sources.read("ping_url", forms.parse_ping_url, is_told_blindly=True),
        auto_migrate=sources.read("auto_migrate", forms.parse_switch),
        token_key=read_token_key() if read_token_key else None,
        reread_token_key=read_token_key if sources.is_in_file("token_key") else None,
        accounts=accounts,
        expected=tuple(one.name for one in accounts) if _are_named(sources, document) else (),
        receivers=receivers_of(document.get("receivers"), around),
    )


def _database_url(sources: _Sources) -> URL:
    called, read = sources.secret("database_url") or ("SYNCER_DATABASE_URL", _not_set)
    return parse_database_url(read().strip(), called)


def _token_key_reader(sources: _Sources) -> Callable[[], bytes] | None:
    secret = sources.secret("token_key")
    return secret and (lambda: parse_key(secret[1]().strip()))


def check_tokens(settings: Settings) -> None:
    """Read every partner token once; raises `ConfigurationError` for a missing, malformed or repeated one."""
    owners: dict[str, str] = {}
    for configured in settings.accounts:
        token = configured.read_token()
        if token in owners:
            raise ConfigurationError(
                f"{configured.token_setting}: account {configured.name!r} has the same token "
                f"as account {owners[token]!r}; one account has one token"
            )
        owners[token] = configured.name


def read_document(config_file: Path | None, folder: Path) -> dict[str, Any]:
    """The file of settings; empty where there is none and none was named."""
    path = config_file or folder / CONFIG_FILE
    if config_file is None and not path.exists():
        return {}
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        problem = f"{error.strerror or type(error).__name__}; correct the path"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = f"it is not TOML: {error}; correct it there"
    else:
        refuse_unknown(document, [*SETTINGS, "accounts", "receivers"], str(path))
        return document
    raise ConfigurationError(f"--config: reading {path}: {problem}")


def _refuse_mistyped(environment: Mapping[str, str], document: Mapping[str, Any]) -> None:
    """A variable that is nearly a setting; others may be anybody's, as those are that Kubernetes makes of a service."""
    named = {
        table.get(key)
        for kind, key in (("accounts", "token_env"), ("receivers", "url_env"))
        if isinstance(document.get(kind), dict)
        for table in document[kind].values()
        if isinstance(table, dict) and isinstance(table.get(key), str)
    }
    for variable in sorted(unknown_variables(environment) - named):
        near = nearest(variable.removeprefix(PREFIX).lower(), SETTINGS, NEARLY)
        if near:
            raise ConfigurationError(
                f"{variable}: there is no such setting; did you mean {SETTINGS[near].variable}? If not, unset it"
            )


def unknown_variables(environment: Mapping[str, str]) -> set[str]:
    """Variables that look like settings of syncer and are none."""
    known = {setting.variable for setting in SETTINGS.values()}
    return {name for name in environment if name.startswith(PREFIX)} - known


def _accounts(sources: _Sources, tables: object, zone: ZoneInfo) -> tuple[AccountSettings, ...]:
    api_url: str = sources.read("api_url", forms.parse_api_url, is_told_blindly=True)
    schedule: Schedule = sources.read("schedule", lambda text: parse_schedule(text, zone))
    if tables is None:
        called, read = sources.secret("partner_token") or ("SYNCER_PARTNER_TOKEN", _not_set)
        name = sources.read("account", forms.parse_account_name)
        remedy = "set SYNCER_PARTNER_TOKEN, or write it into the file of SYNCER_PARTNER_TOKEN_FILE"
        return (AccountSettings(name, api_url, schedule, called, _token_reader(called, read, remedy)),)
    if not isinstance(tables, dict) or not tables or not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigurationError(f"accounts in {CONFIG_FILE}: write one table per account, [accounts.NAME]")
    found = []
    for name, table in tables.items():
        parsed(f"accounts in {CONFIG_FILE}", forms.parse_account_name, name)
        where = f"[accounts.{name}]"
        refuse_unknown(table, list(ACCOUNT_KEYS), where)
        if "token_file" in table and "token_env" in table:
            raise ConfigurationError(f"{where}: it has both token_file and token_env; keep one")
        if "token_file" not in table and "token_env" not in table:
            raise ConfigurationError(f"{where}: it needs either token_file or token_env")
        for key, value in table.items():
            if not isinstance(value, str):
                raise ConfigurationError(f"{key} in {where}: it must be a string")
        called = f"{'token_file' if 'token_file' in table else 'token_env'} in {where}"
        found.append(
            AccountSettings(
                name,
                parsed(f"api_url in {where}", forms.parse_api_url, table["api_url"], is_told_blindly=True)
                if "api_url" in table
                else api_url,
                parsed(f"schedule in {where}", lambda text: parse_schedule(text, zone), table["schedule"])
                if "schedule" in table
                else schedule,
                called,
                _account_token(called, table, sources.environment),
            )
        )
    return tuple(found)


def _are_named(sources: _Sources, document: Mapping[str, Any]) -> bool:
    return "accounts" in document or sources.is_set("account")


def _account_token(called: str, table: Mapping[str, str], environment: Mapping[str, str]) -> Callable[[], str]:
    if "token_file" in table:
        path = Path(table["token_file"])
        return _token_reader(called, lambda: read_secret_file(called, path), f"write it into {path}")
    variable = table["token_env"]
    if looks_misplaced(variable):
        raise ConfigurationError(
            f"{called}: it is {MISPLACED}; write that into a variable, and give the variable's name here"
        )
    return _token_reader(called, lambda: environment.get(variable, ""), f"set the variable {variable}")


def _not_set() -> str:
    return ""


def _token_reader(called: str, read: Callable[[], str], remedy: str) -> Callable[[], str]:
    """What reads a token and refuses what is none; `remedy` is told where there is nothing."""

    def read_token() -> str:
        token = read().strip()
        if not token:
            raise ConfigurationError(f"{called}: no partner token is set; {remedy}")
        if any(character.isspace() or not character.isprintable() for character in token):
            raise ConfigurationError(f"{called}: white space or a control character is inside the token; copy it again")
        if not token.strip("."):
            raise ConfigurationError(f"{called}: it is no token; copy it again")
        return token

    return read_token
