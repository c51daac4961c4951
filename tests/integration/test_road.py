"""Any spelling, order or cut of an answer leaves the tables that the contract says; and what a poll may cost."""

import json
import os
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import body, item, paid
from canary import PARTNER_TOKEN
from contract_model import ContractModel, as_the_model_has_it
from histories import histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mirror import Mirror, account, emptied, serving
from sqlalchemy import Engine, event, text

from syncer.answer.known import DELETED, MISSING, RENEWING
from syncer.model import Answer, Read
from syncer.scrub import Scrubber
from syncer.storage import database
from syncer.storage import rows as stored_rows
from syncer.storage.repair import repair
from syncer.storage.tables import instance_history, instances, metadata, rejected_items
from syncer.sync import Terms, plan
from syncer.views import verify

EXAMPLES = int(os.environ.get("SYNCER_MODEL_EXAMPLES", "25"))
OUTCOMES = {"ok": "accepted", "unchanged": "accepted", "held": "held", "failed": "failed"}
NEW = "2026-11-01T15:03:00"  # younger than the grace in the first answers


def reading(of: Terms, **values: Any) -> Terms:
    """The account, with other sizes of blocks and of what is kept."""
    return of._replace(decoder=of.decoder._replace(**values))


def spelt(items: list[dict[str, Any]], chance: random.Random) -> bytes:
    """The same list, or nearly: other orders and spellings, items twice, in unusual forms, or unreadable."""
    told: list[Any] = [dict(one) for one in items]
    for one in told:
        match chance.randrange(26):
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
            case 8:
                one["name"] = "}," * chance.choice([1, 50, 3000])
            case _:
                pass
    match chance.randrange(12):
        case 0 if told:
            told.append(chance.choice(told))
        case 1 if told:
            told.append(chance.choice(told) | {"name": "twice"})
        case 2 if told:
            one = chance.choice(told)
            told += [one | {"name": "twice"}, one, one | {"name": "thrice"}][: chance.randrange(1, 4)]
        case 3:
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
def test_any_spelling_leaves_the_tables_that_the_contract_says(
    mirror: Mirror, answers: list[tuple[timedelta, list[dict[str, Any]]]], seed: int, shared: bool
) -> None:
    emptied(mirror)
    model = ContractModel()
    chance = random.Random(seed)
    whole = b"[]"
    for pause, items in answers:
        whole = whole if chance.randrange(4) == 0 else spelt(items, chance)
        name = "other" if shared and chance.randrange(3) == 0 else "default"
        of = reading(
            account(name), block_bytes=chance.choice([1, 200, 5000]), kept_bytes=chance.choice([0, 100, 10**7])
        )
        mirror.chunk = chance.choice([1, 7, 100, 10_000])
        with small_changes(chance.choice([0, 1000])):
            report = mirror.observe(whole, after=pause, of=of)
        expected = model.observe_body(whole, mirror.now, name)
        if expected == "held" and chance.randrange(2):
            mirror.approve(report.id)
            model.approve()

        assert expected == OUTCOMES[report.status]
        if expected == "accepted":
            assert (model.listed, model.rejected) == (report.listed, report.rejected)
            assert model.rejected == sum(row["run_id"] == report.id for row in mirror.rows(rejected_items))
        assert model.rows == {row["id_instance"]: as_the_model_has_it(row) for row in mirror.rows(instances)}

    columns = list(model.history[0]) if model.history else []
    stored = [{name: row[name] for name in columns} for row in mirror.rows(instance_history)]
    assert sorted(model.history, key=by_instance) == sorted(stored, key=by_instance)
    assert verify.verify(mirror.engine).holds


def items_of(whole: bytes) -> list[Any]:
    """What it lists; nothing if it is no list."""
    try:
        items = json.loads(whole.decode("utf-8-sig"))
    except ValueError:
        return []
    return items if isinstance(items, list) else []


def by_instance(event: dict[str, Any]) -> int:
    """Between instances the contract states no order."""
    return int(event["id_instance"])


