"""What a receiver is sent, in which order, and what its answers lead to; on both databases, over real HTTP."""

import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import item, paid
from mirror import Mirror, account, give_version
from receiving import OTHER_SECRET, SECRET, Behaviour, ReceivingServer, answers, receiving
from sqlalchemy import delete, update
from standardwebhooks import Webhook, WebhookVerificationError

from syncer import send
from syncer.errors import DatabaseFailed
from syncer.model import Transition
from syncer.post import client
from syncer.receivers.receiver import Address, Format, Receiver
from syncer.receivers.standard import parse_secret
from syncer.send import Sender, Sending
from syncer.storage import database, lease, receivers, schema
from syncer.storage.tables import attention_told, instance_history, syncer_epoch
from syncer.storage.tables import receivers as receivers_table

LIMIT = Receiver.most_a_second
ALL = Receiver("crm", transitions=frozenset(Transition))


@pytest.fixture
def server() -> Iterator[ReceivingServer]:
    with receiving() as made:
        yield made


class Telling:
    """A receiver of a mirror, told by hand: `look` is what a sender's thread does again and again."""

    def __init__(self, mirror: Mirror, server: ReceivingServer, receiver: Receiver = ALL, **address: Any) -> None:
        self.mirror = mirror
        self.server = server
        self.learned: list[str] = []
        self.stop = threading.Event()
        made = Address(server.url, address.pop("keys", (parse_secret(SECRET),)), **address)
        self.sending = Sending(
            engine=mirror.engine,
            receiver=receiver,
            read_address=lambda: made,
            holder=lease.new_holder(),
            clock=lambda: datetime.now(UTC),  # noqa: TID251 - what is signed is checked against the present
            stop=self.stop,
            learn=lambda *secrets: self.learned.extend(secrets),
        )
        self.sender = Sender(self.sending)

    def look(self, times: int = 1) -> float:
        """So many looks, as soon as the receiver may be tried."""
        seconds = 0.0
        for _ in range(times):
            self.be_due()
            seconds = self.sender.send_due()
        return seconds

    def tell_all(self) -> None:
        """Look until there is nothing left to do."""
        for _ in range(50):
            if self.look() >= send.LOOK_SECONDS:
                return
        raise AssertionError("there is always more to do")

    def be_due(self) -> None:
        """Let every pause be over."""
        with self.mirror.engine.begin() as connection:
            connection.execute(update(receivers_table).values(next_try_at=None))

    def row(self) -> dict[str, Any]:
        (row,) = [one for one in self.mirror.rows(receivers_table) if one["name"] == self.sending.receiver.name]
        return row

    def told(self) -> list[int]:
        """The ids of the history that arrived, in their order, each once."""
        return list(dict.fromkeys(got.json["data"]["id"] for got in self.server.got))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a limit per second, nor as long for a receiver as a daemon does."""
    monkeypatch.setattr(Receiver, "most_a_second", 10_000.0)
    monkeypatch.setattr(client, "WHOLE_SECONDS", 0.5)


@pytest.fixture
def telling(mirror: Mirror, server: ReceivingServer) -> Telling:
    """A receiver of everything, of an estate that was listed before it began."""
    mirror.observe([item(1), paid(2), item(3)])
    told = Telling(mirror, server)
    told.tell_all()
    return told


def test_a_new_receiver_starts_at_the_present(telling: Telling) -> None:
    assert [] == telling.server.got
    assert max(row["id"] for row in telling.mirror.history()) == telling.row()["last_history_id"]


def test_in_a_schema_that_is_not_this_codes_nothing_is_sent_nor_noted(telling: Telling) -> None:
    """A newer syncer may have upgraded it beneath this one; what is due is sent when it is this one's again."""
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])
    row = telling.row()
    give_version(telling.mirror, "9999")

    with pytest.raises(DatabaseFailed, match="its schema is newer than this syncer"):
        telling.sender.send_due()

    assert ([], row) == (telling.server.got, telling.row())
    give_version(telling.mirror, schema.head())
    telling.tell_all()
    assert 1 == len(telling.server.got)


def test_a_schema_that_changes_while_a_receiver_answers_is_not_written_to(
    telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])
    begun = telling.row()["last_history_id"]
    monkeypatch.setattr(telling.server, "decide", lambda _got: give_version(telling.mirror, "9999") or Behaviour())

    with pytest.raises(DatabaseFailed, match="its schema is newer than this syncer"):
        telling.sender.send_due()

    assert begun == telling.row()["last_history_id"]


