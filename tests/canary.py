"""Secrets that the tests use, and the search for them in everything that a test run left behind."""

import base64
import json
import re
from hashlib import sha256
from urllib.parse import quote

PARTNER_TOKEN = "gac." + "0dd5ec2e7ca11ab1e" * 2 + "0dd5ec2e7ca1"
WEIRD_PARTNER_TOKEN = "gac.ca/na%ry+tök?en#0123456789"
TOKEN_PREFIX = "c0ffee5ec2e7"
"""Every instance token of the tests begins with these hex digits."""
DATABASE_PASSWORD = "c0ffee+pass%w0rd"

# Their beginnings: a secret that was cut, or scrubbed in part, is a leak too.
SECRETS = {
    "partner token": PARTNER_TOKEN[:16],
    "weird partner token": WEIRD_PARTNER_TOKEN[:14],
    "instance token": TOKEN_PREFIX,
    "database password": DATABASE_PASSWORD,
}


def api_token(id_instance: int, generation: int = 0) -> str:
    """The canary token of an instance: 50 hex digits, the same in every run."""
    return (TOKEN_PREFIX + sha256(f"{id_instance} {generation}".encode()).hexdigest())[:50]


def encodings(secret: str) -> dict[str, list[bytes]]:
    """A secret in the spellings that are looked for, by name."""
    raw = secret.encode()
    percent = quote(secret, safe="")
    in_full = "".join(f"%{byte:02X}" for byte in raw)
    dumped = json.dumps(secret)[1:-1]
    return {
        "raw": [raw],
        "percent-encoded": [percent.encode(), quote(secret).encode()],
        "percent-encoded in lower case": [_lower_hex(percent), _lower_hex(quote(secret))],
        "percent-encoded in full": [in_full.encode(), _lower_hex(in_full)],
        "JSON-escaped": [
            dumped.encode(),
            dumped.replace("/", "\\/").encode(),
            "".join(f"\\u{ord(character):04x}" for character in secret).encode(),
        ],
        "base64": [spelling for start in range(3) for spelling in _base64_from(raw, start)],
        "hex": [raw.hex().encode(), raw.hex().upper().encode()],
        "reversed": [secret[::-1].encode()],
    }


def find_secrets(data: bytes) -> list[str]:
    """Which canary is in the data in which encoding, each once; empty if none is."""
    found = [
        f"{name}, {encoding}"
        for (name, encoding), spellings in _SPELLINGS.items()
        if any(spelling in data for spelling in spellings)
    ]
    if found:
        return found
    plain = data.lower()
    for _nested in range(3):
        plain = _ESCAPE.sub(_unescaped, plain)
    solid = _UNSEEN.sub(b"", plain)
    return [
        f"{name}, in a mixed encoding"
        for name, secret in SECRETS.items()
        if secret.encode() in plain or secret.removeprefix("gac.").encode() in solid
    ]


def _lower_hex(percent: str) -> bytes:
    return re.sub(r"%..", lambda found: found[0].lower(), percent).encode()


def _base64_from(raw: bytes, start: int) -> list[bytes]:
    """The digits that are the same whatever stands before and after, when `start` bytes of a group precede."""
    cut = raw[-start % 3 :]
    whole = cut[: len(cut) // 3 * 3]
    return [base64.b64encode(whole), base64.urlsafe_b64encode(whole)]


_ESCAPE = re.compile(
    rb"%([0-9a-f]{2})|\\u00([0-9a-f]{2})|\\u\{([0-9a-f]{2})\}|\\x([0-9a-f]{2})|&#x([0-9a-f]{2});?|\\([/\\])|&#([0-9]{2,3});?|&(amp|period);"
)
_NAMED = {b"amp": b"&", b"period": b"."}
_UNSEEN = re.compile(  # what may break a secret up: white space, also escaped, and characters that nobody sees
    rb"\s|\\[nrt]|\\\n|<wbr>|\xc2[\xa0\xad]|\xe2\x80[\x80-\x8f]|\xe2\x81\xa0|\xef\xbb\xbf|\\u200[0-9a-f]|\\u00a[0d]|&shy;"
)


def _unescaped(escape: re.Match[bytes]) -> bytes:
    if escape[6]:
        return escape[6]
    if escape[7]:
        return bytes([int(escape[7])]) if int(escape[7]) < 256 else b""
    if escape[8]:
        return _NAMED[escape[8]]
    return bytes([int(escape[escape.lastindex or 0], 16)])


_SPELLINGS: dict[tuple[str, str], list[bytes]] = {}
for _name, _secret in SECRETS.items():
    _known: set[bytes] = set()
    for _encoding, _all in encodings(_secret).items():
        # Spellings that coincide, as those of plain letters do, are told by their first name.
        _SPELLINGS[_name, _encoding] = [spelling for spelling in _all if spelling not in _known]
        _known.update(_all)
