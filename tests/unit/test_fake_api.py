"""The fake API over real HTTP, and the promises of its scenarios."""

import gzip
import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest
from reading import read_whole
from waiting import HANG_SECONDS

from syncer.answer.item import Decoder
from syncer.answer.problem import TOLERATED_REJECT_SHARE
from syncer.demo.fake_api import DEFAULT_TOKEN, METHOD_PATH, NO_TIME, FakeApi, FakeEstate, Step, as_upstream, listing
from syncer.demo.scenarios import SCENARIOS, scenario
from syncer.errors import ConfigurationError

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
TOKEN = "gac./ %é" + "0" * 40
ENCODED_TOKEN = "gac.%2F%20%25%C3%A9" + "0" * 40
ONE = listing(START, "one", [{"idInstance": 1}])
TWO = listing(START, "two", [{"idInstance": 2}])
LONG = listing(START, "long", [{"idInstance": 1, "name": "long " * 2_000}])

Item = dict[str, Any]


def ask(
    api: FakeApi,
    path: str = METHOD_PATH + ENCODED_TOKEN,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, bytes, http.client.HTTPMessage]:
    with closing(http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=HANG_SECONDS)) as connection:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read(), response.headers


def by_id(step: Step) -> dict[int, Item]:
    return {item["idInstance"]: item for item in json.loads(step.body)}


def lists(name: str) -> list[dict[int, Item]]:
    """Every list of a scenario, items by id; other answers left out."""
    return [by_id(step) for step in scenario(name, START) if step.body.startswith(b"[")]


def is_list(step: Step) -> bool:
    return step.status == 200 and step.body.startswith(b"[")


def live(items: Mapping[int, Item]) -> set[int]:
    return {key for key, item in items.items() if not item["deleted"]}