@contextmanager
def small_changes(count: int) -> Iterator[None]:
    """As if PostgreSQL were sent changes row by row up to this count."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_rows, "SMALL_CHANGE", count)
        patch.setattr(stored_rows, "FEW_NEW_ROWS", count)
        yield


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

    assert counts[0] == counts[1] <= 18


class Reads:
    """An account whose items are counted as they are read, by their names."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.account = reading(account(), scrub=self._scrub)

    def _scrub(self, text: str) -> str:
        if text.startswith("name "):
            self.names.append(text)
        return text


def named(*numbers: int) -> list[dict[str, Any]]:
    return [item(number, name=f"name {number}") for number in numbers]


@pytest.mark.parametrize("kept_bytes", [0, 10**7])
def test_what_is_as_it_was_is_not_read_again_in_whatever_order(mirror: Mirror, kept_bytes: int) -> None:
    reads = Reads()
    of = reading(reads.account, kept_bytes=kept_bytes, block_bytes=500)
    mirror.observe(named(*range(1, 50)), of=of)
    reads.names.clear()

    reports = [mirror.observe(answer, of=of) for answer in (named(*range(1, 50)), named(*range(49, 0, -1)))]

    assert [] == reads.names
    assert ["unchanged", "unchanged"] == [report.status for report in reports]


def test_items_that_everything_is_unusual_of_are_known_by_their_hashes_too(mirror: Mirror) -> None:
    """As if the upstream had added a key to every item."""
    reads = Reads()
    answer = [one | {"new": {"b": 1}} for one in named(*range(1, 50))]
    mirror.observe(answer, of=reads.account)
    reads.names.clear()

    assert mirror.observe(answer[::-1], of=reads.account).status == "unchanged"
    assert [] == reads.names


def test_items_in_another_order_of_keys_change_no_row_and_are_known_after_the_next_change(mirror: Mirror) -> None:
    reads = Reads()
    mirror.observe(named(*range(1, 50)), of=reads.account)
    turned = [dict(reversed(one.items())) for one in named(*range(1, 50))]
    before = mirror.rows(instances)

    assert mirror.observe(turned, of=reads.account).status == "unchanged"
    assert before == mirror.rows(instances)
    assert mirror.observe([*turned, item(50, name="name 50")], of=reads.account).created == 1
    reads.names.clear()
    assert mirror.observe([item(50, name="name 50"), *turned[::-1]], of=reads.account).status == "unchanged"
    assert [] == reads.names


def test_after_a_change_of_settings_what_is_as_it_was_is_read_once_more_and_then_known(mirror: Mirror) -> None:
    mirror.observe(named(*range(1, 50)), of=reading(account(), scrub=Scrubber([PARTNER_TOKEN])))
    reads = Reads()

    reports = [mirror.observe(named(*range(1, 50)), of=reads.account)]
    reads.names.clear()
    reports.append(mirror.observe(named(*range(49, 0, -1)), of=reads.account))

    assert ["unchanged", "unchanged"] == [report.status for report in reports]
    assert [] == reads.names


def test_a_changed_instance_is_the_only_one_read(mirror: Mirror) -> None:
    reads = Reads()
    mirror.observe(named(*range(1, 50)), of=reads.account)
    reads.names.clear()

    report = mirror.observe([*named(*range(1, 8)), item(8, name="name x"), *named(*range(9, 50))], of=reads.account)

    assert (["name x"], 1) == (reads.names, report.updated)


def test_a_token_that_is_learnt_while_it_is_fetched_lets_the_answer_be_recognised_all_the_same(mirror: Mirror) -> None:
    """The seed of the hashes holds the secrets; a fetch reads the token anew."""
    for chance in range(3):
        scrub = Scrubber()
        of = reading(account(), scrub=scrub)

        def fetch(read: Callable[[Iterable[bytes]], Read], scrub: Scrubber = scrub) -> Answer[Read]:
            scrub.learn(PARTNER_TOKEN)
            return serving(body([item(1)]))(read)

        with statements(mirror.engine) as seen:
            mirror.observe([], of=of, fetch=fetch)
        assert chance == 0 or not any("item_hash" in statement for statement in seen)


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


