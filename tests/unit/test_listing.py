"""What an answer differs in from what is known, however it arrives."""

import json
from array import array
from collections.abc import Iterator

import pytest
from builders import body, item
from hypothesis import given
from hypothesis import strategies as st
from memory import Memory
from mirror import account
from reading import whole_of

from syncer.answer.known import DELETED, MISSING, NOTHING_KNOWN, Known, Remembered, seed_of
from syncer.answer.listing import Listing
from syncer.answer.pieces import pieces_of
from syncer.answer.reader import Reader
from syncer.errors import AnswerUnusable

DECODER = account().decoder
SEED = seed_of(DECODER)


def read(text: bytes, known: Known = NOTHING_KNOWN, seed: int | None = SEED, **sizes: int) -> Listing:
    reader = Reader(DECODER._replace(**sizes), (), lambda: known, Remembered(seed, None, 0, ""))
    listing = reader(in_chunks(text))
    assert listing is not None
    return listing


def in_chunks(text: bytes, size: int = 50) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


def known_after(*items: dict[str, object], flags: dict[int, int] | None = None) -> Known:
    """Of an account whose last answer had these items."""
    applied = {one.id_instance: one for batch in read(body(items)).differing.batches() for one in batch}
    ids = sorted(applied)
    return Known(
        array("q", ids),
        array("Q", [applied[key].item_hash for key in ids]),
        array("Q", [applied[key].rest_hash for key in ids]),
        bytearray((flags or {}).get(key, 0) for key in ids),
    )


def differing(listing: Listing) -> list[int]:
    return [one.id_instance for batch in listing.differing.batches() for one in batch]


def absent(listing: Listing) -> list[int]:
    return [listing.known.ids[row] for row in listing.absent]


def test_what_is_listed_as_it_was_does_not_differ() -> None:
    known = known_after(item(1), item(2), item(3))

    listing = read(body([item(3), item(1), item(2, name="new"), item(4)]), known)

    assert ([2, 4], [], [4]) == (differing(listing), absent(listing), list(listing.foreign_ids))
    assert listing.shares_any


def test_hashes_that_were_made_under_another_seed_mean_nothing() -> None:
    known = known_after(item(1), item(2))

    assert [1, 2] == differing(read(body([item(1), item(2)]), known, seed=SEED + 1))
    assert [1, 2] == differing(read(body([item(1), item(2)]), known, seed=None))


def test_a_hash_that_is_anothers_is_found_out_by_that_ones_own_item() -> None:
    known = known_after(item(1), item(2), item(3))
    changed = known_after(item(1, name="new"))
    known.hashes[1] = changed.hashes[0]  # as if the hash of what 1 says now were that of what 2 said

    listing = read(body([item(1, name="new"), item(2), item(3)]), known)

    assert ([1, 2], [], 3) == (differing(listing), absent(listing), listing.listed)


def test_two_rows_of_one_hash_are_both_looked_at() -> None:
    known = known_after(item(1), item(2), item(3))
    known.hashes[2] = known.hashes[0]

    listing = read(body([item(1), item(3)]), known)

    assert ([], 1, [2]) == (differing(listing), len(listing.redated), absent(listing))  # 3, as if it were redated


def test_what_is_listed_twice_is_seen_wherever_and_however_it_stands() -> None:
    known = known_after(item(1), item(2), item(3))

    for answer in ([item(1), item(1)], [item(1), item(1, name="new")], [item(1, name="new"), item(1)]):
        for more in ([], [item(2), item(3)]):
            for text in (body([*answer, *more]), body([answer[0], *more, answer[1]])):
                for block_bytes in (1, 100_000):
                    listing = read(text, known, block_bytes=block_bytes)
                    assert (listing.repeated, len(listing.rejects)) == ((1, 0) if answer[0] == answer[1] else (0, 2))
                    assert absent(listing) == ([] if more else [2, 3])
                    assert differing(listing) == []


def test_what_is_not_listed_is_absent_unless_it_was_missing_already() -> None:
    known = known_after(item(1), item(2), item(3), item(4), flags={2: MISSING, 3: DELETED})

    assert [1, 3] == absent(read(body([item(4)]), known))
    assert [1, 3, 4] == absent(read(b"[]", known))


