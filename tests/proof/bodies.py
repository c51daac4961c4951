"""Bodies of every kind of damage go through the reader: each is read or refused in words, and none is believed wrongly.

    python tests/proof/bodies.py --count 100000 --seed 1

What is checked of each: no other exception than the two of an unusable answer; a prefix is never taken for the whole;
what is taken is within what the databases store, holds no secret, and is what another JSON parser reads. And what is read
as it arrives, in pieces, is what is read whole; with `--pieces-every 5` that is asked of every fifth only.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

from budget import Budget
from builders import body, item
from canary import PARTNER_TOKEN, TOKEN_PREFIX
from reading import WholeBody, read_whole, whole_of

from syncer.answer.item import Decoder
from syncer.answer.known import NOTHING_KNOWN
from syncer.answer.reader import Reader
from syncer.errors import AnswerUnusable, UpstreamRefused
from syncer.scrub import Scrubber

DECODER = Decoder(timedelta(hours=3), Scrubber([PARTNER_TOKEN]))
KEYS = list(item())
STRINGS = [
    "", " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\ufeff", "\u202e", "é", "e\u0301", "İ", "ß", "𝒳", "\x7f\x1b[31m", "'; DROP TABLE instances; --",
    "%s%n{0}{}", "\\", '"', "\r\n", "NaN", "null", "true", "0", "-0", "1e400", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999999",
    "2026-02-30T00:00:00", "2026-W48-2T00:00:00", "24:00", "2026-11-24T23:59:60", PARTNER_TOKEN, "x" * 70_000, "١٢٣", "true ", "False",
]  # fmt: skip
NUMBERS = [0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63), 0.0, -0.0, 1.5, 1e308, 5e-324]
ODD: list[Any] = [None, True, False, [], {}, [[]], {"a": {"b": [None]}}, *STRINGS, *NUMBERS]
TEXTS = [
    b"", b"[", b"]", b"[]", b"[[]]", b"[null]", b"{}", b"null", b"true", b"0", b'""', b"[]]", b"[],", b"[,]", b"[1,]", b"[NaN]", b"[Infinity]",
    b"[-Infinity]", b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b"[" + b"1" * 5000 + b"]", b"\xef\xbb\xbf[]", b"\xef\xbb\xbf\xef\xbb\xbf[]",
    "[]".encode("utf-16"), "[]".encode("utf-16-le"), "[]".encode("utf-32"), b"[]\x00", b"\x00[]", b" \t\r\n[] \n", b"\x0b[]", b"[]//", b"/**/[]",
    b"['a']", b"[01]", b"[1.]", b"[.5]", b"[+1]", b"[0x1]", b'["\x01"]', b'["\\x41"]', b'["\\u12"]', b'["\\ud800"]', b'["\xff"]', b'["\xc0\x80"]',
    b'["\xed\xa0\x80"]', b'{"code":401,"description":"Unauthorized"}', b"<html></html>", b"\x1f\x8b\x08", b'[{"idInstance":1,"idInstance":2}]',
]  # fmt: skip


def an_item(chance: random.Random, number: int) -> dict[str, Any]:
    """Mostly usual, with now and then a hostile value, a key less, or one more."""
    made = item(number, name=chance.choice(["client", *STRINGS]) if chance.random() < 0.3 else "client")
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        made[chance.choice(KEYS)] = chance.choice(ODD)
    if chance.random() < 0.1:
        made.pop(chance.choice(KEYS), None)
    if chance.random() < 0.1:
        made[chance.choice(["new", "Token", "", "password", "\ud800", *KEYS])] = chance.choice(ODD)
    return made


def a_list(chance: random.Random) -> bytes:
    """A list that is JSON, whatever it holds; now and then in another spelling of the same."""
    items = [
        chance.choice(ODD) if chance.random() < 0.03 else an_item(chance, number)
        for number in range(1, chance.choice([1, 2, 2, 3, 3, 6]))
    ]
    if chance.random() < 0.05:
        items += items[:1]
    return json.dumps(items, ensure_ascii=chance.random() < 0.7).encode("utf-8", "surrogatepass")


_lists: list[bytes] = []


def a_known_list(chance: random.Random) -> bytes:
    """One list serves for many kinds of damage; to make a new one takes longer than to read it."""
    if len(_lists) < 50 or chance.random() < 0.05:
        _lists.append(a_list(chance))
        del _lists[:-200]
    return chance.choice(_lists)


def flipped(chance: random.Random) -> bytes:
    """Some bytes are other bytes."""
    made = bytearray(a_known_list(chance))
    for _ in range(chance.choice([1, 1, 1, 2, 8])):
        place = chance.randrange(len(made))
        made[place] = made[place] ^ (1 << chance.randrange(8)) if chance.random() < 0.5 else chance.randrange(256)
    return bytes(made)


def shuffled(chance: random.Random) -> bytes:
    """A piece is missing, doubled, or elsewhere."""
    made = a_known_list(chance)
    one, other = sorted(chance.randrange(len(made) + 1) for _ in range(2))
    return chance.choice([made[:one] + made[other:], made[:other] + made[one:], made[one:] + made[:one]])


def prefix(chance: random.Random) -> bytes:
    """The beginning of a list, at least a byte short."""
    made = a_known_list(chance)
    return made[: chance.randrange(len(made))]


def a_text(chance: random.Random) -> bytes:
    """One of the corners of JSON, alone or as an item among good ones."""
    text = chance.choice(TEXTS)
    if chance.random() < 0.5 or len(text) > 10_000:
        return text
    return body([item(1)])[:-1] + b"," + text + b"]"


KINDS: list[tuple[Callable[[random.Random], bytes], int]] = [
    (a_list, 15),
    (flipped, 40),
    (prefix, 30),
    (shuffled, 12),
    (a_text, 3),
]
TOKEN_SHAPED = re.compile("gac[.]|[0-9a-fA-F]{32}")  # removed though no known token: a flipped one, for example
LONE = re.compile("[\x00\ud800-\udfff]")


def check(made: bytes, kind: str) -> str:
    """What the reader made of it: `refused`, `unusable` or `taken`; raises if it should not have."""
    try:
        listing = read_whole(made, DECODER)
    except UpstreamRefused as error:
        assert "\n" not in str(error)
        return "refused"
    except AnswerUnusable as error:
        assert "\n" not in str(error)
        assert PARTNER_TOKEN not in str(error)
        assert TOKEN_PREFIX not in str(error)
        # A lone surrogate that is not escaped is no UTF-8, which `bytes.decode` with errors="ignore" would shorten.
        is_utf8 = len(made.decode("utf-8", "ignore").encode()) == len(made)
        assert kind != "a_list" or not is_utf8 or error.kind == "too_many_rejects", f"a list is refused: {error}"
        return "unusable"
    assert kind != "prefix", "a prefix was taken for the whole"
    check_taken(listing, parsed(made))
    return "taken"


def check_in_pieces(made: bytes, size: int, block_bytes: int) -> None:
    """Read as it arrives, `size` bytes at a time and in small blocks, it is the answer that it is in one piece."""
    reader = Reader(DECODER._replace(block_bytes=block_bytes), (), lambda: NOTHING_KNOWN)
    listing = reader(made[at : at + size] for at in range(0, len(made), size))
    assert listing is not None
    assert (listing.body_bytes, listing.body_sha256) == (len(made), sha256(made).hexdigest())
    in_pieces = whole_of(listing) if listing.problem is None else str(listing.problem)
    try:
        whole: WholeBody | str = read_whole(made, DECODER)
    except (AnswerUnusable, UpstreamRefused) as error:
        whole = str(error)
    assert in_pieces == whole, "read in pieces it is another answer"


def parsed(made: bytes) -> Any:
    text = made.decode("utf-8").removeprefix("\ufeff")
    return json.loads(
        text, parse_constant=no_constant, parse_int=lambda digits: int(digits) if len(digits) < 4000 else digits
    )


def no_constant(name: str) -> Any:
    raise AssertionError(f"{name} was taken")


def check_taken(listing: WholeBody, document: Any) -> None:
    """What is taken agrees with the document as another parser reads it."""
    assert isinstance(document, list)
    told: dict[int, list[Any]] = {}
    for entry in document:
        key = entry.get("idInstance") if isinstance(entry, dict) else None
        if isinstance(key, str) and re.fullmatch(r"[1-9][0-9]{0,18}", key, re.ASCII):
            key = int(key)
        if type(key) is int and 1 <= key < 2**63:
            told.setdefault(key, []).append(entry)
    assert set(told) == set(listing.instances) | listing.rejected_ids, "an id was invented or lost"
    assert set(listing.instances).isdisjoint(listing.rejected_ids)
    readable = sum(len(entries) for entries in told.values())
    assert listing.proves_absence == (readable == len(document)), "an unreadable id went by"
    for key, taken in listing.instances.items():
        for entry in told[key]:
            assert entry["deleted"] in (taken.deleted, "true" if taken.deleted else "false"), "deleted"
            assert entry["isExpired"] in (taken.is_expired, "true" if taken.is_expired else "false"), "isExpired"
            name = entry.get("name")
            if isinstance(name, str) and not TOKEN_SHAPED.search(name):
                assert taken.name == LONE.sub("\ufffd", name), "a name was changed"
            if name is None:
                assert taken.name is None, "a name was invented"
    stored = repr([list(listing.instances.values()), listing.rejects])
    assert PARTNER_TOKEN not in stored, "the partner token would be stored"
    assert not LONE.search(
        "".join(text for taken in listing.instances.values() for text in taken if isinstance(text, str))
    )


def main() -> None:
    budget = Budget("bodies", full=10_000_000, numbers={"pieces-every": 1})
    ends: Counter[str] = Counter()
    kinds, weights = [kind for kind, _ in KINDS], [weight for _, weight in KINDS]
    for _ in budget:
        make = budget.chance.choices(kinds, weights)[0]
        made = make(budget.chance)
        try:
            ends[f"{make.__name__} {check(made, make.__name__)}"] += 1
            if budget.done % budget.chosen.pieces_every == 0:
                check_in_pieces(made, max(1, len(made) // budget.chance.choice([1, 2, 3, 50])), 300)
        except BaseException:
            print(f"seed {budget.chosen.seed}, body {budget.done}, {make.__name__}: {made[:2000]!r}")
            raise
    print(", ".join(f"{name} {count}" for name, count in sorted(ends.items())))
    budget.report()


if __name__ == "__main__":
    main()
