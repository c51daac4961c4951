"""Deliberate faults of meaning, one at a time, in a copy of the code: the tests must see each of them.

    python tests/proof/mutants.py [--only WORD] [--jobs N] [--record FILE]

A mutant replaces a text that occurs exactly once in its module; one that does not is reported, since it proves nothing.
Exit code 1 if a mutant lived or could not be made.
"""

import argparse
import ast
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import alembic.command  # noqa: F401 - for the forks
import msgspec  # noqa: F401
import psycopg  # noqa: F401
import pytest
import sqlalchemy  # noqa: F401
from budget import keep

CHECKOUT = Path(__file__).parent.parent.parent
QUICK = [
    "tests/unit/test_diff.py",
    "tests/unit/test_guard.py",
    "tests/unit/test_transitions.py",
    "tests/unit/test_decode.py",
    "tests/unit/test_core.py",
    "tests/integration/test_run.py",
    "-k",
    "not postgresql",
]
THOROUGH = [
    "tests/integration/test_shortcuts.py",
    "tests/integration/test_lost_commit.py",
    "tests/integration/test_model.py",
    "tests/integration/test_run.py",
]


class Mutant(NamedTuple):
    """A fault: what it breaks in words, where, and the texts before and after."""

    name: str
    module: str
    before: str
    after: str