def test_each_event_is_sent_in_the_order_of_the_history(telling: Telling) -> None:
    telling.mirror.observe([item(1, deleted=True), paid(2, isExpired=True), item(3, name="new")])
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3, name="newer")])

    telling.tell_all()

    rows = telling.mirror.history()[3:]
    (epoch,) = [row["epoch"] for row in telling.mirror.rows(syncer_epoch)]
    assert [row["id"] for row in rows] == telling.told()
    assert [f"{epoch}_{row['id']}" for row in rows] == telling.server.ids
    assert [f"instance.{row['transition']}" for row in rows] == [got.json["type"] for got in telling.server.got]
    assert rows[-1]["id"] == telling.row()["last_history_id"]
    assert (None, None, 0) == tuple(telling.row()[name] for name in ("holder", "failing_since", "tries"))


def test_the_body_holds_the_row_of_the_history(telling: Telling) -> None:
    telling.mirror.observe([item(1, deleted=True, timeDeleted="2026-11-01T15:07:00"), paid(2), item(3)])

    telling.tell_all()

    (got,) = telling.server.got
    (row,) = telling.mirror.rows(instance_history)[3:]
    assert {"type", "timestamp", "data"} == got.json.keys()
    assert row.keys() == got.json["data"].keys()
    assert "2026-11-01T12:07:00Z" == got.json["timestamp"] == got.json["data"]["occurred_at"]
    assert {"deleted": [False, True], "time_deleted": [None, "2026-11-01T12:07:00Z"]}.keys() == got.json["data"][
        "changes"
    ].keys()


def test_what_tells_of_a_token_is_not_sent(telling: Telling) -> None:
    telling.mirror.observe([item(1, apiTokenInstance="c0ffee5ec2e7" + "0" * 38), paid(2), item(3)])

    telling.tell_all()

    (got,) = telling.server.got
    assert ("instance.token_rotated", {}) == (got.json["type"], got.json["data"]["changes"])


def test_signatures_are_those_of_the_specification(mirror: Mirror, server: ReceivingServer) -> None:
    mirror.observe([item(1), item(2)])
    telling = Telling(mirror, server, keys=(parse_secret(SECRET), parse_secret(OTHER_SECRET)))
    telling.tell_all()
    mirror.observe([item(1, deleted=True), item(2)])

    telling.tell_all()

    (got,) = server.got
    for secret in (SECRET, OTHER_SECRET):
        assert got.json == Webhook(secret).verify(got.body, got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(got.body + b" ", got.headers)


def test_a_receiver_is_told_of_its_transitions_and_accounts_alone(mirror: Mirror, server: ReceivingServer) -> None:
    receiver = Receiver("crm", transitions=frozenset({Transition.DELETED}), accounts=frozenset({"default"}))
    telling = Telling(mirror, server, receiver)
    telling.tell_all()
    mirror.observe([item(1), item(2)])
    mirror.observe([item(11), item(12)], of=account("other"))
    mirror.observe([item(11, deleted=True), item(12)], of=account("other"))
    mirror.observe([item(1, deleted=True), item(2, name="new")])

    telling.tell_all()

    assert [("deleted", 1)] == [(got.json["data"]["transition"], got.json["data"]["id_instance"]) for got in server.got]
    assert mirror.history()[-1]["id"] == telling.row()["last_history_id"]


@pytest.mark.parametrize(("form", "told"), [(Format.STANDARD, [11, 11, 12, 13]), (Format.SLACK, [13])])
def test_the_first_answer_about_an_account_is_no_news_in_a_chat(
    mirror: Mirror, server: ReceivingServer, form: Format, told: list[int]
) -> None:
    telling = Telling(mirror, server, ALL._replace(format=form))
    telling.tell_all()
    mirror.observe([item(11, deleted=True), item(12)], of=account("other"))
    mirror.observe([item(11, deleted=True), item(12), item(13)], of=account("other"))

    telling.tell_all()

    said = [str(got.json.get("data", got.json)) for got in server.got]
    assert len(told) == len(said)
    assert [] == [one for key, one in zip(told, said, strict=True) if str(key) not in one]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (Behaviour(500, body=b"out of order"), "it answered HTTP 500: out of order"),
        (Behaviour(429, {"Retry-After": "7"}), "it answered HTTP 429"),
        (Behaviour(301, {"Location": "http://127.0.0.1:1/"}), "it answered HTTP 301, a redirect, which is not followed"),
        (Behaviour(404), "it answered HTTP 404"),
        (Behaviour(500, fault="drip_body"), "it answered HTTP 500"),
        (Behaviour(fault="hang"), "it did not answer within 0.5 s"),
        (Behaviour(fault="drip"), "it did not answer within 0.5 s"),
        (Behaviour(fault="cut"), "the connection broke off before it answered"),
    ],
)  # fmt: skip
def test_what_is_no_yes_is_tried_again_with_the_same_id(telling: Telling, behaviour: Behaviour, said: str) -> None:
    telling.server.behaviours = [behaviour]
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3, name="new")])
    telling.look()
    failing = telling.row()

    telling.tell_all()

    assert said.partition(": ")[0] in failing["last_error"]
    assert said == failing["last_error"] or "drip" in behaviour.fault
    assert (1, True) == (failing["tries"], failing["failing_since"] is not None)
    assert failing["next_try_at"] > failing["failing_since"]
    assert failing["holder"] is None
    first, again, second = telling.server.ids
    assert first == again != second
    assert [row["id"] for row in telling.mirror.history()[3:]] == telling.told()
    assert (None, 0, None) == tuple(telling.row()[name] for name in ("failing_since", "tries", "last_error"))