class TestServer:
    def test_each_request_gets_the_next_step_and_the_last_repeats(self) -> None:
        with FakeApi(TOKEN, [ONE, TWO]) as api:
            bodies = [ask(api)[1] for _ in range(3)]

        assert [ONE.body, TWO.body, TWO.body] == bodies

    def test_in_manual_mode_the_shown_step_stays(self) -> None:
        with FakeApi(TOKEN, [ONE, LONG], advance="manual") as api:
            bodies = [ask(api)[1], ask(api)[1]]
            api.show(TWO)
            bodies += [ask(api)[1], ask(api)[1]]

        assert [ONE.body, ONE.body, TWO.body, TWO.body] == bodies

    def test_show_is_refused_when_requests_advance_the_script(self) -> None:
        with FakeApi(TOKEN, [ONE]) as api, pytest.raises(RuntimeError, match="advances by itself"):
            api.show(TWO)

    @pytest.mark.parametrize("path", [METHOD_PATH + "gac.wrong", METHOD_PATH, METHOD_PATH + TOKEN[:3]])
    def test_another_token_is_refused_with_200_and_takes_no_step(self, path: str) -> None:
        with FakeApi(TOKEN, [ONE, TWO]) as api:
            status, body, _ = ask(api, path)
            first = ask(api)[1]

        assert (status, json.loads(body)) == (200, {"code": 401, "description": "Unauthorized"})
        assert ONE.body == first

    @pytest.mark.parametrize(
        "path", ["/", "/partner/deleteInstanceAccount/" + ENCODED_TOKEN, METHOD_PATH + ENCODED_TOKEN + "/more"]
    )
    def test_any_other_path_is_not_found(self, path: str) -> None:
        with FakeApi(TOKEN, [ONE]) as api:
            status, body, _ = ask(api, path)

        assert (status, json.loads(body)) == (404, {"code": 404, "description": "Not found"})

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "INVENTED"])
    def test_any_other_method_is_not_allowed_and_takes_no_step(self, method: str) -> None:
        with FakeApi(TOKEN, [ONE, TWO]) as api:
            status, _, headers = ask(api, method=method, body=b"{}" * 1_000)
            first = ask(api)[1]

        assert (status, headers["Allow"]) == (405, "GET")
        assert ONE.body == first

    def test_every_request_is_counted_and_reported_without_its_path(self) -> None:
        seen: list[tuple[str, int, int]] = []
        with FakeApi(TOKEN, [ONE], on_request=lambda *report: seen.append(report)) as api:
            ask(api)
            ask(api, METHOD_PATH + "gac.wrong")
            ask(api, "/elsewhere")
            requests = api.requests

        assert requests == 3
        assert [("one", 200, len(ONE.body)), ("a wrong token", 200, 41), ("another path", 404, 38)] == seen

    def test_nothing_is_logged(self, capfd: pytest.CaptureFixture[str]) -> None:
        """The request line holds the token, and a malformed one is quoted by the standard library."""
        with FakeApi(TOKEN, [ONE]) as api:
            ask(api)
            with closing(http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=HANG_SECONDS)) as connection:
                connection.connect()
                connection.sock.sendall(b"GET " + ENCODED_TOKEN.encode() + b" one two three\r\n\r\n")
                connection.sock.recv(1_000)

        assert capfd.readouterr() == ("", "")

    def test_a_long_answer_is_compressed_when_gzip_is_offered(self) -> None:
        with FakeApi(TOKEN, [LONG]) as api:
            _, body, headers = ask(api, headers={"Accept-Encoding": "br, gzip"})

        assert headers["Content-Encoding"] == "gzip"
        assert LONG.body == gzip.decompress(body)
        assert bytes(4) == body[4:8], "the header holds a time"

    @pytest.mark.parametrize(("step", "offer"), [(LONG, ""), (LONG, "br"), (LONG, "gzip;q=0"), (ONE, "gzip")])
    def test_an_answer_is_plain_when_it_is_short_or_gzip_is_not_offered(self, step: Step, offer: str) -> None:
        with FakeApi(TOKEN, [step]) as api:
            _, body, headers = ask(api, headers={"Accept-Encoding": offer})

        assert step.body == body
        assert None is headers["Content-Encoding"]

    def test_headers_are_those_of_the_vendor_and_a_step_may_replace_them(self) -> None:
        replaced = Step(START, "replaced", 429, b"wait", {"content-type": "text/plain", "Retry-After": "1"})
        with FakeApi(TOKEN, [ONE, replaced]) as api:
            first, second = ask(api)[2], ask(api)[2]

        assert first["Content-Type"] == "application/json; charset=utf-8"
        assert first["Date"].endswith(" GMT")
        assert first["ETag"].startswith('W/"')
        assert (second.get_all("Content-Type"), second["Retry-After"]) == (["text/plain"], "1")
        assert first["ETag"] != second["ETag"]

    @pytest.mark.parametrize("host", ["127.0.0.2", "localhost", "::1"])
    def test_it_serves_on_loopback(self, host: str) -> None:
        try:
            with FakeApi(TOKEN, [ONE], host=host) as api:
                body = ask(api)[1]
        except ConfigurationError as error:
            if host == "127.0.0.1" or "assign requested address" not in str(error):
                raise
            pytest.skip(f"this machine has no {host}")

        assert ONE.body == body

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.com", "", "127.0.0.1.example.com"])
    def test_it_refuses_any_other_address(self, host: str) -> None:
        with pytest.raises(ConfigurationError, match="not a loopback address"):
            FakeApi(TOKEN, [ONE], host=host)

    def test_a_port_that_is_taken_is_a_configuration_error_in_one_line(self) -> None:
        with FakeApi(TOKEN, [ONE]) as api:
            port = urlsplit(api.url).port or 0
            with pytest.raises(ConfigurationError) as caught, FakeApi(TOKEN, [ONE], port):
                pass

        assert str(port) in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1

    def test_the_default_token_has_the_form_of_a_token(self) -> None:
        head, digits = DEFAULT_TOKEN.split(".")

        assert (head, len(digits)) == ("gac", 46)
        assert set(digits) <= set("0123456789abcdef")