MUTANTS = [
    # transitions
    Mutant("restored is forgotten", "transitions", "if old.deleted and not instance.deleted:", "if False and not instance.deleted:"),
    Mutant("deleted is told again with each answer", "transitions", "elif instance.deleted and not old.deleted:", "elif instance.deleted:"),
    Mutant("renewed is forgotten", "transitions", "if old.is_expired and not instance.is_expired:", "if False:"),
    Mutant("expired is forgotten", "transitions", "elif instance.is_expired and not old.is_expired:", "elif False:"),
    Mutant("deleted occurred when it was created", "transitions", "events.append(_stated(Transition.DELETED, instance.time_deleted, observed_at, deletion))", "events.append(_stated(Transition.DELETED, instance.time_created, observed_at, deletion))"),
    Mutant("expired occurred when it was deleted", "transitions", "events.append(_stated(Transition.EXPIRED, instance.expiration_date, observed_at, expiry))", "events.append(_stated(Transition.EXPIRED, instance.time_deleted, observed_at, expiry))"),
    Mutant("created occurred when it was seen", "transitions", "_stated(Transition.CREATED, instance.time_created, observed_at, {})", "_stated(Transition.CREATED, None, observed_at, {})"),
    Mutant("first sight of a deleted instance is not deleted", "transitions", "    if instance.deleted:\n        events", "    if False:\n        events"),
    Mutant("first sight of an expired instance is not expired", "transitions", "    if instance.is_expired:\n        events", "    if False:\n        events"),
    Mutant("a stated time in the future is believed", "transitions", "if stated is None or stated > observed_at:", "if stated is None:"),
    Mutant("a time stated to the moment is not believed", "transitions", "stated > observed_at:", "stated >= observed_at:"),
    Mutant("the source of a stated time is lost", "transitions", "return Event(transition, stated, TimeSource.UPSTREAM, moved)", "return Event(transition, stated, TimeSource.OBSERVED, moved)"),
    Mutant("the daily roll is an extension", "transitions", "elif later and is_auto_renewing(instance.is_partner, instance.tariff):", "elif False:"),
    Mutant("no extension is told", "transitions", "elif later and not instance.is_expired:", "elif False:"),
    Mutant("an expired row is extended", "transitions", "elif later and not instance.is_expired:", "elif later:"),
    Mutant("an earlier expiration date is later", "transitions", "and instance.expiration_date > old.expiration_date", "and instance.expiration_date != old.expiration_date"),
    Mutant("an unmoved expiration date is later", "transitions", "and instance.expiration_date > old.expiration_date", "and instance.expiration_date >= old.expiration_date"),
    Mutant("the roll is judged by the old row", "transitions", "elif later and is_auto_renewing(instance.is_partner, instance.tariff):", "elif later and is_auto_renewing(old.is_partner, old.tariff):"),
    Mutant("the tariff decides before is_partner", "transitions", "return is_partner if is_partner is not None else (tariff", "return (tariff"),
    Mutant("no tariff renews itself", "transitions", "(tariff or \"\").startswith(PARTNER_TARIFF)", "False"),
    Mutant("any tariff with PARTNER in it renews itself", "transitions", "(tariff or \"\").startswith(PARTNER_TARIFF)", "PARTNER_TARIFF in (tariff or \"\")"),
    Mutant("a rename is no change", "transitions", '    "name",\n    "type_instance",', '    "type_instance",'),
    Mutant("a new tariff is no change", "transitions", '    "tariff",\n    "is_free",', '    "is_free",'),
    Mutant("a new owner is no change", "transitions", 'other["account"] = (row.account, observation.account)', "pass"),
    Mutant("a corrected time of deletion is no change", "transitions", 'other["time_deleted"] = deletion["time_deleted"]', "pass"),
    Mutant("a corrected expiration date is no change", "transitions", 'other["expiration_date"] = expiry["expiration_date"]', "pass"),
    Mutant("a rotated token goes by", "transitions", "if old.token_fingerprint != instance.token_fingerprint:", "if False:"),
    Mutant("reappeared is forgotten", "transitions", "    if row.missing_since is not None:\n", "    if False:\n"),
    Mutant("an instance that returned is still missing", "transitions", "renewed_at=observed_at if later else row.renewed_at,\n        missing_since=None,", "renewed_at=observed_at if later else row.renewed_at,\n        missing_since=row.missing_since,"),
    Mutant("renewed_at is not kept", "transitions", "renewed_at=observed_at if later else row.renewed_at", "renewed_at=observed_at if later else None"),
    Mutant("what vanished was purged", "transitions", "Transition.PURGED if row.instance.deleted else Transition.VANISHED", "Transition.PURGED"),
    Mutant("what was purged vanished", "transitions", "Transition.PURGED if row.instance.deleted else Transition.VANISHED", "Transition.VANISHED"),
    Mutant("events are stored in the order of their making", "transitions", "return tuple(sorted(events, key=lambda event: _STORED_ORDER[event.transition]))", "return tuple(events)"),
    Mutant("events are stored backwards", "transitions", "key=lambda event: _STORED_ORDER[event.transition])", "key=lambda event: -_STORED_ORDER[event.transition])"),
    Mutant("columns that did not move are told", "transitions", "if change[0] != change[1]}\n        events.append", "}\n        events.append"),
    Mutant("what returned was not missing", "transitions", "missing=(True, False)", "missing=(False, False)"),
    Mutant("the answer before is the new owner's", "transitions", "written, _in_stored_order(events), observation.previous_observed_at.get(row.account)", "written, _in_stored_order(events), observation.previous_observed_at.get(observation.account)"),
    Mutant("each change is a first sight", "transitions", "        changed_at=observed_at,\n", "        first_seen_at=observed_at,\n        changed_at=observed_at,\n"),
    Mutant("a row that goes missing has not changed", "transitions", "row._replace(changed_at=observed_at, missing_since=observed_at)", "row._replace(missing_since=observed_at)"),
    Mutant("a rename is a change only upwards", "transitions", "if _changing(old) != _changing(instance):", "if _changing(old) < _changing(instance):"),
    # diff
    Mutant("absence is read from a partial answer", "diff", "if listing.proves_absence:", "if True:"),
    Mutant("absence is never read", "diff", "if listing.proves_absence:", "if False:"),
    Mutant("a rejected item is absent", "diff", " - listing.rejected_ids)", ")"),
    Mutant("what is missing is missed again", "diff", "if mirror[id_instance].missing_since is None and mirror", "if mirror"),
    Mutant("another account's instances are absent", "diff", " and mirror[id_instance].account == account", ""),
    Mutant("an unchanged instance that returned goes by", "diff", " or row.missing_since is not None", ""),
    Mutant("a change of hands goes by", "diff", " or row.account != account", ""),
    Mutant("a new instance is expired at once", "diff", "return instance._replace(is_expired=False)", "return instance"),
    Mutant("the grace includes its last moment", "diff", "instance.time_created < expiry_grace", "instance.time_created <= expiry_grace"),
    Mutant("the grace is for the deleted too", "diff", "        and not instance.deleted\n", ""),
    Mutant("no answer is settled", "diff", "settle(listing.instances[id_instance], observed_at, expiry_grace)", "listing.instances[id_instance]"),
    Mutant("a change of hands goes by in one direction", "diff", "row.account != account", "row.account > account"),
    Mutant("a rejected item of an unknown instance is absent", "diff", " - listing.rejected_ids)", " ^ listing.rejected_ids)"),
    # guard
    Mutant("an empty list is applied", "guard", "reason = HoldReason.EMPTY if standing.live else None", "reason = None"),
    Mutant("an empty list is held though nothing lives", "guard", "HoldReason.EMPTY if standing.live else None", "HoldReason.EMPTY"),
    Mutant("another account's list is applied", "guard", "elif standing.present and not standing.seen:", "elif False:"),
    Mutant("any loss is applied", "guard", "elif len(standing.missing) > max(Fraction(TOLERATED_VANISHED), tolerated_share * standing.live):", "elif False:"),
    Mutant("the share alone decides", "guard", "max(Fraction(TOLERATED_VANISHED), tolerated_share * standing.live)", "tolerated_share * standing.live"),
    Mutant("the number alone decides", "guard", "max(Fraction(TOLERATED_VANISHED), tolerated_share * standing.live)", "TOLERATED_VANISHED"),
    Mutant("a loss at the limit is held", "guard", "elif len(standing.missing) > max", "elif len(standing.missing) >= max"),
    Mutant("the purged count as lost", "guard", "for row in differences.absent if not row.instance.deleted)", "for row in differences.absent)"),
    Mutant("the deleted count as live", "guard", "live=sum(1 for row in present if not row.instance.deleted)", "live=len(present)"),
    Mutant("what returned is not of this account", "guard", "        for row in of_account\n", "        for row in present\n"),
    Mutant("an approval lets anything through", "guard", "any(approval.issuperset(standing.missing) for approval in approved)", "any(True for approval in approved)"),
    Mutant("an approval is of no use", "guard", "any(approval.issuperset(standing.missing) for approval in approved)", "False"),
    Mutant("an approval serves only for the same loss", "guard", "approval.issuperset(standing.missing)", "approval == frozenset(standing.missing)"),
    Mutant("a bad item is not of this account", "guard", " or row.instance.id_instance in listing.rejected_ids", ""),
    Mutant("another account's rows count", "guard", "[row for row in mirror.values() if row.account == account]", "list(mirror.values())"),
    Mutant("a person is told of a remainder of the missing", "guard", 'f" and {len(hold.missing) - 5} more"', 'f" and {len(hold.missing) % 5} more"'),
    # decode
    Mutant("an unreadable id proves absence", "decode", "proves_absence=not unreadable", "proves_absence=True"),
    Mutant("any number of bad items is accepted", "decode", "if rejected > TOLERATED_REJECTS and rejected", "if False and rejected"),
    Mutant("three bad items of three refuse the answer", "decode", "rejected > TOLERATED_REJECTS and rejected >", "rejected >"),
    Mutant("naive times are UTC", "decode", "_offset(zone) if zone else upstream_offset", "_offset(zone) if zone else timedelta()"),
    Mutant("a stated offset is ignored", "decode", "_offset(zone) if zone else upstream_offset", "upstream_offset"),
    Mutant("a western offset is an eastern one", "decode", 'return -size if zone[0] == "-" else size', "return size"),
    Mutant("year 1 is a date", "decode", "value.startswith(_NO_DATE)", "value == _NO_DATE"),
    Mutant("of two differing items the first counts", "decode", "        del taken[id_instance]\n", "        pass\n"),
    Mutant("a rejected item was not seen", "decode", "rejected_ids=frozenset(reject.id_instance for reject in rejects if reject.id_instance is not None)", "rejected_ids=frozenset()"),
    Mutant("an error object is an empty list", "decode", "        if isinstance(document, list):\n            return document\n", "        return document if isinstance(document, list) else []\n"),
    Mutant("NUL is stored", "decode", '_UNSTORABLE = re.compile("[\\x00\\ud800-\\udfff]")', '_UNSTORABLE = re.compile("[\\ud800-\\udfff]")'),
    Mutant("the token is stored as it is", "decode", "token_fingerprint=fingerprint(token) if token else None", "token_fingerprint=token[:16] if token else None"),
    Mutant("what one item's token did to a text is done for all", "decode", "if all(text is None or len(text) < SHORTEST_TOKEN for text in texts):", "if True:"),
    Mutant("an unknown key is forgotten in the typed reading", "decode", "forbid_unknown_fields=True", "forbid_unknown_fields=False"),
    Mutant("a time that is not told is no time in the typed reading", "decode", "    time_deleted: str | None = None\n", '    time_deleted: str | None = ""\n'),
    Mutant("of two differing items the first token is sealed", "decode", "        sealed.pop(id_instance, None)\n", ""),
    Mutant("a bad item's token is sealed", "decode", " and isinstance(outcome, Instance):\n", ":\n"),
    Mutant("two bad items of one id are one", "decode", "return one[1:] == other[1:]", "return True"),
    Mutant("a name is measured in characters of two bytes", "decode", "len(name) * 4 > LONGEST_NAME", "len(name) * 2 > LONGEST_NAME"),
    Mutant("a refusal's words are told as they are", "decode", 'scrub(str(document.get("description", document.get("message", ""))))[:200]', 'str(document.get("description", document.get("message", "")))[:200]'),
    Mutant("half a token is told of what is no JSON", "decode", "begun[:LONGEST_BEGINNING].rsplit(maxsplit=1)[0]", "begun[:LONGEST_BEGINNING]"),
    Mutant("a bad item keeps its token in its other texts", "decode", "            text = text.replace(token, REMOVED)\n        return scrub(text)[:LONGEST_REJECTED_TEXT]", "            pass\n        return scrub(text)[:LONGEST_REJECTED_TEXT]"),
    Mutant("a bad item's text is cut before it is scrubbed", "decode", "scrub(text)[:LONGEST_REJECTED_TEXT]", "scrub(text[:LONGEST_REJECTED_TEXT])"),
    Mutant("a value stays though its key names a secret", "decode", "if element and isinstance(element, str) and SECRET_KEY.search(key)", "if False"),
    Mutant("objects nest without end", "decode", "else _without_secrets(element, scrub, levels - 1)\n", "else _without_secrets(element, scrub, levels)\n"),
    # sync and store
    Mutant("the fence is removed", "apply", ".run_id != run.base.run_id:", ".run_id != run.base.run_id and False:"),
    Mutant("a lost COMMIT is taken for a failure", "apply", "if report is None or _read_status_after_failure(engine, run) is not report.status:", "if True:"),
    Mutant("a lost COMMIT is taken for success", "apply", "if report is None or _read_status_after_failure(engine, run) is not report.status:", "if report is None:"),
    Mutant("an approval can be used twice", "run_record", ".values(closed_by_run_id=run.id)", ".values(closed_by_run_id=None)"),
    Mutant("an approval serves any account", "run_record", "closed_by_run_id.is_(None) & is_of_account", "closed_by_run_id.is_(None)"),
    Mutant("unfinished runs stay open", "run_record", "sync_runs.c.status == _RUNNING)", "sync_runs.c.status == 'nothing')"),
    Mutant("a closed run is closed again", "run_record", ".where(sync_runs.c.id == run.id, sync_runs.c.status.in_([RunStatus.RUNNING, RunStatus.ABANDONED]))", ".where(sync_runs.c.id == run.id)"),
    Mutant("an old blind gap goes by", "run_record", "run.base.accepted_at is not None and observed_at - run.base.accepted_at > BLIND_GAP", "False"),
    # shortcuts
    Mutant('a missing flag is false', 'decode', '        raise BadItem(f"{key} is missing")', '        return False'),
    Mutant('the base does not move', 'run_record', 'moved: dict[str, Any] = {"last_accepted_run_id": run.id, "last_accepted_at": observed_at}', 'moved: dict[str, Any] = {"last_accepted_at": observed_at}'),
    Mutant("the history is not written", "store", "        if history:\n            bulk.insert", "        if False:\n            bulk.insert"),
    Mutant("nobody is told that an instance was taken away", "store", "        if self._disturbed:\n", "        if False:\n"),
    Mutant("what another account took meanwhile goes by", "apply", "if base.taken_by_run_id != run.base.taken_by_run_id:", "if False:"),
    Mutant("absence is read from a partial answer that differs little", "apply", "for index in reading.unseen] if reading.proves_absence else []", "for index in reading.unseen]"),
    Mutant("what is absent is forgotten where little differs", "apply", "for ids in bulk.batches(absent):", "for ids in bulk.batches([]):"),
    Mutant("the deleted are not present where little differs", "apply", "present = live + known.flags.count(DELETED)", "present = live"),
    Mutant("the deleted count as lost where little differs", "apply", "for index in reading.unseen if not known.flags[index])", "for index in reading.unseen)"),
    Mutant("any loss is applied where little differs", "apply", "seen=present - len(reading.unseen) + reading.returned,\n            listed=reading.listed,\n            missing=tuple(known.ids[index] for index in reading.unseen if not known.flags[index]) if absent else (),", "seen=present,\n            listed=reading.listed,\n            missing=(),"),
    Mutant("what returned is not of this account where little differs", "apply", " + reading.returned,", ","),
    Mutant("an instance in its grace is taken for settled", "apply", "if settle(instance, observed_at, account.expiry_grace) is instance", "if True"),
    Mutant("an answer with bad items is quiet", "apply", "lasting = not reading.rejects", "lasting = True"),
    Mutant("an answer in the grace is quiet", "apply", "lasting = lasting and len(hashes) == len(batch)", "lasting = lasting"),
    Mutant("a set-back clock turns history round", "apply", "return max([at, *(moment for owner in owners", "return max([at, *(moment for owner in ()"),
    Mutant("bad items do not refuse an answer that is read in pieces", "sync", "            refuse_too_many(reading.rejects, reading.listed)\n", ""),
    Mutant("a begun answer is quiet", "stream", "if self._all_slices() == mark.slices:", "if True:"),
    Mutant("the end of a quiet answer is not looked at", "stream", "return bytes(self._slices) + self._slice.digest()", "return bytes(self._slices)"),
    Mutant("a quiet answer outlives other settings", "stream", "self._slice = xxh3_128(seed=seed)", "self._slice = xxh3_128()"),
    Mutant("hashes outlive another offset", "stream", "(__version__, decoder.upstream_offset, ", "(__version__, "),
    Mutant("an id twice goes by among the new", "matcher", "            if any(one == other for one, other in pairwise(ids)):\n                raise OddAnswer", "            pass"),
    Mutant("an id twice goes by among the known", "matcher", "        if self._is_seen(index):\n            raise OddAnswer\n", ""),
    Mutant("an unreadable id proves absence in pieces", "matcher", "self.proves_absence = False", "self.proves_absence = True"),
    Mutant("a bad item was not seen in pieces", "matcher", "        else:\n            self._note(outcome.id_instance)\n        self._keep(outcome, Hashes(item_hash, 0), value", "        self._keep(outcome, Hashes(item_hash, 0), value"),
    Mutant("what returns unchanged goes by", "matcher", "if index >= 0 and not self._known.flags[index] & MISSING and content_hash", "if index >= 0 and content_hash"),
    Mutant("what is awaited is everything", "matcher", "if number and not flags & MISSING\n", "if number\n"),
    Mutant("what is seen is all", "matcher", "if not flags[index] & MISSING and not self._is_seen(index)", "if False"),
    Mutant("what is missing is missed again in pieces", "matcher", "if not flags[index] & MISSING and not self._is_seen(index)", "if not self._is_seen(index)"),
    Mutant('a list without its end is whole', 'blocks', 'last = _whole_values(rest[:-1]) if rest.endswith(b"]") else None', 'last = _whole_values(rest[:-1] if rest.endswith(b"]") else rest)'),
    Mutant("a comma before the end goes by", "blocks", "if last is None or (any_before and not last):", "if last is None:"),
]  # fmt: skip