def test_pauses_double_and_a_longer_one_that_is_asked_for_is_kept(telling: Telling) -> None:
    telling.server.always = Behaviour(503)
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])
    pauses = []
    for _ in range(5):
        telling.look()
        row = telling.row()
        pauses.append((row["next_try_at"] - row["failing_since"]).total_seconds())
    telling.server.always = Behaviour(429, {"Retry-After": "1000"})

    telling.look()

    row = telling.row()
    assert 1.0 == pauses[0]
    assert 5 == row["tries"] - 1
    assert 999 < (row["next_try_at"] - row["failing_since"]).total_seconds() < 1100


def test_a_pause_is_waited_for(telling: Telling) -> None:
    telling.server.behaviours = [Behaviour(503, {"Retry-After": "1000"})]
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])
    telling.look()

    assert send.LOOK_SECONDS == telling.sender.send_due()
    assert 1 == len(telling.server.got)


def test_gone_stops_the_receiver_until_it_is_resumed(telling: Telling) -> None:
    telling.server.behaviours = [Behaviour(410)]
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])
    telling.look(3)
    stopped = telling.row()

    with database.writing(telling.mirror.engine, "resuming") as connection:
        assert receivers.resume(connection, "crm")
    telling.tell_all()

    assert stopped["stopped_at"] is not None
    assert (stopped["next_try_at"], stopped["holder"]) == (None, None)
    assert 2 == len(telling.server.got)
    assert 1 == len(set(telling.server.ids))
    assert telling.row()["stopped_at"] is None


def test_a_yes_is_one_whatever_becomes_of_its_body(telling: Telling) -> None:
    telling.server.behaviours = [Behaviour(204), Behaviour(200, fault="drip_body"), Behaviour(202, fault="cut_body")]
    telling.mirror.observe([item(1, deleted=True), paid(2, isExpired=True), item(3, name="new")])

    telling.tell_all()

    assert 3 == len(telling.server.got) == len(set(telling.server.ids))


def test_no_transaction_is_open_while_a_receiver_is_waited_for(telling: Telling) -> None:
    seen = []
    telling.server.on_message = lambda _got: seen.append(
        telling.mirror.observe([item(1, deleted=True), paid(2), item(3), item(4)]).status
    )
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])

    telling.look()

    assert ["ok"] == seen


def test_another_sender_leaves_a_receiver_alone_that_is_being_told(telling: Telling) -> None:
    other = Telling(telling.mirror, telling.server)
    looked = []
    telling.server.on_message = lambda _got: looked.append(other.sender.send_due())
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])

    telling.look()

    assert [send.LOOK_SECONDS] == looked
    assert 1 == len(telling.server.got)


