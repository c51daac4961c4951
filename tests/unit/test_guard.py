"""CONTRACT 6: when an answer is held, for which instances, what lets it pass, and what a person is told of it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from builders import body, item
from memory import known_of, rows_in
from mirror import START, account, bounds
from reading import read_whole

from syncer.answer.listing import Listing
from syncer.answer.reader import Reader
from syncer.model import Item, MirrorRow
from syncer.rules import guard
from syncer.rules.decisions import decisions_of
from syncer.rules.guard import Ground, Hold, HoldReason
from syncer.rules.transitions import Observation, decide_listed

ACCOUNT = account()
NOW = START + timedelta(hours=1)
ESTATE = [item(id_instance) for id_instance in range(1, 101)]


def mirror_of(items: list[dict[str, Any]]) -> dict[int, MirrorRow]:
    """The mirror after a first answer."""
    instances = read_whole(body(items), ACCOUNT.decoder).instances
    observation = Observation("default", START, {}, ACCOUNT.expiry_grace)
    return {key: decide_listed(None, Item(one, 0), observation).row for key, one in instances.items()}


class Judge:
    """An answer beside a mirror, as a run judges it."""

    def __init__(self, before: list[dict[str, Any]], after: list[Any], *, missing: Sequence[int] = ()) -> None:
        self.mirror = mirror_of(before)
        for key in missing:
            self.mirror[key] = self.mirror[key]._replace(missing_since=START)
        self.claimants: dict[int, str] = {}
        self.after = after

    def listing(self) -> Listing:
        listing = Reader(ACCOUNT.decoder, (), lambda: known_of(self.mirror))([body(self.after)])
        assert listing is not None
        return listing

    def tally(self, listing: Listing) -> guard.Tally:
        tally = guard.Tally()
        observation = Observation("default", NOW, {"default": START}, ACCOUNT.expiry_grace)
        for decided in decisions_of(listing, observation, rows_in(self.mirror, self.claimants)):
            tally.count(decided.decisions)
        return tally

    def hold(self, approved: guard.Approved | None = None, **shares: str) -> Hold | None:
        listing = self.listing()
        return guard.examine(listing, self.tally(listing), bounds(**shares), approved or {})

    def grounds(self) -> dict[str, tuple[int, ...]]:
        hold = self.hold()
        return {f"{one.reason} {one.what}".rstrip(): one.ids for one in hold.grounds} if hold else {}


def approved_by(hold: Hold | None) -> dict[tuple[str, str], list[frozenset[int]]]:
    """What the approval of a held run comes to."""
    assert hold is not None
    return {(one.reason, one.what): [frozenset(one.ids)] for one in hold.grounds}


def changed(n: int, of: int = 100, **values: Any) -> list[dict[str, Any]]:
    """An estate of which the first n say otherwise."""
    return [item(key, **(values if key <= n else {})) for key in range(1, of + 1)]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"tariff": None}, "stripped"),
        ({"timeCreated": "2026-06-03T19:39:44"}, "shifted +1:00:00"),
        ({"expirationDate": "2026-12-02T18:39:44"}, "older"),
    ],
)
def test_what_is_not_listed_is_not_compared_though_an_id_cannot_be_read(values: dict[str, Any], reason: str) -> None:
    held = Judge(ESTATE, [*changed(4, of=12, **values), {"deleted": False}]).grounds()

    assert held == {reason: (1, 2, 3, 4)}


# --- what is not there ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (ESTATE, ESTATE, None),
        (ESTATE, [], HoldReason.EMPTY),
        ([], [], None),
        ([item(1, deleted=True)], [], None),
        (ESTATE, [item(1000)], HoldReason.FOREIGN),
        (ESTATE, [item(1000), {"name": "no id"}], HoldReason.FOREIGN),
        ([], [item(1000)], None),
        (ESTATE, ESTATE[5:], None),
        (ESTATE, ESTATE[6:], HoldReason.VANISHED),
        (ESTATE[:10], ESTATE[3:10], None),
        (ESTATE[:10], ESTATE[4:10], HoldReason.VANISHED),
        ([*ESTATE[:9], *(item(one, deleted=True) for one in range(10, 60))], ESTATE[:9], None),
    ],
    ids=[
        "nothing is missing", "empty", "empty before as well", "empty, but nothing was live", "another account's",
        "another account's, with an id that cannot be read", "the first answer", "as many as are tolerated", "one more",
        "three of a few", "four of a few", "only purged",
    ],
)  # fmt: skip
def test_an_answer_is_held_for_what_it_lacks(before: list[Any], after: list[Any], reason: HoldReason | None) -> None:
    hold = Judge(before, after).hold()

    assert [reason] if reason else [] == [one.reason for one in (hold.grounds if hold else ())]


def test_the_reasons_are_the_words_that_are_stored() -> None:
    words = ["empty", "foreign", "vanished", "flipped", "stripped", "older", "shifted"]
    assert words == [str(reason) for reason in HoldReason]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([], {"empty": (1, 2, 3, 4, 5, 6, 7, 8)}),
        ([item(1, deleted=None), *ESTATE[1:4], item(9, deleted=True)], {"vanished": (5, 6, 7, 8)}),
        ([item(1000), item(1001, deleted=None)], {"foreign": (1, 2, 3, 4, 5, 6, 7, 8, 1000, 1001)}),
    ],
    ids=["empty", "vanished", "foreign"],
)
def test_a_ground_names_the_instances_that_it_holds_for(after: list[Any], expected: dict[str, tuple[int, ...]]) -> None:
    assert expected == Judge([*ESTATE[:8], item(9, deleted=True)], after).grounds()


@pytest.mark.parametrize("answer", [[item(1)], [item(1, deleted=None)]], ids=["taken", "rejected"])
def test_one_known_instance_is_enough_to_be_of_this_account(answer: list[Any]) -> None:
    assert Judge([item(1), *(item(one, deleted=True) for one in range(2, 9))], answer).hold() is None


@pytest.mark.parametrize("owner", ["a", "z"])
def test_the_rows_of_another_account_count_for_nothing(owner: str) -> None:
    for after in ([], [item(1000)]):
        judge = Judge(ESTATE[:8], after)
        judge.mirror = {key: row._replace(account=owner) for key, row in judge.mirror.items()}

        assert judge.hold() is None


def test_an_instance_that_returns_is_of_this_account_though_nothing_else_is_listed() -> None:
    assert Judge(ESTATE[:2], ESTATE[:1], missing=[1]).hold() is None


@pytest.mark.parametrize(("share", "held"), [("66%", True), ("67%", False)])
def test_what_moves_to_another_account_is_neither_missing_nor_live(share: str, held: bool) -> None:
    """Of 100, 94 move; of the six that stay, four are missing: more than 66 %, and less than 67 %."""
    judge = Judge(ESTATE, ESTATE[98:])
    judge.claimants = dict.fromkeys(range(1, 95), "b")

    assert held is (judge.hold(vanished=share) is not None)


def test_an_empty_answer_of_an_account_whose_instances_all_move_is_not_held() -> None:
    judge = Judge(ESTATE, [])
    judge.claimants = dict.fromkeys(range(1, 101), "b")

    assert judge.hold() is None


# --- what is declared otherwise ------------------------------------------------------------------------------------------

PAID = {"tariff": "BUSINESS", "isPartner": False}
FUTURE, PAST = "2027-01-01T00:00:00", "2026-10-20T00:00:00"
LIVE = {"expirationDate": FUTURE}


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ({}, {"deleted": True, "timeDeleted": PAST}, "flipped deleted"),
        ({"deleted": True}, {"deleted": False}, "flipped restored"),
        (LIVE, LIVE | {"isExpired": True}, "flipped expired"),
        (LIVE | PAID, LIVE | PAID | {"isExpired": True}, "flipped expired"),
        ({}, {"tariff": None}, "stripped"),
        ({}, {"isPartner": None}, "stripped"),
        ({}, {"expirationDate": None}, "stripped"),
        ({}, {"timeCreated": None}, "stripped"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_is_held_for_what_it_declares_at_once(before: Any, after: Any, what: str) -> None:
    was_deleted = before.get("deleted", False)
    live, size = (70, 30) if was_deleted else (100, 100)  # of which 30 % may
    mirror = [*(item(key, **before) for key in range(1, size + 1)), *ESTATE[size:]]
    bound = live * 30 // 100

    def answer(n: int) -> list[dict[str, Any]]:
        return [*(item(key, **before | after) for key in range(1, n + 1)), *mirror[n:]]

    assert Judge(mirror, answer(bound)).grounds() == {}
    assert Judge(mirror, answer(bound + 1)).grounds() == {what: tuple(range(1, bound + 2))}


def test_three_of_a_few_may_be_declared_otherwise() -> None:
    assert Judge(ESTATE[:4], changed(3, 4, deleted=True)).grounds() == {}
    assert Judge(ESTATE[:4], changed(4, 4, deleted=True)).grounds() == {"flipped deleted": (1, 2, 3, 4)}


def test_an_expiry_that_was_due_does_not_count() -> None:
    due = PAID | {"expirationDate": PAST}
    mirror = changed(100, 100, **due)

    assert Judge(mirror, changed(100, 100, **due | {"isExpired": True})).grounds() == {}


def test_an_expiry_of_what_renews_itself_is_never_due() -> None:
    mirror = changed(100, 100, expirationDate=PAST)

    assert list(Judge(mirror, changed(100, 100, expirationDate=PAST, isExpired=True)).grounds()) == ["flipped expired"]


def test_what_is_deleted_may_expire() -> None:
    mirror = changed(100, 100, **LIVE | {"deleted": True})

    assert Judge(mirror, changed(100, 100, **LIVE | {"deleted": True, "isExpired": True})).grounds() == {}


def test_an_instance_that_lost_two_values_counts_once() -> None:
    after = [*changed(20, 100, tariff=None)[:20], *changed(40, 100, isPartner=None)[20:]]
    both = [item(key, tariff=None, isPartner=None) for key in range(1, 31)] + ESTATE[30:]

    assert Judge(ESTATE, after).grounds() == {"stripped": tuple(range(1, 41))}
    assert Judge(ESTATE, both).grounds() == {}


def test_what_is_new_or_returns_counts_for_nothing() -> None:
    mirror = ESTATE[:50]
    after = [*mirror, *(item(key, deleted=True, isExpired=True, tariff=None) for key in range(51, 101))]

    assert Judge(mirror, after).grounds() == {}
    assert Judge(ESTATE, changed(40, deleted=True), missing=range(1, 41)).grounds() == {}


def days(n: int) -> str:
    return f"2026-11-{2 + n:02}T00:00:00"


@pytest.mark.parametrize(("back", "held"), [(5, False), (6, True)])
def test_an_expiration_date_of_what_renews_itself_only_moves_forward(back: int, held: bool) -> None:
    mirror = changed(100, 100, expirationDate=days(1))
    after = [*changed(100, 100, expirationDate=days(0))[:back], *changed(100, 100, expirationDate=days(2))[back:]]

    assert Judge(mirror, after).grounds() == ({"older": tuple(range(1, 7))} if held else {})


def test_older_is_measured_by_what_renews_itself() -> None:
    """Of 100, 40 renew themselves: four that move back are more than three, and more than 5 % of 40."""
    mirror = [item(key, expirationDate=days(1), **(PAID if key > 40 else {})) for key in range(1, 101)]
    after = [item(key, expirationDate=days(0), **(PAID if key > 40 else {})) for key in range(1, 101)]

    assert Judge(mirror, after).grounds() == {"older": tuple(range(1, 41))}
    assert Judge(mirror, [*after[:4], *mirror[4:]]).grounds() == {"older": (1, 2, 3, 4)}
    assert Judge(mirror, [*mirror[:40], *after[40:]]).grounds() == {}


def test_what_was_deleted_or_renews_itself_no_more_is_not_older() -> None:
    mirror = changed(100, 100, expirationDate=days(1))

    assert Judge(mirror, changed(29, 100, expirationDate=days(0), **PAID)[:29] + mirror[29:]).grounds() == {}
    deleted = changed(100, 100, expirationDate=days(1), deleted=True)
    assert Judge(deleted, changed(100, 100, expirationDate=days(0), deleted=True)).grounds() == {}


BORN = "2026-06-01T12:00:00"


@pytest.mark.parametrize(("moved", "held"), [(5, False), (6, True)])
def test_a_birth_never_moves(moved: int, held: bool) -> None:
    mirror = changed(100, 100, timeCreated=BORN)
    after = [*changed(100, 100, timeCreated="2026-06-01T09:00:00")[:moved], *mirror[moved:]]

    assert Judge(mirror, after).grounds() == ({"shifted -3:00:00": tuple(range(1, 7))} if held else {})


def test_births_that_move_by_different_amounts_are_corrections() -> None:
    mirror = changed(100, 100, timeCreated=BORN)
    after = [item(key, timeCreated=f"2026-06-01T12:{key % 60:02}:{key // 60:02}") for key in range(1, 101)]

    assert Judge(mirror, after).grounds() == {}


def test_an_answer_may_have_several_reasons() -> None:
    after = [item(key, deleted=True) for key in range(10, 60)]

    assert list(Judge(ESTATE[:60], after).grounds()) == ["vanished", "flipped deleted"]


# --- approvals -----------------------------------------------------------------------------------------------------------


def test_an_approval_lets_the_same_loss_or_less_pass_and_nothing_larger() -> None:
    approved = approved_by(Judge(ESTATE, ESTATE[10:]).hold())

    assert Judge(ESTATE, ESTATE[10:]).hold(approved) is None
    assert Judge(ESTATE, ESTATE[8:]).hold(approved) is None
    assert Judge(ESTATE, ESTATE[11:]).hold(approved) is not None
    assert Judge(ESTATE, [ESTATE[0], *ESTATE[11:]]).hold(approved) is not None


def test_an_approved_loss_opens_for_no_other_reason() -> None:
    loss = approved_by(Judge(ESTATE[:4], ESTATE[4:5]).hold())
    assert [("foreign", "")] == list(loss)
    vanished = approved_by(Judge(ESTATE[:5], ESTATE[4:5]).hold())
    assert [("vanished", "")] == list(vanished)

    foreign = [*(item(key) for key in range(1000, 1500)), {"name": "no id"}]
    assert Judge(ESTATE[:5], foreign).hold(vanished) is not None
    assert Judge(ESTATE[:4], foreign).hold(approved_by(Judge(ESTATE[:4], []).hold())) is not None
    assert Judge(ESTATE[:5], [item(5, deleted=True), *changed(4, 4, deleted=True)]).hold(vanished) is not None


def test_an_approval_of_an_empty_or_foreign_answer_is_one_of_the_loss_too() -> None:
    for after in ([], [item(1000)]):
        approved = approved_by(Judge(ESTATE, after).hold())

        assert Judge(ESTATE, ESTATE[50:]).hold(approved) is None
        assert Judge([*ESTATE, item(2000)], ESTATE[50:]).hold(approved) is not None


def test_an_approved_foreign_answer_may_list_no_other_strangers() -> None:
    approved = approved_by(Judge(ESTATE, [item(1000), item(1001)]).hold())

    assert Judge(ESTATE, [item(1001)]).hold(approved) is None
    assert Judge(ESTATE, [item(1001), item(1002)]).hold(approved) is not None


def test_each_kind_of_a_flip_is_approved_apart() -> None:
    approved = approved_by(Judge(ESTATE, changed(40, deleted=True)).hold())
    expired = changed(40, isExpired=True)

    assert Judge(ESTATE, changed(40, deleted=True)).hold(approved) is None
    assert Judge(ESTATE, expired).hold(approved) is not None


def test_every_reason_has_to_be_approved() -> None:
    after = [item(key, deleted=True) for key in range(10, 60)]
    approved = approved_by(Judge(ESTATE[:60], after).hold())

    assert Judge(ESTATE[:60], after).hold(approved) is None
    assert Judge(ESTATE[:60], after).hold({("vanished", ""): approved["vanished", ""]}) is not None


# --- what is said --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ground", "told"),
    [
        (Ground(HoldReason.EMPTY, "", (), 7), "the answer is empty while 7 instances are live"),
        (Ground(HoldReason.FOREIGN, "", (), 7), "the answer shares no instance with the mirror, as if the token were another account's: it lists 5, and none of the 7 that are live"),
        (Ground(HoldReason.VANISHED, "", (1, 2), 9, "1, 2"), "2 of 9 live instances are missing from the answer (1, 2)"),
        (Ground(HoldReason.FLIPPED, "expired", (1, 2), 9, "1, 2"), "2 instances are declared expired at once, beside 9 live ones (1, 2)"),
        (Ground(HoldReason.STRIPPED, "", (1, 2), 9, "tariff: 1, 2"), "2 of 9 instances have lost a value that they had (tariff: 1, 2)"),
        (Ground(HoldReason.OLDER, "", (1, 2), 9, "1, 2"), "the expiration date of 2 of 9 instances that renew themselves moved back, as in an answer from before the last one (1, 2)"),
        (Ground(HoldReason.SHIFTED, "+2:00:00", (1, 2), 9, "1, 2"), "the creation of 2 of 9 instances moved by +2:00:00, as if the upstream's clock or SYNCER_UPSTREAM_OFFSET had changed (1, 2)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("run_id", "remedy"), [(12, "if that is right: syncer approve 12"), (None, "a run would be held for it")]
)
def test_a_person_is_told_why_and_how_to_approve_it(ground: Ground, told: str, run_id: int | None, remedy: str) -> None:
    assert f"{told}; {remedy}" == guard.describe(Hold((ground,), 5), run_id)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (4, "1 “a”, 2 “a”, 3 “a”, 4 “a”"),
        (5, "1 “a”, 2 “a”, 3 “a”, 4 “a”, 5 “a”"),
        (7, "1 “a”, 2 “a”, 3 “a”, 4 “a”, 5 “a” and 2 more"),
    ],
)
def test_up_to_five_are_named(missing: int, told: str) -> None:
    named = [item(key, name="a") for key in range(1, 21)]
    hold = Judge(named, named[missing:]).hold()

    assert hold is not None
    assert told == hold.grounds[0].told


@pytest.mark.parametrize(
    ("after", "reason", "named"),
    [
        ([], "empty", "(1 “a”, 2 “a”, 3 “a”, 4 “a”, 5 “a” and 2 more)"),
        ([item(1000)], "foreign", "(1 “a”, 2 “a”, 3 “a”, 4 “a”, 5 “a” and 2 more)"),
        ([item(1000), {"name": "no id"}], "foreign", "(1, 2, 3, 4, 5 and 2 more)"),
    ],
    ids=["empty", "foreign", "foreign, and it proves no absence, so that no row was looked at"],
)
def test_an_answer_that_lists_nothing_known_names_what_it_lacks(after: list[Any], reason: str, named: str) -> None:
    hold = Judge([*(item(key, name="a") for key in range(1, 8)), item(8, deleted=True)], after).hold()

    assert hold is not None
    assert [reason] == [one.reason for one in hold.grounds]
    assert guard.describe(hold, 12).endswith(f" {named}; if that is right: syncer approve 12")


def test_a_foreign_answer_beside_a_mirror_in_which_nothing_lives_names_nothing() -> None:
    hold = Judge([item(1, deleted=True)], [item(1000)]).hold()

    assert hold is not None
    assert guard.describe(hold, 12).endswith("none of the 0 that are live; if that is right: syncer approve 12")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (None, "1"),
        ("", "1"),
        ("a\x1b[31mb", "1 “a�[31mb”"),
        ("n" * 40, f"1 “{'n' * 40}”"),
        ("n" * 41, f"1 “{'n' * 40}…”"),
    ],
)
def test_a_name_is_shown_short_and_moves_no_cursor(name: str | None, told: str) -> None:
    named = [item(1, name=name), *(item(key, name=None) for key in range(2, 9))]
    hold = Judge(named, named[4:]).hold()

    assert hold is not None
    assert f"{told}, 2, 3, 4" == hold.grounds[0].told


@pytest.mark.parametrize(
    ("n", "of", "values", "said"),
    [
        (20, 100, {"tariff": "X"}, False),
        (21, 100, {"tariff": "X"}, True),
        (10, 20, {"name": "x"}, False),
        (11, 20, {"name": "x"}, True),
        (25, 100, {"deleted": True}, True),
    ],
)
def test_a_mass_change_is_said_and_not_held(n: int, of: int, values: dict[str, Any], said: bool) -> None:
    judge = Judge(ESTATE[:of], changed(n, of, **values))
    listing = judge.listing()

    assert judge.hold() is None or "deleted" in values
    assert said is guard.is_mass_change(listing, judge.tally(listing))


def test_the_daily_roll_is_no_mass_change() -> None:
    judge = Judge(changed(100, expirationDate=days(0)), changed(100, expirationDate=days(1)))
    listing = judge.listing()

    assert (judge.hold(), guard.is_mass_change(listing, judge.tally(listing))) == (None, False)


@pytest.mark.parametrize(
    ("after", "odd"),
    [(ESTATE, False), ([], True), ([item(1000)], True), (ESTATE[5:], False), (ESTATE[6:], True)],
    ids=["as it was", "empty", "foreign", "few are missing", "many are missing"],
)
def test_what_looks_odd_is_judged_before_anything_is_written(after: list[Any], odd: bool) -> None:
    assert odd is guard.looks_odd(Judge(ESTATE, after).listing(), bounds())


@pytest.mark.parametrize("listed", [[], ESTATE])
def test_a_first_answer_is_not_odd(listed: list[Any]) -> None:
    """There is nothing that it could lack or share, so it is decided once."""
    assert not guard.looks_odd(Judge([], listed).listing(), bounds())
