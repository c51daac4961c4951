"""Tokens kept encrypted: they open with the key, for their own instance, and no other way."""

import base64

import pytest
from canary import PARTNER_TOKEN, api_token, find_secrets
from cryptography.exceptions import InvalidTag

from syncer.errors import ConfigurationError
from syncer.storage.tokens import parse_key, safe, unseal

KEY = bytes(range(32))


def test_a_sealed_token_opens_again() -> None:
    sealed = safe(KEY).seal(1101, api_token(1101).encode())

    assert find_secrets(sealed) == []
    assert api_token(1101) == unseal(KEY, 1101, sealed)


@pytest.mark.parametrize(("key", "id_instance"), [(KEY, 1102), (bytes(32), 1101)], ids=["another row", "another key"])
def test_a_sealed_token_does_not_open_elsewhere(key: bytes, id_instance: int) -> None:
    sealed = safe(KEY).seal(1101, api_token(1101).encode())

    with pytest.raises(InvalidTag):
        unseal(key, id_instance, sealed)


@pytest.mark.parametrize(
    "text", [KEY.hex(), base64.b64encode(KEY).decode(), base64.urlsafe_b64encode(bytes([255] * 32)).decode()]
)
def test_a_key_is_read_from_hex_or_base64(text: str) -> None:
    assert len(parse_key(text)) == 32


@pytest.mark.parametrize("text", ["", "abc", "ab" * 16, PARTNER_TOKEN, "ж" * 64])
def test_what_is_no_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_key(text)
    assert find_secrets(str(raised.value).encode()) == []