def test_who_lost_a_receiver_meanwhile_moves_no_cursor(telling: Telling) -> None:
    other = Telling(telling.mirror, telling.server)
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3, name="new")])

    def take_over(_got: object) -> None:
        telling.server.on_message = lambda _got: None
        with telling.mirror.engine.begin() as connection:
            connection.execute(update(receivers_table).values(expires_at=datetime(2026, 1, 1, tzinfo=UTC)))
        other.tell_all()

    telling.server.on_message = take_over
    telling.tell_all()

    first, again, second = telling.server.ids
    assert first == again != second
    assert telling.mirror.history()[-1]["id"] == telling.row()["last_history_id"]


def test_a_restored_database_begins_a_new_epoch(telling: Telling) -> None:
    """By the recipe: what is restored has none."""
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])
    telling.tell_all()
    with telling.mirror.engine.begin() as connection:
        connection.execute(delete(syncer_epoch))
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3, deleted=True)])

    telling.tell_all()

    before, after = (got.id.partition("_")[0] for got in telling.server.got)
    assert before != after


def test_a_database_that_lies_elsewhere_begins_a_new_epoch(telling: Telling) -> None:
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])
    telling.tell_all()
    with telling.mirror.engine.begin() as connection:
        connection.execute(update(syncer_epoch).values(place="elsewhere"))
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3, deleted=True)])

    telling.tell_all()

    before, after = (got.id.partition("_")[0] for got in telling.server.got)
    assert before != after


def test_a_history_that_went_back_begins_a_new_epoch_and_is_told_from_its_end(telling: Telling) -> None:
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])
    telling.tell_all()
    with telling.mirror.engine.begin() as connection:
        connection.execute(update(receivers_table).values(last_history_id=1_000_000))

    telling.tell_all()

    (epoch,) = [row["epoch"] for row in telling.mirror.rows(syncer_epoch)]
    assert telling.server.got[0].id.partition("_")[0] != epoch
    assert telling.mirror.history()[-1]["id"] == telling.row()["last_history_id"]


def test_a_restore_beneath_a_living_daemon_is_noticed(telling: Telling) -> None:
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])
    telling.tell_all()
    newest = telling.mirror.history()[-1]["id"]
    with telling.mirror.engine.begin() as connection:
        connection.execute(delete(instance_history).where(instance_history.c.id == newest))
        connection.execute(update(receivers_table).values(last_history_id=newest - 1))
    before = telling.mirror.rows(syncer_epoch)

    telling.tell_all()

    assert before != telling.mirror.rows(syncer_epoch)


def test_a_restore_begins_one_epoch_however_many_receivers_notice_it(telling: Telling) -> None:
    others = [Telling(telling.mirror, telling.server, ALL._replace(name=name)) for name in ("erp", "bot")]
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])
    for one in (telling, *others):
        one.tell_all()
    newest = telling.mirror.history()[-1]["id"]
    with telling.mirror.engine.begin() as connection:
        connection.execute(delete(instance_history).where(instance_history.c.id == newest))
        connection.execute(update(receivers_table).values(last_history_id=newest - 1))
    epochs = [row["epoch"] for row in telling.mirror.rows(syncer_epoch)]

    for one in (telling, *others):
        one.tell_all()
        epochs += [row["epoch"] for row in telling.mirror.rows(syncer_epoch)]

    assert 2 == len(dict.fromkeys(epochs))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("mirror", ["sqlite"], indirect=True)
@pytest.mark.parametrize("answer", [200, 500])
def test_a_file_that_is_restored_while_nobody_sends_gives_no_id_twice(
    telling: Telling, tmp_path: Path, answer: int
) -> None:
    """Nor one that came with an answer that is no yes: it may have been acted on."""
    file, backup = tmp_path / "syncer.db", tmp_path / "backup.db"
    telling.mirror.observe([item(1), paid(2, deleted=True), item(3)])
    telling.tell_all()
    shutil.copy(file, backup)
    telling.mirror.observe([item(1, deleted=True), paid(2, deleted=True), item(3)])
    telling.server.behaviours = [*answers(answer)]
    telling.look()
    shutil.copy(backup, file)
    telling.mirror.observe([item(1), paid(2, deleted=True), item(3, deleted=True)])

    again = Telling(telling.mirror, telling.server)
    again.tell_all()

    told = [(got.json["data"]["id"], got.json["data"]["id_instance"]) for got in telling.server.got]
    assert [(4, 2), (5, 1), (5, 3)] == told
    assert 3 == len(set(telling.server.ids))