def test_a_rejected_item_is_seen_and_an_unreadable_id_may_be_any() -> None:
    known = known_after(item(1), item(2), item(3))

    rejected = read(body([item(1, deleted=None)]), known)
    unreadable = read(body([item(1), item(None)]), known)

    assert ([], [2, 3], 1, True) == (
        differing(rejected), absent(rejected), len(rejected.rejects), rejected.shares_any,
    )  # fmt: skip
    assert ([], []) == (differing(unreadable), absent(unreadable))


def test_a_rejected_item_of_an_unknown_instance_is_nobodys() -> None:
    listing = read(body([item(9, deleted=None)]), known_after(item(1)))

    assert ([], [], False) == (differing(listing), list(listing.foreign_ids), listing.shares_any)


def test_what_returns_as_it_was_differs_whatever_its_hash() -> None:
    known = known_after(item(1), item(2), flags={2: MISSING})

    assert [2] == differing(read(body([item(1), item(2)]), known))


@pytest.mark.parametrize("kept_bytes", [0, 10**6])
def test_items_of_one_id_are_settled_together(kept_bytes: int) -> None:
    known = known_after(item(1), item(2), item(3))
    reader = Reader(DECODER._replace(kept_bytes=kept_bytes), (), lambda: known, Remembered(SEED, None, 0, ""))
    text = body([item(1), item(2), item(1, name="x"), item(2), item(3), item(9), item(9)])

    listing = reader([text])
    if kept_bytes == 0:
        assert listing is None
        listing = reader([text])

    assert listing is not None
    assert ([9], [], 5, [9]) == (differing(listing), absent(listing), listing.listed, list(listing.foreign_ids))
    assert [(0, 1), (2, 1)] == [(reject.position, reject.id_instance) for reject in listing.rejects]


def test_an_answer_that_is_asked_for_again_may_not_list_what_the_first_listed_twice() -> None:
    known = known_after(item(1), item(2))
    reader = Reader(DECODER._replace(kept_bytes=0), (), lambda: known, Remembered(SEED, None, 0, ""))

    first = reader([body([item(1), item(2), item(2, name="x")])])
    again = reader([body([item(1)])])

    assert first is None
    assert again is not None
    assert ([], [2], 1) == (differing(again), absent(again), again.listed)


@pytest.mark.parametrize("kept_bytes", [0, 300, 10**6])
def test_the_last_answer_is_recognised_and_nothing_of_it_is_read(kept_bytes: int) -> None:
    decoder = DECODER._replace(kept_bytes=kept_bytes)
    text = body([item(1), item(2)])
    first = Reader(decoder, (), lambda: NOTHING_KNOWN)([text])
    assert first is not None

    def load() -> Known:
        raise AssertionError

    remembered = Remembered(first.seed, first.digest, 2, first.body_sha256)
    again = Reader(decoder, (), load, remembered)(text[at : at + 7] for at in range(0, len(text), 7))

    assert again is not None
    assert (2, len(text), first.body_sha256, False) == (
        again.listed, again.body_bytes, again.body_sha256, again.differs,
    )  # fmt: skip


@given(st.integers(0, 800), st.integers(1, 900))
def test_a_body_that_differs_anywhere_is_not_the_last_one(place: int, kept_bytes: int) -> None:
    text = body([item(1), item(2)])
    other = bytearray(text)
    other[place % len(text)] ^= 1
    decoder = DECODER._replace(kept_bytes=kept_bytes)
    first = Reader(decoder, (), lambda: NOTHING_KNOWN)([text])
    assert first is not None
    reader = Reader(decoder, (), lambda: NOTHING_KNOWN, Remembered(first.seed, first.digest, 2, first.body_sha256))

    listing = reader([bytes(other)])
    if listing is None:  # it began as the last one, and was let go
        assert place % len(text) >= kept_bytes
        listing = reader([bytes(other)])

    assert listing is not None
    assert listing.body_sha256 != first.body_sha256


