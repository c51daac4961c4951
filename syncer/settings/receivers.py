"""`[receivers.NAME]` of `syncer.toml` to checked values; its secrets are read anew at each use (CONTRACT 9)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from syncer.errors import ConfigurationError, did_you_mean
from syncer.model import Transition
from syncer.receivers.receiver import TOLD_BY_DEFAULT, Address, Format, Receiver
from syncer.receivers.standard import parse_secret
from syncer.rules.schedule import Cron, parse_schedule
from syncer.scrub import MISPLACED, looks_misplaced, looks_secret
from syncer.settings import forms
from syncer.settings.declared import CONFIG_FILE
from syncer.settings.reading import parsed, read_secret_file, refuse_unknown
from syncer.words.language import Language

RECEIVER_KEYS = (
    "url_file", "url_env", "format", "secret_file", "transitions", "accounts", "attention", "digest",
)  # fmt: skip
MOST_SECRETS = 2  # the new one and the old one, during a rotation


@dataclass(frozen=True)
class ReceiverSettings:
    """One receiver; `read_address` reads its secrets anew each time, so that new ones need no restart."""

    receiver: Receiver
    read_address: Callable[[], Address] = field(repr=False)
    url_setting: str
    files: tuple[tuple[str, Path], ...]

    @property
    def name(self) -> str:
        """What it is called everywhere."""
        return self.receiver.name


class Surroundings(NamedTuple):
    """What the tables of receivers are read beside: variables, the accounts that there are, a zone and a language."""

    environment: Mapping[str, str]
    accounts: tuple[str, ...]
    zone: ZoneInfo
    language: Language


def receivers_of(tables: object, around: Surroundings) -> tuple[ReceiverSettings, ...]:
    """Every receiver in the order of the file; no secret is read yet. Raises `ConfigurationError`."""
    if tables is None:
        return ()
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigurationError(f"receivers in {CONFIG_FILE}: write one table per receiver, [receivers.NAME]")
    return tuple(_receiver(name, table, around) for name, table in tables.items())


def check_receivers(receivers: tuple[ReceiverSettings, ...]) -> None:
    """Read every address and secret once; raises `ConfigurationError`."""
    for one in receivers:
        one.read_address()


def _receiver(name: str, table: Mapping[str, Any], around: Surroundings) -> ReceiverSettings:
    parsed(f"receivers in {CONFIG_FILE}", forms.parse_account_name, name)
    where = f"[receivers.{name}]"
    refuse_unknown(table, list(RECEIVER_KEYS), where)
    if ("url_file" in table) == ("url_env" in table):
        told = "it has both url_file and url_env; keep one" if "url_file" in table else "it needs url_file or url_env"
        raise ConfigurationError(f"{where}: {told}")
    kind = parsed(f"format in {where}", _format, _text(table, "format", where, Format.STANDARD))
    if (kind is Format.STANDARD) != ("secret_file" in table):
        told = "needs secret_file: receivers check by it that a message is syncer's"
        told = told if kind is Format.STANDARD else f"is {kind}, which signs nothing; take secret_file out"
        raise ConfigurationError(f"{where}: its format {told}")
    attention = table.get("attention", False)
    if not isinstance(attention, bool):
        raise ConfigurationError(f"attention in {where}: it must be true or false")
    receiver = Receiver(
        name=name,
        format=kind,
        transitions=_transitions(table, where),
        accounts=_accounts(table, where, around.accounts),
        wants_attention=attention,
        digest=_digest(table, where, around.zone),
        language=around.language,
    )
    files = tuple((f"{key} in {where}", Path(table[key])) for key in ("url_file", "secret_file") if key in table)
    url_setting = f"{'url_file' if 'url_file' in table else 'url_env'} in {where}"
    return ReceiverSettings(receiver, _address_reader(kind, url_setting, table, where, around), url_setting, files)


def _address_reader(
    kind: Format, url_setting: str, table: Mapping[str, Any], where: str, around: Surroundings
) -> Callable[[], Address]:
    place = _text(table, url_setting.partition(" ")[0], where)
    if "url_env" in table and looks_misplaced(place):
        raise ConfigurationError(
            f"{url_setting}: it is {MISPLACED}; write that into a variable, and give the variable's name here"
        )
    secret_setting, secret_place = f"secret_file in {where}", _text(table, "secret_file", where, "")

    def read_address() -> Address:
        is_variable = "url_env" in table
        text = around.environment.get(place, "") if is_variable else read_secret_file(url_setting, Path(place))
        if not text.strip():
            remedy = f"set the variable {place}" if is_variable else "write it into that file"
            raise ConfigurationError(f"{url_setting}: there is no address; {remedy}")
        url = parsed(url_setting, parse_url, text.strip(), is_told_blindly=True)
        keys = _keys(secret_setting, read_secret_file(secret_setting, Path(secret_place))) if secret_place else ()
        if kind is Format.TELEGRAM:
            bot: Address = parsed(url_setting, _telegram, url, is_told_blindly=True)
            return bot
        return Address(url, keys)

    return read_address


def parse_url(text: str) -> str:
    """An address that may be posted to; raises `ValueError` that shows nothing of it."""
    _address, fault = forms.split_address(text)
    if fault is forms.AddressFault.NO_ADDRESS:
        raise ValueError("it holds no address such as https://crm.example/hooks/syncer")
    if fault is forms.AddressFault.NAMES_A_USER:
        raise ValueError("the address must not hold a user or password; messages are signed instead")
    if fault is forms.AddressFault.UNENCRYPTED:
        raise ValueError("plain http:// would send messages unencrypted; use https:// (http is for loopback only)")
    return text


def _telegram(url: str) -> Address:
    """What a bot is reached by; raises `ValueError` that shows nothing of it."""
    address = urlsplit(url)
    parameters = dict(parse_qsl(address.query))
    if not address.path.endswith("/sendMessage") or not parameters.get("chat_id"):
        raise ValueError(
            "it holds no address of Telegram such as https://api.telegram.org/bot<token>/sendMessage?chat_id=<chat>"
        )
    return Address(address._replace(query="", fragment="").geturl(), (), parameters)


def _keys(called: str, text: str) -> tuple[bytes, ...]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not 1 <= len(lines) <= MOST_SECRETS:
        raise ConfigurationError(
            f"{called}: it has {len(lines)} secrets; write one a line, a second one during a rotation alone"
        )
    return tuple(parsed(called, parse_secret, line) for line in lines)


def _text(table: Mapping[str, Any], key: str, where: str, otherwise: str | None = None) -> str:
    value = table.get(key, otherwise)
    if not isinstance(value, str):
        raise ConfigurationError(f"{key} in {where}: it must be a string")
    return value


def _words(table: Mapping[str, Any], key: str, where: str) -> list[str] | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
        raise ConfigurationError(f'{key} in {where}: it must be a list of strings such as ["deleted"]')
    return value


def _format(text: str) -> Format:
    if text not in set(Format):
        raise ValueError(f"it is none of {', '.join(Format)}")
    return Format(text)


def _transitions(table: Mapping[str, Any], where: str) -> frozenset[Transition]:
    words = _words(table, "transitions", where)
    known = [str(word) for word in Transition]
    for word in words or ():
        if word not in known:
            if looks_secret(word):
                raise ConfigurationError(f"transitions in {where}: it holds {MISPLACED}; name transitions")
            raise ConfigurationError(
                f"transitions in {where}: there is no transition {word!r}; {did_you_mean(word, known)}"
            )
    return TOLD_BY_DEFAULT if words is None else frozenset(map(Transition, words))


def _accounts(table: Mapping[str, Any], where: str, known: tuple[str, ...]) -> frozenset[str] | None:
    words = _words(table, "accounts", where)
    for word in words or ():
        if word not in known:
            if looks_secret(word):
                raise ConfigurationError(f"accounts in {where}: it holds {MISPLACED}; name accounts")
            raise ConfigurationError(f"accounts in {where}: there is no account {word!r}; {did_you_mean(word, known)}")
    return None if words is None else frozenset(words)


def _digest(table: Mapping[str, Any], where: str, zone: ZoneInfo) -> Cron | None:
    if "digest" not in table:
        return None

    def parse(text: str) -> Cron:
        schedule = parse_schedule(text, zone)
        if isinstance(schedule, Cron):
            return schedule
        raise ValueError("it is no cron expression of five fields such as 0 9 * * *")

    cron: Cron = parsed(f"digest in {where}", parse, _text(table, "digest", where))
    return cron