def test_what_is_sent_again_by_hand_keeps_its_id(telling: Telling) -> None:
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3, name="new")])
    telling.tell_all()
    with telling.mirror.engine.begin() as connection:
        connection.execute(update(receivers_table).values(last_history_id=3))

    Telling(telling.mirror, telling.server).tell_all()

    assert telling.server.ids[:2] == telling.server.ids[2:]


def test_that_a_restore_may_go_unnoticed_is_said_once(
    telling: Telling, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".syncer.db-epoch").mkdir()
    for name in ("a", "b", "c"):
        telling.mirror.observe([item(1, name=name), paid(2), item(3)])
        telling.tell_all()

    said = [record.fields for record in caplog.records if record.levelname == "WARNING"]  # type: ignore[attr-defined]
    assert 3 == len(telling.server.got)
    assert (telling.mirror.engine.dialect.name == "sqlite") == len(said)
    assert all(one["error"].endswith(".syncer.db-epoch: Is a directory") for one in said)


def test_what_another_sender_told_after_the_look_is_not_told_again(telling: Telling) -> None:
    other = Telling(telling.mirror, telling.server)
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])
    with telling.mirror.engine.connect() as connection:
        look = telling.sender._look(connection)
    assert look is not None
    other.tell_all()

    assert send.LOOK_SECONDS == telling.sender._send(look)
    assert 1 == len(telling.server.got)


def test_messages_keep_to_their_limit_per_second(
    mirror: Mirror, server: ReceivingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Receiver, "most_a_second", LIMIT)
    mirror.observe([item(key) for key in range(1, 9)])
    telling = Telling(mirror, server)
    telling.tell_all()
    mirror.observe([item(key, name="new") for key in range(1, 9)])

    telling.tell_all()

    times = [got.at for got in server.got]
    assert 8 == len(times)
    assert times[-1] - times[0] >= 7 * 0.1 - 0.05


FAR = "2099-01-01T00:00:00"  # so that nothing expires soon
ATTENTIVE = Receiver("crm", transitions=frozenset({Transition.DELETED}), wants_attention=True)


def test_what_comes_to_need_attention_is_told_and_when_it_needs_it_no_more(
    mirror: Mirror, server: ReceivingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "ATTENTION_SECONDS", 0.0)
    mirror.now = datetime.now(UTC) - timedelta(hours=3)  # noqa: TID251 - the view asks the database's clock
    mirror.observe([paid(1, isExpired=True, expirationDate="2026-01-01T00:00:00"), paid(2, expirationDate=FAR)])
    telling = Telling(mirror, server, ATTENTIVE)
    telling.tell_all()
    assert [] == server.got
    mirror.observe(
        [paid(1, isExpired=True, expirationDate="2026-01-01T00:00:00"), paid(2, isExpired=True, expirationDate=FAR)]
    )
    telling.tell_all()
    mirror.observe([paid(1, isExpired=True, expirationDate="2026-01-01T00:00:00"), paid(2, expirationDate=FAR)])
    telling.tell_all()

    (epoch,) = [row["epoch"] for row in mirror.rows(syncer_epoch)]
    assert ["attention.began", "attention.ended"] == [got.json["type"] for got in server.got]
    assert [2, 2] == [got.json["data"]["id_instance"] for got in server.got]
    since = server.got[0].json["data"]["since"]
    assert server.ids[0].startswith(f"{epoch}_2_expired_not_deleted_{since[:4]}")
    assert [server.ids[0], f"{server.ids[0]}_over"] == server.ids
    assert [1] == [row["id_instance"] for row in mirror.rows(attention_told)]


@pytest.mark.parametrize(("form", "told"), [(Format.STANDARD, [71111, 72222]), (Format.SLACK, [72222])])
def test_what_needs_attention_by_the_first_answer_is_no_news_in_a_chat_alone(
    mirror: Mirror, server: ReceivingServer, monkeypatch: pytest.MonkeyPatch, form: Format, told: list[int]
) -> None:
    """However soon the sender looks: it is settled when the receiver begins, or by the look after the answer."""
    monkeypatch.setattr(send, "ATTENTION_SECONDS", 0.0)
    receiver = ATTENTIVE._replace(format=form)
    expired = {"isExpired": True, "expirationDate": "2026-01-01T00:00:00"}
    telling = Telling(mirror, server, receiver)
    send.begin(mirror.engine, [receiver])
    mirror.observe([paid(71111, **expired), paid(72222, expirationDate=FAR)])
    telling.tell_all()
    mirror.observe([paid(71111, **expired), paid(72222, **expired)])

    telling.tell_all()

    said = [str(got.json.get("data", got.json)) for got in server.got]
    assert told == [key for one in said for key in (71111, 72222) if str(key) in one]