def test_other_settings_make_another_seed() -> None:
    others = [
        DECODER._replace(upstream_offset=-DECODER.upstream_offset),
        DECODER._replace(keeps_tokens=True),
        DECODER._replace(scrub=str),
    ]

    assert 5 == len({SEED, seed_of(DECODER, "rule"), *map(seed_of, others)})
    assert SEED == seed_of(DECODER._replace(block_bytes=1, kept_bytes=1))


@given(st.data())
def test_any_cut_into_chunks_and_blocks_gives_the_same_items(data: st.DataObject) -> None:
    values = data.draw(
        st.lists(
            st.recursive(
                st.none() | st.text('},{[]\\" aд') | st.integers() | st.just("half a pair \ud83e"),
                lambda inner: st.lists(inner) | st.dictionaries(st.text("},\\"), inner),
                max_leaves=5,
            ),
            max_size=8,
        )
    )
    text = json.dumps(values, ensure_ascii=True, indent=data.draw(st.sampled_from([None, 1]))).encode()
    if data.draw(st.booleans()):
        text = text.replace(b"\\u0434", "д".encode())
    size = data.draw(st.integers(1, 20))
    blocks = pieces_of((text[at : at + size] for at in range(0, len(text), size)), data.draw(st.integers(1, 50)))

    assert values == [json.loads(bytes(one)) for block in blocks for one in block]


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_no_beginning_of_a_list_and_no_comma_at_its_end_goes_by(size: int) -> None:
    text = body([item(1), item(2), item(3)])

    for damaged in [*(text[:end] for end in range(len(text))), text[:-1] + b",]", text[:-1] + b", \n]"]:
        assert isinstance(read(damaged, block_bytes=size).problem, AnswerUnusable), damaged[-20:]
    assert read(text, block_bytes=size).problem is None


def test_what_is_no_list_is_read_to_its_end() -> None:
    """So that its run says how long it was, and a break in the line is found."""
    text = b'{"code":401}' + b" " * 1000
    left = [text[at : at + 10] for at in range(0, len(text), 10)]

    def arriving() -> Iterator[bytes]:
        while left:
            yield left.pop(0)

    listing = Reader(DECODER._replace(kept_bytes=100), (), lambda: NOTHING_KNOWN)(arriving())

    assert listing is not None
    assert ([], len(text)) == (left, listing.body_bytes)
    assert listing.problem is not None


@given(st.integers(1, 400), st.integers(0, 2000), st.lists(st.integers(1, 6), max_size=12))
def test_sizes_of_blocks_and_of_what_is_kept_change_nothing(block: int, kept: int, ids: list[int]) -> None:
    known = known_after(item(1), item(2), item(3, name="other"), item(6))
    text = body([item(number, name="client" if place % 3 else "x") for place, number in enumerate(ids)])
    expected = read(text, known)
    reader = Reader(
        DECODER._replace(block_bytes=block, kept_bytes=kept), (), lambda: known, Remembered(SEED, None, 0, "")
    )
    found = reader(in_chunks(text)) or reader(in_chunks(text))

    assert found is not None
    assert (whole_of(expected), absent(expected)) == (whole_of(found), absent(found))


def test_the_double_in_memory_reads_by_what_it_holds() -> None:
    """`Memory` serves the tests of what decides; it must not read everything anew each time."""
    memory = Memory()
    memory.observe([item(1), item(2)], account().expiry_grace)

    assert [2] == differing(memory.read(body([item(1), item(2, name="x")])))


@pytest.mark.parametrize("garbled", [b"\xff", b"\xed\xa0\x80", b"\x01"])
def test_what_is_garbled_in_an_item_that_is_listed_twice_makes_the_answer_no_list(garbled: bytes) -> None:
    known = known_after(item(1), item(2))
    twice = body([item(1), item(2), item(1, name="GARBLED")]).replace(b"GARBLED", garbled)

    for kept_bytes in (0, 10**6):
        reader = Reader(DECODER._replace(kept_bytes=kept_bytes), (), lambda: known, Remembered(SEED, None, 0, ""))
        listing = reader(in_chunks(twice)) or reader(in_chunks(twice))

        assert listing is not None
        assert isinstance(listing.problem, AnswerUnusable)