def test_an_answer_is_not_applied_to_a_schema_that_changed_while_it_was_fetched(mirror: Mirror) -> None:
    """A newer syncer upgraded it: this one knows nothing of its tables."""
    mirror.observe([item(1)])
    fetch = serving(body([item(1, deleted=True)]))

    def fetch_amid_an_upgrade(read: Callable[[Iterable[bytes]], Read]) -> Answer[Read]:
        with mirror.engine.begin() as connection:
            connection.execute(text("UPDATE syncer_version SET version_num = '9999'"))
        return fetch(read)

    report = mirror.observe([], fetch=fetch_amid_an_upgrade)

    assert report.error is not None
    assert "its schema is newer than this syncer" in str(report.error)
    assert ("failed", ["created"]) == (report.status, mirror.words())


def test_an_instance_that_another_account_took_meanwhile_ends_the_run_superseded(mirror: Mirror) -> None:
    """What was seen to be missing still while it was fetched is not so any more when it is to be applied."""
    mine = account()
    mirror.observe([item(1), item(2)], of=mine)
    mirror.observe([item(2)], of=mine)

    def taken_meanwhile(read: Callable[[Iterable[bytes]], Read]) -> Answer[Read]:
        answer = serving(body([item(2)]))(read)
        assert mirror.observe([item(1)], of=account("other")).updated == 1
        return answer

    report = mirror.observe([], of=mine, fetch=taken_meanwhile)
    after = mirror.observe([item(2)], of=mine)

    assert ("superseded", 7) == (report.status, report.exit_code)
    assert (0, "other") == (after.updated, mirror.instance(1)["account"])


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


def test_an_answer_that_lists_an_id_twice_leaves_nothing_to_be_made_up_for(mirror: Mirror) -> None:
    reads = Reads()
    mirror.observe([*named(1, 2, 3, 4), item(4, name="twice")], of=reads.account)
    mirror.observe(named(4, 3, 2, 1), of=reads.account)
    reads.names.clear()

    assert 0 == mirror.observe(named(1, 2, 3, 4), of=reads.account).updated
    assert [] == reads.names


class Upstream:
    """Serves answers in turn and counts how often it is asked."""

    def __init__(self, *bodies: bytes) -> None:
        self.asked = 0
        self._bodies = bodies

    def __call__(self, read: Callable[[Iterable[bytes]], Read]) -> Answer[Read]:
        text = self._bodies[min(self.asked, len(self._bodies) - 1)]
        self.asked += 1
        return serving(text)(read)


def test_a_large_answer_that_lists_an_id_twice_is_asked_for_once_more(mirror: Mirror) -> None:
    upstream = Upstream(body([item(1), item(2), item(1, name="twice")]))

    report = mirror.observe([], fetch=upstream, of=reading(account(), kept_bytes=100))

    assert (2, ["created"], 2) == (report.rejected, mirror.words(), upstream.asked)


def test_a_large_answer_that_differs_late_from_the_last_one_is_asked_for_once_more(mirror: Mirror) -> None:
    of = reading(account(), kept_bytes=500)
    mirror.observe([item(1), item(2), item(3)], of=of)
    late = Upstream(body([item(1), item(2), item(3, name="late")]))
    early = Upstream(body([item(1, name="early"), item(2), item(3)]))

    reports = [mirror.observe([], fetch=fetch, of=of) for fetch in (late, early)]

    assert [1, 2] == [report.updated for report in reports]
    assert (2, 1) == (late.asked, early.asked)


def test_an_answer_that_lists_others_twice_each_time_is_given_up(mirror: Mirror) -> None:
    of = reading(account(), kept_bytes=100)
    upstream = Upstream(*(body([item(1), item(2), item(3), item(number)]) for number in (1, 2, 3)))

    report = mirror.observe([], fetch=upstream, of=of)

    assert (5, 3, []) == (report.exit_code, upstream.asked, mirror.words())
    assert "lists instances more than once" in str(report.error)


