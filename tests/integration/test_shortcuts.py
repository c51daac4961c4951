"""Every shortcut beside the plain path: the same answers, the same tables; and what an unchanged poll may cost."""

import json
import os
import random
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from builders import body, item, paid
from histories import histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mirror import Mirror, account
from sqlalchemy import Engine, event

from syncer import sync
from syncer.answer import blocks, matcher, packed, stream
from syncer.answer.stream import Reading
from syncer.storage import bulk
from syncer.storage.tables import instance_history, instances, metadata
from syncer.views import verify

EXAMPLES = int(os.environ.get("SYNCER_MODEL_EXAMPLES", "25"))
OF_SHORTCUTS = {"hash_seed", "item_hash", "content_hash", "quiet_answer", "taken_by_run_id"}
NEW = "2026-11-01T15:03:00"  # younger than the grace in the first answers


def read_whole(_engine: Engine, _account: object, chunks: Iterable[bytes], _quiet: object) -> Reading:
    """In the place of `sync._read`: the plain path for every answer."""
    whole = b"".join(chunks)
    return Reading(len(whole), sha256(whole).hexdigest(), whole, odd=True)


def tables(mirror: Mirror) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table but what only the shortcuts use; history by instance, without ids."""
    found = {
        table.name: [
            {key: value for key, value in row.items() if key not in OF_SHORTCUTS} for row in mirror.rows(table)
        ]
        for table in metadata.sorted_tables
    }
    history = found[instance_history.name]
    history.sort(key=lambda row: (row["id_instance"], row["id"]))
    for row in history:
        del row["id"]
    return found


def spelt(items: list[dict[str, Any]], chance: random.Random) -> bytes:
    """The same list, or nearly: other orders and spellings, items twice, in unusual forms, or unreadable."""
    told: list[Any] = [dict(one) for one in items]
    for one in told:
        match chance.randrange(24):
            case 0:
                one["deleted"] = int(one.get("deleted") or 0)
            case 1:
                one["apiUrl"] = "https://1101.api.example"
            case 2:
                one["unknown"] = {"b": [1.5, None], "a": 10**30}
            case 3:
                one["name"] = "half a pair \ud83e"
            case 4:
                one["name"] = f"its own {one.get('apiTokenInstance')}"
            case 5:
                one["timeCreated"] = NEW
                one["isExpired"] = True
            case 6:
                one["timeCreated"] = "2026-02-30T00:00:00"
            case 7:
                one["idInstance"] = str(one.get("idInstance"))
            case _:
                pass
    match chance.randrange(12):
        case 0 if told:
            told.append(chance.choice(told))
        case 1 if told:
            told.append(chance.choice(told) | {"name": "twice"})
        case 2:
            told.append(chance.choice([None, 5, [], {}, "text", {"idInstance": 0}, {"idInstance": 3, "name": 5}]))
        case _:
            pass
    if chance.randrange(3) == 0:
        chance.shuffle(told)
    if chance.randrange(3) == 0:
        told = [dict(chance.sample(list(one.items()), len(one))) if isinstance(one, dict) else one for one in told]
    text = json.dumps(
        told,
        ensure_ascii=chance.randrange(2) == 0
        or any("\ud83e" in str(one.get("name")) for one in told if isinstance(one, dict)),
        indent=chance.choice([None, None, 1]),
        separators=chance.choice([None, (",", ":")]),
    )
    match chance.randrange(20):
        case 0:
            text = "\ufeff" + text
        case 1:
            text = text[: chance.randrange(len(text))]
        case 2:
            text = text.replace("},", "},,", 1)
        case 3:
            text += chance.choice([" ", "]", "\n"])
        case _:
            pass
    return text.encode()


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(answers=histories(), seed=st.integers(0, 2**32), shared=st.booleans())
def test_the_shortcuts_leave_the_tables_of_the_plain_path(
    mirror: Mirror, plain: Mirror, answers: list[tuple[timedelta, list[dict[str, Any]]]], seed: int, shared: bool
) -> None:
    for one in (mirror, plain):
        _empty(one)
    chance = random.Random(seed)
    whole = b"[]"
    for pause, items in answers:
        whole = whole if chance.randrange(4) == 0 else spelt(items, chance)
        of = account("other" if shared and chance.randrange(3) == 0 else "default")
        mirror.chunk = chance.choice([1, 7, 100, 10_000])
        with block_bytes(chance.choice([1, 200, 5000])), small_changes(chance.choice([0, 1000])):
            report = mirror.observe(whole, after=pause, of=of)
        with plainly():
            expected = plain.observe(whole, after=pause, of=of)
        if report.status == "held" and chance.randrange(2):
            mirror.approve(report.id)
            plain.approve(expected.id)

        assert str(expected.error) == str(report.error)
        assert expected._replace(error=None) == report._replace(error=None)
        assert tables(plain) == tables(mirror)


@contextmanager
def plainly() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sync, "_read", read_whole)
        yield


@contextmanager
def block_bytes(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", size)
        patch.setattr(blocks, "LARGEST_ITEM_BLOCK", max(16 * size, 20_000))
        patch.setattr(packed, "PACKED_ROWS", 2)
        patch.setattr(packed, "PLAIN_PACKED_BYTES", 1000)
        patch.setattr(matcher, "SETTLED_ITEMS", 2)
        patch.setattr(stream, "SLICE_BYTES", max(3, size // 10))
        patch.setattr(stream, "WAITING_BYTES", size)
        yield


@contextmanager
def small_changes(rows: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "SMALL_CHANGE", rows)
        patch.setattr(bulk, "FEW_NEW_ROWS", rows)
        yield


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Mirror]:
    """A second mirror, for the plain path."""
    made = Mirror(f"sqlite:///{tmp_path}/plain.db")
    yield made
    made.engine.dispose()


def _empty(mirror: Mirror) -> None:
    mirror.now = mirror.now.replace(year=2026, month=11, day=1, hour=12, minute=0, second=0)
    with mirror.engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
        if mirror.engine.dialect.name == "sqlite":
            connection.exec_driver_sql("DELETE FROM sqlite_sequence")
        else:
            connection.exec_driver_sql("ALTER SEQUENCE sync_runs_id_seq RESTART")


@pytest.mark.parametrize("rows", [[item(1), paid(2)], [item(1, name="half \ud83e"), paid(2, unknown=1)]])
def test_an_unchanged_poll_writes_its_run_and_nothing_else(mirror: Mirror, rows: list[dict[str, Any]]) -> None:
    mirror.observe(rows)
    before = {table.name: mirror.rows(table) for table in metadata.sorted_tables}

    with statements(mirror.engine) as seen:
        report = mirror.observe(rows)

    written = [
        statement.split()[:3] for statement in seen if statement.split()[0] in {"INSERT", "UPDATE", "DELETE", "COPY"}
    ]
    changed = {name for name in before if before[name] != mirror.rows(metadata.tables[name])}
    assert report.status == "unchanged"
    assert {"sync_runs", "accounts"} == changed
    assert not any("instances" in statement or "instance_history" in statement for statement in map(str, written))


def test_an_unchanged_poll_takes_as_many_statements_for_a_thousand_instances_as_for_one(mirror: Mirror) -> None:
    counts = []
    for size in (1, 1000):
        rows = [item(number) for number in range(1, size + 1)]
        mirror.observe(rows)
        with statements(mirror.engine) as seen:
            mirror.observe(rows)
        counts.append(len(seen))

    assert counts[0] == counts[1] <= 16


@pytest.mark.parametrize("order", ["rows", "keys"])
def test_another_order_is_recognised_without_decoding(
    mirror: Mirror, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [item(number) for number in range(1, 50)]
    mirror.observe(rows)
    turned = rows[::-1] if order == "rows" else [dict(reversed(one.items())) for one in rows]
    monkeypatch.setattr(matcher, "read_told", None)

    assert mirror.observe(turned).status == "unchanged"


def test_a_changed_instance_is_the_only_one_decoded(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [item(number) for number in range(1, 50)]
    mirror.observe(rows)
    rows[7]["name"] = "other"
    decoded: list[int] = []
    read_told = matcher.read_told
    monkeypatch.setattr(
        matcher, "read_told", lambda told, *rest: decoded.append(told.id_instance) or read_told(told, *rest)
    )

    report = mirror.observe(rows)

    assert ([8], 1) == (decoded, report.updated)


def test_an_instance_that_the_grace_masks_is_looked_at_each_time(mirror: Mirror) -> None:
    rows = [item(1, timeCreated="2026-11-01T15:04:00", isExpired=True), item(2)]
    mirror.observe(rows)
    mirror.observe(rows, after=timedelta(seconds=1))
    mirror.observe(rows, after=timedelta(minutes=5))

    assert ["created", "expired"] == mirror.words(1)


def test_rejects_are_recorded_for_each_answer_though_nothing_changed(mirror: Mirror) -> None:
    for _ in range(3):
        report = mirror.observe([item(1), item(2, name=5)])

    assert (1, 3) == (report.rejected, len(mirror.rows(metadata.tables["rejected_items"])))


def test_an_instance_that_another_account_took_meanwhile_is_compared_again(mirror: Mirror) -> None:
    """What was seen to be unchanged before the request is not so any more when it is to be applied."""
    mine = account()
    mirror.observe([item(1), item(2)], of=mine)
    real = sync.apply

    def taken_meanwhile(*arguments: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sync, "apply", real)
            mirror.observe([item(1)], of=account("other"))
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sync, "apply", taken_meanwhile)
        patch.setattr(stream, "KEPT_WHOLE_BYTES", 0)
        report = mirror.observe([item(1), item(2)], of=mine)

    assert (1, "default") == (report.updated, mirror.instance(1)["account"])


def test_other_settings_do_not_take_what_old_ones_made(mirror: Mirror) -> None:
    mirror.observe([item(1)])
    west = account()
    west = west._replace(decoder=west.decoder._replace(upstream_offset=timedelta(hours=-5)))

    assert 1 == mirror.observe([item(1)], of=west).updated


def test_hashes_that_other_settings_made_are_renewed_once(mirror: Mirror) -> None:
    rows = [item(number) for number in range(1, 5)]
    mirror.observe(rows)
    other = account()._replace(expiry_grace=timedelta(minutes=6))
    marks = [{row["item_hash"] for row in mirror.rows(metadata.tables["instances"])}]
    for _ in range(2):
        with statements(mirror.engine) as seen:
            report = mirror.observe(rows[::-1], of=other)
        marks.append({row["item_hash"] for row in mirror.rows(metadata.tables["instances"])})

    assert (0, "unchanged") == (report.updated, report.status)
    assert marks[0].isdisjoint(marks[1])
    assert marks[1] == marks[2]
    assert not any(statement.startswith("UPDATE instances") for statement in seen)


def test_hashes_that_an_odd_answer_left_out_are_made_up_for(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [item(number) for number in range(1, 5)]
    mirror.observe([*rows, item(4, name="twice")])
    mirror.observe(rows[::-1])
    monkeypatch.setattr(matcher, "read_told", None)

    assert 0 == mirror.observe(rows).updated


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("listing", [b'{"code":401,"description":"Unauthorized"}', b"<html>", b"", b"  [1,", b"[1]]"])
def test_what_is_no_list_is_told_as_by_the_plain_path(mirror: Mirror, listing: bytes, size: int) -> None:
    mirror.chunk = size
    report = mirror.observe(listing)
    with plainly():
        plain = mirror.observe(listing)

    assert (str(plain.error), plain.exit_code) == (str(report.error), report.exit_code)


def test_a_large_odd_answer_is_asked_for_once_more(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "KEPT_WHOLE_BYTES", 100)
    mirror.observe([item(1), item(2)])

    report = mirror.observe([item(1), item(2), item(1, name="twice")])

    assert (2, ["created"]) == (report.rejected, mirror.words(1))


@given(st.data())
def test_any_cut_into_chunks_and_blocks_gives_the_same_items(data: st.DataObject) -> None:
    values = data.draw(
        st.lists(
            st.recursive(
                st.none() | st.text('},{[]\\" a\u0434') | st.integers(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text("},\\"), inner),
                max_leaves=5,
            ),
            max_size=8,
        )
    )
    text = json.dumps(
        values, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1]))
    ).encode()
    size = data.draw(st.integers(1, 20))
    with block_bytes(data.draw(st.integers(1, 50))):
        cuts = blocks.cut(text[1:size], (text[at : at + size] for at in range(size, len(text), size)))
        items = [json.loads(bytes(one)) for block in cuts for one in block]

    assert values == items


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_no_beginning_of_a_list_and_no_comma_at_its_end_goes_by(size: int) -> None:
    text = body([item(1), item(2), item(3)])

    with block_bytes(size):
        for damaged in [*(text[:end] for end in range(len(text))), text[:-1] + b",]", text[:-1] + b", \n]"]:
            for at in (len(damaged) // 2, len(damaged) - 2):
                chunks = [damaged[:at], damaged[at:]]
                assert stream.read(chunks, account().decoder, lambda: matcher.NOTHING_KNOWN).odd, damaged[-20:]
        assert not stream.read([text], account().decoder, lambda: matcher.NOTHING_KNOWN).odd


def test_what_returns_as_it_was_differs_whatever_its_hashes() -> None:
    """No row that is missing has hashes in the tables; if one had, its return would be told all the same."""
    decoder = account().decoder
    text = body([item(1), item(2)])
    told = [
        pair
        for batch in stream.read([text], decoder, lambda: matcher.NOTHING_KNOWN).differing.batches()
        for pair in batch
    ]
    known = matcher.Known(
        array("q", [1, 2]),
        array("Q", [hashes.item for _, hashes in told]),
        array("Q", [hashes.content for _, hashes in told]),
        bytearray([0, matcher.MISSING]),
    )

    for spelling in (text, json.dumps([item(1), dict(reversed(item(2).items()))]).encode()):
        reading = stream.read([spelling], decoder, lambda: known)

        assert [2] == [instance.id_instance for batch in reading.differing.batches() for instance, _ in batch]
        assert (1, []) == (reading.returned, list(reading.unseen))


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 7, 50])
def test_hashes_are_read_in_parts_and_are_those_of_the_rows(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    mirror.observe([item(number, deleted=number == 4) for number in (1, 2, 3, 4, 5, 6)])
    mirror.observe([item(7)], of=account(name="other"))
    mirror.observe([item(number, deleted=number == 4) for number in (1, 3, 4, 5, 6)])
    for name in ("ROWS_IN_A_VALUE", "BATCH_ROWS"):
        monkeypatch.setattr(bulk, name, at_once)

    with mirror.engine.connect() as connection:
        ids, item_hashes, content_hashes, flags = bulk.read_hashes(connection, "default")

    stored = [row for row in mirror.rows(instances) if row["account"] == "default"]
    assert [row["id_instance"] for row in stored] == list(ids) == [1, 2, 3, 4, 5, 6]
    assert [row["item_hash"] for row in stored] == [bulk.signed(number) for number in item_hashes]
    assert [row["content_hash"] for row in stored] == [bulk.signed(number) for number in content_hashes]
    assert [0, 2, 0, 1, 0, 0] == list(flags)


def test_an_answer_that_another_run_applies_while_hashes_are_read_is_overtaken(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before and after it does not belong together; PostgreSQL sees a commit between two parts."""
    rows = [item(number) for number in (1, 2, 3)]
    mirror.observe(rows)
    monkeypatch.setattr(bulk, "ROWS_IN_A_VALUE", 1)
    other = Mirror(mirror.engine.url.render_as_string(hide_password=False))
    other.now = mirror.now
    part = 2 if mirror.engine.dialect.name == "postgresql" else 1
    seen: list[str] = []

    def interrupt(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "content_hash" in statement:
            seen.append(statement)
            if len(seen) == part:
                assert "ok" == other.observe([item(1, name="new"), item(2), item(3, name="new")]).status

    event.listen(mirror.engine, "before_cursor_execute", interrupt)
    overtaken = mirror.observe([item(1, name="old"), item(2), item(3, name="old")], after=timedelta(minutes=6))
    event.remove(mirror.engine, "before_cursor_execute", interrupt)
    other.engine.dispose()

    assert "superseded" == overtaken.status
    assert ["created", "changed", "created", "created", "changed"] == [
        word for number in (1, 2, 3) for word in mirror.words(number)
    ]
    assert ["new", "client", "new"] == [mirror.instance(number)["name"] for number in (1, 2, 3)]
    assert verify.verify(mirror.engine).holds


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Every statement that is sent meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def test_a_poll_costs_the_same_after_a_thousand_others(tmp_path: Path) -> None:
    """Counted in steps of SQLite's machine, also where approvals were given and used."""
    mirror = Mirror(f"sqlite:///{tmp_path}/syncer.db")
    rows = [item(number) for number in range(1, 11)]
    mirror.observe(rows)
    mirror.approve(mirror.observe(rows[5:]).id)
    mirror.observe(rows)
    steps = []
    for _ in range(2):
        with counted_steps(mirror.engine) as counted:
            assert "unchanged" == mirror.observe(rows).status
        steps.append(counted())
        with mirror.engine.begin() as connection:
            runs = [{"n": number} for number in range(1000)]
            connection.exec_driver_sql(
                'INSERT INTO sync_runs (account, "trigger", status, started_at, finished_at) SELECT '
                "account, 'schedule', 'unchanged', started_at, finished_at FROM sync_runs WHERE id = 1 AND :n >= 0",
                runs,
            )
    mirror.engine.dispose()

    assert steps[1] < 1.2 * steps[0]


@contextmanager
def counted_steps(engine: Engine) -> Iterator[Callable[[], int]]:
    """How many dozens of steps the machine of SQLite took meanwhile."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    def listen(connection: sqlite3.Connection, _record: Any) -> None:
        connection.set_progress_handler(count, 12)

    event.listen(engine, "connect", listen)
    yield lambda: taken
    event.remove(engine, "connect", listen)