def test_receivers_that_two_daemons_begin_at_once_are_begun_once(mirror: Mirror) -> None:
    mirror.observe([paid(1, isExpired=True, expirationDate="2026-01-01T00:00:00")])
    together = threading.Barrier(3)

    def begin() -> None:
        together.wait()
        send.begin(mirror.engine, [ATTENTIVE, ALL._replace(name="other")])

    threads = [threading.Thread(target=begin) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    newest = mirror.history()[-1]["id"]
    rows = mirror.rows(receivers_table)
    assert {("crm", newest, True), ("other", newest, False)} == {
        (row["name"], row["last_history_id"], row["attention_since"] is not None) for row in rows
    }
    assert [1] == [row["id_instance"] for row in mirror.rows(attention_told)]


def test_attention_that_is_switched_off_is_forgotten(mirror: Mirror, server: ReceivingServer) -> None:
    mirror.observe([paid(1, isExpired=True, expirationDate="2026-01-01T00:00:00"), paid(2, expirationDate=FAR)])
    Telling(mirror, server, ATTENTIVE).tell_all()
    assert 1 == len(mirror.rows(attention_told))

    telling = Telling(mirror, server)
    telling.tell_all()

    assert [] == mirror.rows(attention_told)
    assert telling.row()["attention_since"] is None


def test_a_digest_is_one_message_at_its_time_and_the_same_when_it_is_repeated(
    mirror: Mirror, server: ReceivingServer
) -> None:
    from zoneinfo import ZoneInfo

    from syncer.rules.schedule import Cron, parse_schedule

    cron = parse_schedule("0 9 * * *", ZoneInfo("UTC"))
    assert isinstance(cron, Cron)
    mirror.observe([item(1), paid(2), item(3)])
    telling = Telling(mirror, server, ALL._replace(digest=cron))
    telling.tell_all()
    mirror.observe([item(1, deleted=True), paid(2, isExpired=True), item(3, deleted=True)])
    telling.tell_all()
    assert [] == server.got
    due_at = datetime(2026, 11, 1, 9, tzinfo=UTC)
    with mirror.engine.begin() as connection:
        connection.execute(update(receivers_table).values(digest_at=due_at))
    server.behaviours = [*answers(500)]
    telling.look(2)
    mirror.observe([item(1), paid(2, isExpired=True), item(3, deleted=True)])  # lies behind the digest

    telling.tell_all()

    first, again = server.got
    assert (first.id, first.body) == (again.id, again.body)
    assert first.id.endswith("_digest_20261101T090000Z")
    assert {"expired": 1, "deleted": 2} == first.json["data"]["transitions"]
    row = telling.row()
    assert (row["digest_until_id"], row["digest_at"] > due_at) == (None, True)
    assert row["last_history_id"] == first.json["data"]["until_history_id"] < mirror.history()[-1]["id"]


def test_a_chat_is_sent_a_text(mirror: Mirror, server: ReceivingServer) -> None:
    mirror.observe([item(1), paid(2)])
    slack = Telling(mirror, server, ALL._replace(name="slack", format=Format.SLACK), keys=())
    telegram = Telling(
        mirror, server, ALL._replace(name="telegram", format=Format.TELEGRAM), keys=(), parameters={"chat_id": "-100"}
    )
    slack.tell_all()
    telegram.tell_all()
    mirror.observe([item(1, name="<!channel> & Co", deleted=True), paid(2)])

    slack.tell_all()
    telegram.tell_all()

    texts = [got.json for got in server.got if "Deleted" in got.body.decode()]
    assert texts[0]["text"].startswith(
        "Deleted: “&lt;!channel&gt; &amp; Co” (1, WhatsApp, PARTNER_23, account default)"
    )
    assert texts[1]["text"].startswith("Deleted: “<!channel> & Co” (1, WhatsApp, PARTNER_23, account default)")
    assert "-100" == texts[1]["chat_id"]
    assert not any("webhook-id" in got.headers for got in server.got)


def test_secrets_of_a_receiver_are_learned_before_it_is_called(telling: Telling) -> None:
    telling.mirror.observe([item(1, deleted=True), paid(2), item(3)])

    telling.tell_all()

    assert telling.server.url in telling.learned