class TestEstate:
    def test_an_item_has_the_upstreams_form(self) -> None:
        estate = FakeEstate()
        created = estate.create(START, name="Өрнек 🌷", messenger="v3")
        (item,) = estate.items()

        assert len(str(created)) == 12
        assert (
            item["timeCreated"],
            item["timeDeleted"],
            item["expirationDate"],
        ) == ("2026-03-02T09:00:00", NO_TIME, "2026-03-03T09:00:00")
        assert (item["isPartner"], item["isFree"], item["deleted"]) == (True, False, False)
        assert len(bytes.fromhex(item["apiTokenInstance"]).hex()) == 50
        assert {"apiUrl", "mediaUrl"} <= set(item)

    def test_two_estates_are_equal_byte_for_byte(self) -> None:
        def build() -> FakeEstate:
            estate = FakeEstate()
            estate.rotate_token(estate.create(START, customer=True))
            return estate

        assert build().items() == build().items()

    def test_a_naive_moment_is_refused(self) -> None:
        with pytest.raises(ValueError, match="aware"):
            FakeEstate().create(START.replace(tzinfo=None))

    def test_ids_do_not_repeat(self) -> None:
        estate = FakeEstate()
        ids = {estate.create(START, messenger=("whatsapp", "v3", "telegram")[n % 3]) for n in range(5_000)}

        assert len(ids) == 5_000

    def test_an_answer_is_not_touched_by_what_happens_later(self) -> None:
        estate = FakeEstate()
        created = estate.create(START, name="before")
        answer = estate.items()
        estate.rename(created, "after")

        assert answer[0]["name"] == "before"

    def test_a_roll_moves_live_partner_rows_once_for_each_day(self) -> None:
        estate = FakeEstate()
        partner, passed_by, deleted = (estate.create(START) for _ in range(3))
        business = estate.create(START, tariff="BUSINESS")
        estate.delete(deleted, START)
        before = {item["idInstance"]: item["expirationDate"] for item in estate.items()}
        for _ in range(2):
            estate.roll(date(2026, 3, 3), passing_by={passed_by})
        moved = {item["idInstance"] for item in estate.items() if item["expirationDate"] != before[item["idInstance"]]}

        assert {partner} == moved
        assert as_upstream(START + timedelta(days=2)) == estate.items()[0]["expirationDate"]
        assert business not in moved

    def test_a_life_shows_in_the_flags_and_times(self) -> None:
        estate = FakeEstate()
        created = estate.create(START, tariff="BUSINESS", reported_expired=True)
        story = []

        def note() -> None:
            (item,) = estate.items()
            story.append((item["isExpired"], item["deleted"], item["timeDeleted"], item["expirationDate"][:10]))

        note()
        estate.settle(created)
        note()
        estate.expire(created)
        note()
        estate.renew(created, START + timedelta(days=60))
        note()
        estate.delete(created, START + timedelta(days=1))
        note()
        estate.restore(created)
        note()

        assert story == [
            (True, False, NO_TIME, "2026-04-01"),
            (False, False, NO_TIME, "2026-04-01"),
            (True, False, NO_TIME, "2026-04-01"),
            (False, False, NO_TIME, "2026-05-01"),
            (False, True, "2026-03-03T09:00:00", "2026-05-01"),
            (False, False, NO_TIME, "2026-05-01"),
        ]

    def test_only_deleted_instances_are_purged(self) -> None:
        estate = FakeEstate()
        created = estate.create(START)
        with pytest.raises(ValueError, match="is live"):
            estate.purge(created)
        estate.delete(created, START)
        estate.purge(created)

        assert estate.items() == []

    def test_a_tariff_brings_its_flags(self) -> None:
        estate = FakeEstate()
        created = estate.create(START, tariff="DEVELOPER")
        free = [estate.items()[0][key] for key in ("isFree", "isPartner")]
        estate.change_tariff(created, "PARTNER_23")
        partner = [estate.items()[0][key] for key in ("isFree", "isPartner")]

        assert (free, partner) == ([True, False], [False, True])


