"""Keeps instance tokens encrypted: AES-256-GCM with the instance's id as associated data.

The associated data binds a ciphertext to its row: moved to another instance, it does not open.
"""

import base64
import os
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, select

from syncer.answer.values import fingerprint
from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.model import Item
from syncer.storage import rows
from syncer.storage.tables import instance_tokens

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
SETTING = "SYNCER_TOKEN_KEY"
_SEALED = ("ciphertext", "token_fingerprint", "key_fingerprint")


def spellings_of(key: bytes) -> list[str]:
    """A key as it may stand in a setting."""
    return [key.hex(), base64.b64encode(key).decode("ascii")]


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


class Safe(NamedTuple):
    """Keeps tokens under one key; `key_fingerprint` says which."""

    seal: Callable[[int, bytes], bytes]
    key_fingerprint: str

    def keep(self, connection: Connection, items: Sequence[Item]) -> None:
        """Store the tokens of these items where the token or the key is not the one that is stored already."""
        tokens = {item.id_instance: item.token for item in items if item.token is not None}
        fingerprints = {item.id_instance: item.instance.token_fingerprint for item in items}
        found = rows.of_ids(connection, instance_tokens.name, ("id_instance", *_SEALED[1:]), list(tokens))
        stored = {key: tuple(fingerprints_then) for key, *fingerprints_then in found}
        wanted = [
            (self.seal(id_instance, token), fingerprints[id_instance], self.key_fingerprint, id_instance)
            for id_instance, token in tokens.items()
            if stored.get(id_instance) != (fingerprints[id_instance], self.key_fingerprint)
        ]
        if new := [row for row in wanted if row[-1] not in stored]:
            rows.insert(connection, instance_tokens, (*_SEALED, "id_instance"), new)
        if others := [row for row in wanted if row[-1] in stored]:
            updates = rows.Updates(connection, instance_tokens, "id_instance")
            updates.add(_SEALED, others)
            updates.close()


def safe(key: bytes) -> Safe:
    """Seals an instance's token to nonce and ciphertext."""
    cipher = _cipher(key)

    def seal(id_instance: int, token: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, token, _bound_to(id_instance))

    return Safe(seal, fingerprint(key.hex()))


def unseal(key: bytes, id_instance: int, ciphertext: bytes) -> str:
    """The token of a row of `instance_tokens`; raises `cryptography`'s InvalidTag for another key or another row."""
    nonce, sealed = ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:]
    return _cipher(key).decrypt(nonce, sealed, _bound_to(id_instance)).decode("utf-8", "surrogatepass")


def read_token(connection: Connection, key: bytes, id_instance: int) -> str | None:
    """The token that is kept of an instance; None where none is.

    Raises `ConfigurationError` for another key, `DatabaseFailed` for a row that does not open with the right one.
    """
    row = connection.execute(select(instance_tokens).where(instance_tokens.c.id_instance == id_instance)).one_or_none()
    if row is None:
        return None
    if row.key_fingerprint != fingerprint(key.hex()):
        raise ConfigurationError(
            f"{SETTING}: the token of {id_instance} is kept under another key; give that one, or run syncer sync with "
            "this one"
        )
    from cryptography.exceptions import InvalidTag

    with suppress(InvalidTag):
        return unseal(key, id_instance, row.ciphertext)
    raise DatabaseFailed(
        f"opening the token of {id_instance}: its row in instance_tokens was changed by somebody else; "
        "delete the row, and syncer sync keeps the token anew"
    )


def _cipher(key: bytes) -> "AESGCM":
    with suppress(ImportError):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(key)
    raise ConfigurationError(
        f"{SETTING}: keeping tokens needs cryptography; beside syncer, run: pip install cryptography"
    )


def _bound_to(id_instance: int) -> bytes:
    return str(id_instance).encode("ascii")
