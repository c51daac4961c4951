"""What is packed between an answer and its transaction comes out as it went in."""

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.answer import packed
from syncer.answer.packed import Hashes, Packed
from syncer.model import LARGEST_ID, Instance

TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]))
TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
FLAGS = st.none() | st.booleans()
INSTANCES = st.builds(
    Instance,
    id_instance=st.integers(1, LARGEST_ID),
    name=TEXTS,
    type_instance=TEXTS,
    type_account=TEXTS,
    messenger=TEXTS,
    partner_user_uiid=TEXTS,
    time_created=TIMES,
    time_deleted=TIMES,
    deleted=st.booleans(),
    tariff=TEXTS,
    is_free=FLAGS,
    is_partner=FLAGS,
    expiration_date=TIMES,
    is_expired=st.booleans(),
    token_fingerprint=TEXTS,
    extra=st.text(st.characters(exclude_categories=["Cs"])),
)
HASHES = st.builds(Hashes, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


@pytest.mark.parametrize("plain_bytes", [packed.PLAIN_PACKED_BYTES, 0])
def test_instances_come_back_in_their_order(monkeypatch: pytest.MonkeyPatch, plain_bytes: int) -> None:
    monkeypatch.setattr(packed, "PACKED_ROWS", 3)
    monkeypatch.setattr(packed, "PLAIN_PACKED_BYTES", plain_bytes)

    @given(st.lists(st.tuples(INSTANCES, HASHES), max_size=10))
    def check(rows: list[tuple[Instance, Hashes]]) -> None:
        kept = Packed()
        for instance, hashes in rows:
            kept.add(instance, hashes)

        assert rows == [row for batch in kept.batches() for row in batch]
        assert len(rows) == len(kept)

    check()