def test_names_full_of_what_ends_an_item_do_not_have_an_answer_asked_for_twice(mirror: Mirror) -> None:
    answer = [item(number, name="}," * 32_000) for number in range(1, 81)]
    upstream = Upstream(body(answer))

    report = mirror.observe([], fetch=upstream, of=reading(account(), kept_bytes=0))

    assert (80, 0, 1) == (report.created, report.rejected, upstream.asked)


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 7, 50])
def test_hashes_are_read_in_parts_and_are_those_of_the_rows(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    mirror.observe([item(number, deleted=number == 4) for number in (1, 2, 3, 4, 5, 6)])
    mirror.observe([item(7)], of=account(name="other"))
    mirror.observe([item(number, deleted=number == 4) for number in (1, 3, 4, 5, 6)])
    for name in ("ROWS_IN_A_VALUE", "BATCH_ROWS"):
        monkeypatch.setattr(stored_rows, name, at_once)

    with mirror.engine.connect() as connection:
        known = stored_rows.read_known(connection, "default")

    stored = [row for row in mirror.rows(instances) if row["account"] == "default"]
    assert [row["id_instance"] for row in stored] == list(known.ids) == [1, 2, 3, 4, 5, 6]
    assert [row["item_hash"] for row in stored] == [stored_rows.signed(number) for number in known.hashes]
    assert [RENEWING, RENEWING | MISSING, RENEWING, RENEWING | DELETED, RENEWING, RENEWING] == list(known.flags)


def test_an_answer_that_another_run_applies_while_hashes_are_read_is_overtaken(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before and after it does not belong together; PostgreSQL sees a commit between two parts."""
    rows = [item(number) for number in (1, 2, 3)]
    mirror.observe(rows)
    monkeypatch.setattr(stored_rows, "ROWS_IN_A_VALUE", 1)
    other = Mirror(mirror.engine.url.render_as_string(hide_password=False))
    other.now = mirror.now
    part = 2 if mirror.engine.dialect.name == "postgresql" else 1
    seen: list[str] = []

    def interrupt(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "item_hash" in statement and statement.startswith("SELECT"):
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


@pytest.mark.parametrize("step", range(6))
def test_a_run_that_another_passes_while_it_starts_is_overtaken_or_comes_after_it(
    postgresql_url: str, step: int
) -> None:
    """SQLite starts one run at a time."""
    mirror, other = Mirror(postgresql_url), Mirror(postgresql_url)
    mirror.observe([item(1), item(2)])
    other.now = mirror.now
    seen: list[str] = []

    def interrupt(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)
        if len(seen) == step + 1:
            assert "ok" == other.observe([item(1, name="new"), item(2)]).status

    event.listen(mirror.engine, "before_cursor_execute", interrupt)
    passed = mirror.observe([item(1, name="old"), item(2)], after=timedelta(minutes=6))
    event.remove(mirror.engine, "before_cursor_execute", interrupt)

    told = {"superseded": ["client", "new"], "ok": ["client", "new", "old"]}[passed.status]
    assert told[-1] == mirror.instance(1)["name"]
    assert verify.verify(mirror.engine).holds
    for one in (mirror, other):
        one.engine.dispose()


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


@pytest.mark.parametrize("count", [3, stored_rows.SMALL_CHANGE + 1])
def test_columns_that_have_not_changed_are_not_written(mirror: Mirror, count: int) -> None:
    """In few rows and in many, which PostgreSQL is sent otherwise."""
    numbers = range(1, 1 + count)
    mirror.observe([item(number) for number in numbers])

    with statements(mirror.engine) as sent:
        mirror.observe([item(number, expirationDate="2026-12-04T18:39:44") for number in numbers])

    (update,) = (statement for statement in sent if statement.startswith("UPDATE instances SET"))
    assignments = update.removeprefix("UPDATE instances SET").partition(" WHERE ")[0].partition(" FROM ")[0]
    written = [assignment.partition(" = ")[0].strip() for assignment in assignments.split(",")]
    assert ["expiration_date", "changed_at", "renewed_at", "item_hash"] == written


def test_many_rows_of_which_other_columns_have_changed_are_each_written_as_they_should(mirror: Mirror) -> None:
    many = 2 * stored_rows.SMALL_CHANGE + 2
    before = [item(number) for number in range(1, 1 + many)]
    after = [one | ({"name": "new"} if one["idInstance"] % 2 else {"tariff": "PARTNER_24"}) for one in before]
    mirror.observe(before)

    report = mirror.observe(after)

    stored = [(row["name"], row["tariff"]) for row in mirror.rows(instances)]
    assert (many, {"changed": many}) == (report.updated, dict(report.transitions))
    assert sorted([("new", "PARTNER_23"), ("client", "PARTNER_24")] * (many // 2)) == sorted(stored)
    assert verify.verify(mirror.engine).holds


def test_a_daily_roll_reads_dates_and_no_rows(mirror: Mirror) -> None:
    numbers = range(1, 4)
    mirror.observe([item(number) for number in numbers])

    with statements(mirror.engine) as sent:
        report = mirror.observe([item(number, expirationDate="2026-12-04T18:39:44") for number in numbers])

    assert (3, {}) == (report.updated, dict(report.transitions))
    assert [one for one in sent if "partner_user_uiid" in one] == []
    assert any("expiration_date" in one for one in sent if one.startswith("SELECT"))


def test_a_roll_over_rows_that_have_no_hash_of_their_rest_is_the_same_and_gives_them_one(mirror: Mirror) -> None:
    """As in a database of an earlier revision."""
    rows = [item(1), item(2, name="n"), paid(3)]
    rolled = [one | {"expirationDate": "2027-01-04T18:39:44"} for one in rows]
    mirror.observe(rows)
    with mirror.engine.begin() as connection:
        connection.execute(text("UPDATE instances SET rest_hash = NULL"))
    mirror.observe(rolled)
    first = [(row["id_instance"], row["expiration_date"], row["renewed_at"]) for row in mirror.rows(instances)]

    mirror.observe([one | {"expirationDate": "2027-01-05T18:39:44"} for one in rows])

    stored = mirror.rows(instances)
    assert {expires for _key, expires, _renewed in first} == {datetime(2027, 1, 4, 15, 39, 44, tzinfo=UTC)}
    assert {row["expiration_date"] for row in stored} == {datetime(2027, 1, 5, 15, 39, 44, tzinfo=UTC)}
    assert all(row["rest_hash"] for row in stored)
    assert ["created"] * 3 + ["extended"] * 2 == mirror.words()
    assert verify.verify(mirror.engine).holds


def test_a_row_that_was_edited_by_hand_rolls_as_it_is_and_is_repaired_all_the_same(mirror: Mirror) -> None:
    """What nobody told is no transition, in a plan and in a run alike."""
    rolled = [item(1, expirationDate="2026-12-04T18:39:44")]
    mirror.observe([item(1)])
    with mirror.engine.begin() as connection:
        connection.execute(text("UPDATE instances SET name = 'by hand'"))

    planned = plan(mirror.engine, account(), serving(body(rolled)), lambda: mirror.now)
    mirror.observe(rolled)
    (row,) = mirror.rows(instances)

    assert [(one.events, "name" in one.differing) for one in planned.decisions] == [((), False)]
    assert ("by hand", ["created"]) == (row["name"], mirror.words())
    assert not verify.verify(mirror.engine).holds
    with database.writing(mirror.engine, "repairing") as connection:
        assert repair(connection) == [1]
    mirror.observe(rolled)
    assert ("client", ["created"]) == (mirror.rows(instances)[0]["name"], mirror.words())
    assert verify.verify(mirror.engine).holds
