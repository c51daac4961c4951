"""What is spooled between an answer and its transaction comes out as it went in."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.answer import spool
from syncer.answer.spool import Spool
from syncer.model import LARGEST_ID, TYPES, Instance, Item

TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]))
TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
OF_TYPE = {
    str | None: TEXTS,
    datetime | None: TIMES,
    bool | None: st.none() | st.booleans(),
    bool: st.booleans(),
}
INSTANCES = st.builds(
    Instance,
    id_instance=st.integers(1, LARGEST_ID),
    **{name: OF_TYPE[kind] for name, kind in TYPES.items()},
    token_fingerprint=TEXTS,
    extra=st.text(st.characters(exclude_categories=["Cs"])),
)
ITEMS = st.builds(
    Item, INSTANCES, st.integers(0, 2**64 - 1), st.none() | st.binary(max_size=60), st.integers(0, 2**64 - 1)
)


@pytest.mark.parametrize("plain_bytes", [spool.PLAIN_PACKED_BYTES, 0])
def test_items_come_back_in_their_order(monkeypatch: pytest.MonkeyPatch, plain_bytes: int) -> None:
    monkeypatch.setattr(spool, "PACKED_ITEMS", 3)
    monkeypatch.setattr(spool, "PLAIN_PACKED_BYTES", plain_bytes)

    @given(st.lists(ITEMS, max_size=10))
    def check(items: list[Item]) -> None:
        kept = Spool()
        kept.add(items[:7])
        for item in items[7:]:
            kept.add([item])

        assert items == [item for batch in kept.batches() for item in batch]
        assert len(items) == len(kept)

    check()