def problems_of(mutants: list[Mutant]) -> list[str]:
    """Which of them cannot be made: a text that is gone, or is there more than once, or a result that is no Python."""
    problems = []
    for mutant in mutants:
        source = (CHECKOUT / "syncer" / f"{mutant.module}.py").read_text()
        count = source.count(mutant.before)
        if count != 1:
            problems.append(f"{mutant.module}: {mutant.name}: its text occurs {count} times")
            continue
        try:
            ast.parse(source.replace(mutant.before, mutant.after))
        except SyntaxError as error:
            problems.append(f"{mutant.module}: {mutant.name}: {error}")
    return problems


def copy_checkout(folder: Path) -> None:
    """What the tests need."""
    for name in ("syncer", "tests", "migrations"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "alembic.ini"):
        shutil.copy(CHECKOUT / name, folder / name)


def is_killed(choice: list[str]) -> bool:
    """Whether a test fails; the tests run in a fork of this process, which has imported all that is not syncer's."""
    output = Path("output.txt")
    child = os.fork()
    if not child:
        try:
            quiet = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--no-header", *choice])
            sys.stdout.flush()
            os._exit(code)
        finally:
            sys.excepthook(*sys.exc_info())
            os._exit(99)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in {0, 1, 2}:  # passed, failed, or could not even be imported
        raise RuntimeError(output.read_text()[-3000:])
    return code != 0