class TestDemo:
    """Each event that the demo promises, read from its answers alone."""

    steps = scenario("demo", START)
    answers = tuple(lists("demo"))
    pairs = tuple(pairwise(answers))

    def moves(self, key: str) -> list[tuple[Item, Item]]:
        """Pairs of an item before and after, where `key` differs between two lists in a row."""
        return [
            (before[same], after[same])
            for before, after in self.pairs
            for same in before.keys() & after.keys()
            if before[same][key] != after[same][key]
        ]

    def test_it_is_a_dozen_polls_or_more_over_several_days_in_order(self) -> None:
        moments = [step.at for step in self.steps]

        assert moments == sorted(set(moments))
        assert moments[0] == START
        assert len(moments) >= 12
        assert moments[-1] - moments[0] >= timedelta(days=5)

    def test_it_starts_with_some_25_instances_some_deleted_and_one_expired(self) -> None:
        first = self.answers[0]

        assert 24 <= len(first) <= 30
        assert 2 <= len(first) - len(live(first)) <= 5
        assert sum(first[key]["isExpired"] for key in live(first)) == 1

    def test_its_estate_is_mixed(self) -> None:
        items = self.answers[0].values()
        names = "".join(item["name"] for item in items)

        assert {"whatsapp", "v3", "telegram"} == {item["messenger"] for item in items}
        assert {"PARTNER_23", "BUSINESS", "BUSINESS_KZT", "DEVELOPER"} == {item["tariff"] for item in items}
        assert all(mark in names for mark in "ЦQҚ☕@")

    def test_one_new_instance_is_reported_expired_for_its_first_minutes(self) -> None:
        index, key = next(
            (index, key)
            for index, (before, after) in enumerate(self.pairs)
            for key in after.keys() - before.keys()
            if after[key]["isExpired"]
        )
        at = next(step.at for step in self.steps if is_list(step) and by_id(step) == self.pairs[index][1])
        new = self.pairs[index][1].keys() - self.pairs[index][0].keys()

        assert {"whatsapp", "v3"} == {self.pairs[index][1][one]["messenger"] for one in new}
        assert self.pairs[index][1][key]["timeCreated"] > as_upstream(at - timedelta(minutes=5))
        assert not self.answers[index + 2][key]["isExpired"]

    def test_a_daily_roll_moves_every_live_partner_row(self) -> None:
        rolls = [
            (before, after)
            for before, after in self.pairs
            if all(
                before[key]["expirationDate"] < after[key]["expirationDate"]
                for key in live(before) & live(after)
                if before[key]["isPartner"]
            )
        ]

        assert len(rolls) >= 5

    def test_live_partner_rows_never_lapse_but_for_the_one_passed_by(self) -> None:
        lapsed = {
            key
            for step in self.steps
            if is_list(step)
            for key, item in by_id(step).items()
            if item["isPartner"] and not item["deleted"] and item["expirationDate"] <= as_upstream(step.at)
        }

        assert lapsed <= self.passed_by()

    def passed_by(self) -> set[int]:
        before, after = self.pairs[-1]
        return {
            key
            for key in live(before) & live(after)
            if after[key]["isPartner"] and before[key]["expirationDate"] == after[key]["expirationDate"]
        }

    def test_the_last_roll_passes_one_partner_row_by(self) -> None:
        assert len(self.passed_by()) == 1

    def test_one_is_deleted_and_one_restored(self) -> None:
        moves = [(before["deleted"], after["deleted"]) for before, after in self.moves("deleted")]

        assert moves == [(False, True), (True, False)]

    def test_one_is_created_and_deleted_between_two_polls(self) -> None:
        (born_deleted,) = [
            after[key] for before, after in self.pairs for key in after.keys() - before.keys() if after[key]["deleted"]
        ]

        assert born_deleted["timeCreated"] < born_deleted["timeDeleted"]

    def test_one_is_renamed_and_another_changes_tariff(self) -> None:
        (renamed,) = self.moves("name")
        (moved,) = self.moves("tariff")

        assert renamed[0]["idInstance"] != moved[0]["idInstance"]
        assert (moved[0]["tariff"], moved[1]["tariff"]) == ("DEVELOPER", "BUSINESS")

    def test_a_business_instance_expires_and_is_renewed_later(self) -> None:
        moves = [(before, after) for before, after in self.moves("isExpired") if before["tariff"] == "BUSINESS"]
        (_, expired), (_, renewed) = moves

        assert (expired["isExpired"], renewed["isExpired"]) == (True, False)
        assert expired["idInstance"] == renewed["idInstance"]
        assert expired["expirationDate"] < renewed["expirationDate"]

    def test_one_is_extended_without_having_expired(self) -> None:
        extended = [
            after
            for before, after in self.moves("expirationDate")
            if not (after["isPartner"] or before["isExpired"] or after["isExpired"])
        ]

        assert [item["tariff"] for item in extended] == ["BUSINESS_KZT"]

    def test_one_token_is_rotated(self) -> None:
        assert len(self.moves("apiTokenInstance")) == 1

    def test_one_deleted_instance_is_purged_for_good(self) -> None:
        purged = {key for before, after in self.pairs for key in before.keys() - after.keys() if before[key]["deleted"]}

        assert len(purged) == 1
        assert not purged & self.answers[-1].keys()

    def test_one_answer_is_partial_beyond_the_guards_limit_and_then_all_are_back(self) -> None:
        (index,) = [
            index
            for index, (before, after) in enumerate(self.pairs)
            if len(live(before) - after.keys()) > max(3, len(live(before)) * 0.05)
        ]

        assert self.answers[index] == self.answers[index + 2]

    def test_one_live_instance_vanishes_within_the_guards_limit_and_reappears(self) -> None:
        gone = [(index, live(before) - after.keys()) for index, (before, after) in enumerate(self.pairs)]
        ((index, vanished),) = [(index, keys) for index, keys in gone if 0 < len(keys) <= 3]

        assert len(vanished) == 1
        assert vanished <= self.answers[index + 2].keys()

    def test_one_answer_refuses_the_token_with_200_and_the_next_is_a_list(self) -> None:
        (index,) = [index for index, step in enumerate(self.steps) if b'"code":401' in step.body]

        assert self.steps[index].status == 200
        assert is_list(self.steps[index + 1])

    def test_its_titles_are_all_different(self) -> None:
        titles = [step.title for step in self.steps]

        assert len(titles) == len(set(titles))


