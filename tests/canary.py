"""Secrets that the tests use, and the search for them in everything that a test run left behind."""

import base64
import re
from hashlib import sha256
from urllib.parse import quote

PARTNER_TOKEN = "gac." + "0dd5ec2e7ca11ab1e" * 2 + "0dd5ec2e7ca1"
WEIRD_PARTNER_TOKEN = "gac.ca/na%ry+tök?en#0123456789"
TOKEN_PREFIX = "c0ffee5ec2e7"
"""Every instance token of the tests begins with these hex digits."""

SECRETS = (PARTNER_TOKEN, WEIRD_PARTNER_TOKEN, TOKEN_PREFIX)


def api_token(id_instance: int, generation: int = 0) -> str:
    """The canary token of an instance: 50 hex digits, the same in every run."""
    return (TOKEN_PREFIX + sha256(f"{id_instance} {generation}".encode()).hexdigest())[:50]


def encodings(secret: str) -> dict[str, bytes]:
    """A secret in the spellings that are looked for, by name."""
    raw = secret.encode()
    percent = quote(secret, safe="")
    return {
        "raw": raw,
        "percent-encoded": percent.encode(),
        "percent-encoded in lower case": re.sub(r"%..", lambda found: found[0].lower(), percent).encode(),
        "percent-encoded in full": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "JSON-escaped": "".join(f"\\u{ord(character):04x}" for character in secret).encode(),
        "hex": raw.hex().encode(),
        "reversed": secret[::-1].encode(),
        "base64": base64.b64encode(raw)[: len(raw) // 3 * 4],
    }


SPELLINGS = [(name, spelling) for secret in SECRETS for name, spelling in encodings(secret).items()]
_ANY = re.compile(b"|".join(re.escape(spelling) for _name, spelling in SPELLINGS))


def find_secrets(data: bytes) -> list[str]:
    """The encodings in which a canary is in the data; empty if none is."""
    if _ANY.search(data) is None:
        return []
    return [name for name, spelling in SPELLINGS if spelling in data]