def enter_copy(folder: Path) -> None:
    """Let this process work in a copy of the checkout."""
    own = folder / str(os.getpid())
    own.mkdir(mode=0o755)
    copy_checkout(own)
    os.chdir(own)
    sys.dont_write_bytecode = True  # two versions of a file may be of the same second and size


def failure_without_fault() -> str:
    """What the tests say of the code as it is, if they fail."""
    return Path("output.txt").read_text()[-3000:] if is_killed(QUICK) or is_killed(THOROUGH) else ""


def put_to_the_test(mutant: Mutant) -> tuple[Mutant, bool]:
    """The mutant, and whether the tests killed it."""
    path = Path("syncer", f"{mutant.module}.py")
    source = path.read_text()
    path.write_text(source.replace(mutant.before, mutant.after))
    try:
        return mutant, is_killed(QUICK) or is_killed(THOROUGH)
    finally:
        path.write_text(source)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="mutants whose module and name have this word")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append a line of a Markdown table to this file")
    chosen = parser.parse_args()
    began = time.monotonic()
    mutants = [mutant for mutant in MUTANTS if chosen.only in f"{mutant.module}: {mutant.name}"]
    problems = problems_of(mutants)
    if problems:
        print("\n".join(problems))
        return 1
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        with multiprocessing.get_context("fork").Pool(chosen.jobs, enter_copy, (Path(made),)) as pool:
            failure = pool.apply(failure_without_fault)
            if failure:
                print("the tests fail without any fault:\n" + failure)
                return 1
            for mutant, killed in pool.imap_unordered(put_to_the_test, mutants):
                if not killed:
                    problems.append(f"{mutant.module}: {mutant.name}: lived")
                print(f"{'killed' if killed else 'LIVED '} {mutant.module}: {mutant.name}", flush=True)
    seconds = time.monotonic() - began
    print(f"{len(mutants) - len(problems)} of {len(mutants)} mutants killed in {seconds:.0f} s")
    figures = f"killed {len(mutants) - len(problems)} of {len(mutants)}"
    keep(chosen.record, "mutants", len(mutants), seconds, figures, "; ".join(problems) or "nothing")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