class TestScenarios:
    @pytest.mark.parametrize("name", SCENARIOS)
    def test_each_has_a_description_and_the_same_steps_every_time(self, name: str) -> None:
        assert SCENARIOS[name].endswith(".")
        assert scenario(name, START) == scenario(name, START)
        assert scenario(name, START)[0].at == START

    def test_an_unknown_name_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(ConfigurationError, match="did you mean bad-items"):
            scenario("bad-item", START)

    def test_a_naive_start_is_refused(self) -> None:
        with pytest.raises(ValueError, match="aware"):
            scenario("quiet", START.replace(tzinfo=None))

    def test_quiet_has_one_answer(self) -> None:
        assert len(lists("quiet")) == 1

    def test_roll_changes_nothing_but_expiration_dates(self) -> None:
        answers = lists("roll")
        changed = {
            key
            for before, after in pairwise(answers)
            for same in before
            for key in before[same]
            if before[same][key] != after[same][key]
        }

        assert {"expirationDate"} == changed
        assert len(answers) >= 30

    def test_what_is_held_is_empty_or_lacks_too_much_or_is_another_accounts(self) -> None:
        whole, empty, half, foreign, again = lists("held")

        assert (len(whole), len(empty)) == (26, 0)
        assert len(live(whole) - half.keys()) > max(3, len(live(whole)) * 0.05)
        assert half
        assert foreign
        assert whole.keys().isdisjoint(foreign)
        assert again == whole

    def test_what_fails_does_so_in_every_form_over_and_over(self) -> None:
        steps = scenario("failing", START)
        _busy, later, good, as_200, as_400, page, half = steps[:7]

        assert [503, 429, 200, 200, 400, 200, 200] * (len(steps) // 7) == [step.status for step in steps]
        assert later.headers["Retry-After"] == "1"
        assert is_list(good)
        assert as_200.body == b'{"code":401,"description":"Unauthorized"}'
        assert as_400.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.body.startswith(b"<!doctype html>")
        assert half.body.startswith(b"[{")
        with pytest.raises(json.JSONDecodeError):
            json.loads(half.body)

    def test_bad_items_are_of_every_kind_and_few_enough(self) -> None:
        (step,) = scenario("bad-items", START)
        answer = read_whole(step.body, Decoder(timedelta(hours=3), str))
        reasons = " | ".join(reject.reason for reject in answer.rejects)
        kinds = (
            "not an object", "idInstance is missing", "no integer from 1 to 2^63-1", "deleted is missing",
            "deleted is neither", "isExpired is missing", "isExpired is neither", "is not a time", "an impossible time",
            "longer than 64 KiB", "listed 2 times",
        )  # fmt: skip

        assert [kind for kind in kinds if kind not in reasons] == []
        assert len(answer.rejects) <= TOLERATED_REJECT_SHARE * answer.listed
        assert not answer.proves_absence
