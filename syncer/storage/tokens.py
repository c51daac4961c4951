"""Keeps instance tokens encrypted: AES-256-GCM with the instance's id as associated data.

The associated data binds a ciphertext to its row: moved to another instance, it does not open.
"""

import base64
import os
from binascii import Error as Base64Error
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from syncer.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
SETTING = "SYNCER_TOKEN_KEY"


def parse_key(text: str) -> bytes:
    """A key of 32 bytes, as 64 hex digits or as base64. Raises `ConfigurationError`, which does not show it."""
    try:
        key = (
            bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, altchars=b"-_", validate=True)
        )
    except (ValueError, Base64Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"{SETTING}: it is no key of 32 bytes in hex or base64; make one with: openssl rand -base64 32"
        )
    return key


def sealer(key: bytes) -> Callable[[int, str], bytes]:
    """A function that turns an instance's id and token into nonce and ciphertext."""
    cipher = _cipher(key)

    def seal(id_instance: int, token: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, token.encode("utf-8", "surrogatepass"), _bound_to(id_instance))

    return seal


def unseal(key: bytes, id_instance: int, ciphertext: bytes) -> str:
    """The token of a row of `instance_tokens`; raises `cryptography`'s InvalidTag for another key or another row."""
    nonce, sealed = ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:]
    return _cipher(key).decrypt(nonce, sealed, _bound_to(id_instance)).decode("utf-8", "surrogatepass")


def _cipher(key: bytes) -> "AESGCM":
    with suppress(ImportError):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(key)
    raise ConfigurationError(
        f"{SETTING}: keeping tokens needs cryptography; beside syncer, run: pip install cryptography"
    )


def _bound_to(id_instance: int) -> bytes:
    return str(id_instance).encode("ascii")
