"""What a setting must look like, and what it comes to; each raises `ValueError` with words to follow its name."""

import re
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from fractions import Fraction
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from syncer.rules.schedule import parse_duration
from syncer.scrub import MISPLACED, looks_secret
from syncer.settings.logs import LEVELS, LogFormat
from syncer.words.language import Language

_SIZE = re.compile(r"([0-9]{1,15})\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)?")
_UNITS = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SHARE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(\s*%)?")
_HOST = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?")
_OFFSET = re.compile(r"([+-])([01][0-9]|2[0-3]):([0-5][0-9])")


def parse_grace(text: str) -> timedelta:
    """A duration, or none at all: `0s`."""
    return timedelta() if re.fullmatch("0[smhd]?", text.strip()) else parse_duration(text)


def parse_tolerance(text: str) -> timedelta | None:
    """A duration, or `off`: None."""
    return None if text.strip().lower() == "off" else parse_duration(text)


def parse_api_url(text: str) -> str:
    """The base address, without a slash at its end; nothing in it can name another method of the upstream."""
    address, fault = split_address(text)
    if fault is AddressFault.NO_ADDRESS:
        raise ValueError("it is no address such as https://api.green-api.com")
    if fault is AddressFault.NAMES_A_USER:
        raise ValueError("it must not hold a user or password")
    if address.path not in {"", "/"} or address.query or address.fragment or text.endswith(("?", "#")):
        raise ValueError("give the host alone, without path or query: syncer calls getInstances and nothing else")
    if fault is AddressFault.UNENCRYPTED:
        raise ValueError("plain http:// would send the token unencrypted; use https:// (http is for loopback only)")
    return text.rstrip("/")


class AddressFault(Enum):
    """Why nothing is sent to an address over HTTP; the first that is so."""

    NO_ADDRESS = "no address"
    NAMES_A_USER = "names a user"
    UNENCRYPTED = "unencrypted"  # but to this machine itself


def split_address(text: str) -> tuple[SplitResult, AddressFault | None]:
    """The parts of an address that something secret is sent to, and what is wrong with it."""
    try:
        address = urlsplit(text)
        host, _port = address.hostname or "", address.port
    except ValueError:
        address, host = urlsplit(""), ""
    if address.scheme not in {"http", "https"} or not host or any(c.isspace() or not c.isprintable() for c in text):
        return address, AddressFault.NO_ADDRESS
    if address.username is not None or address.password is not None:
        return address, AddressFault.NAMES_A_USER
    if address.scheme == "http" and not is_loopback(host):
        return address, AddressFault.UNENCRYPTED
    return address, None


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def parse_zone(text: str) -> ZoneInfo:
    """A time zone by its name."""
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        pass
    raise ValueError(f"there is no time zone {text!r}; an example is Europe/Moscow")


def parse_offset(text: str) -> timedelta:
    """Hours and minutes ahead of UTC, such as `+03:00`."""
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError("it is no offset such as +03:00")
    size = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return -size if match[1] == "-" else size


def parse_share(text: str) -> Fraction:
    """A percentage such as `5%`, or a fraction such as `0.05`."""
    match = _SHARE.fullmatch(text)
    share = Fraction(match[1]) / (100 if match[2] else 1) if match else None
    if share is None or share > 1 or not (text.endswith("%") or "." in text or text == "0"):
        raise ValueError("it is no share such as 5% (from 0% to 100%)")
    return share


def parse_size(text: str) -> int:
    """Bytes, such as `1GiB` or `500MB`."""
    match = _SIZE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError("it is no size such as 1GiB or 500MB")
    return int(match[1]) * _UNITS[match[2] or "B"]


def parse_log_format(text: str) -> LogFormat:
    """`console` or `json`."""
    if text not in set(LogFormat):
        raise ValueError("it is neither console nor json")
    return LogFormat(text)


def parse_log_level(text: str) -> str:
    """One of the levels, in lower case."""
    if text.lower() not in LEVELS:
        raise ValueError(f"it is none of {', '.join(LEVELS)}")
    return text.lower()


def parse_language(text: str) -> Language:
    """A language by its code."""
    try:
        return Language(text.lower())
    except ValueError:
        pass
    raise ValueError(f"it is none of {', '.join(Language)}")


def parse_listen(text: str) -> tuple[str, int]:
    """A host and a port, such as `127.0.0.1:9464`."""
    host, _, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not _is_host(host) or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("it is no host:port such as 127.0.0.1:9464")
    return host, int(port)


def _is_host(text: str) -> bool:
    if ":" not in text:
        return _HOST.fullmatch(text) is not None
    with suppress(ValueError):
        return ip_address(text).version == 6
    return False


def parse_ping_url(text: str) -> str:
    """An http or https address, kept as it stands."""
    _address, fault = split_address(text)
    if fault is AddressFault.NO_ADDRESS:
        raise ValueError("it is no http:// or https:// address")
    if fault is AddressFault.NAMES_A_USER:
        raise ValueError("it must not hold a user or password")
    return text


def parse_switch(text: str) -> bool:
    """Yes or no, in the words that people use for it."""
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError("it is neither true nor false")
    return words[text.lower()]


def parse_account_name(text: str) -> str:
    """1 to 100 printable characters that look like no secret."""
    if looks_secret(text):
        raise ValueError(f"it is {MISPLACED}; give what belongs there")
    if not text or len(text) > 100 or any(not character.isprintable() for character in text):
        raise ValueError("it is no name of 1 to 100 printable characters")
    return text


def default_log_format(is_terminal: bool) -> LogFormat:
    """People read a terminal, machines anything else."""
    return LogFormat.CONSOLE if is_terminal else LogFormat.JSON
