"""What the fake API answers, poll by poll: a small simulated estate and the scripts that are played with it.

Moments are aware and simulated; nothing here reads a clock.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

from syncer.fake_api import UNAUTHORIZED, Step, listing

UPSTREAM_ZONE = timezone(timedelta(hours=3))  # UPSTREAM, The answer
NONE_YET = "0001-01-01T00:00:00"
FIRST_ID = 110_100_000_001

NAMES = (
    "Цветы на Тверской", "ТОО «Алатау»", "dent-art.clinic", "ИП Смирнова", "support@fit-house.example", "Пекарня №7 🥐",
    "Kaspi Auto", "Школа «Интеграл»", "Такси Восток", "Салон Aigerim", "Юрист 24", "boutique-milano", "АвтоДом", "Суши Ми",
    "Клиника «Жизнь»", "logistics-team@orbita.example", "Зоомир 🐾", "Астана Тур", "Окна-Комфорт", "Book & Coffee",
    "Ремонт под ключ", "Детский сад «Кроха»", "Qazaq Print", "Отель «Нева»", "Hookah Place", "Фотостудия Свет",
)  # fmt: skip


def as_upstream(moment: datetime) -> str:
    """A moment as the upstream writes it: UTC+3, without saying so."""
    return moment.astimezone(UPSTREAM_ZONE).strftime("%Y-%m-%dT%H:%M:%S")


class Estate:
    """A partner's instances as the upstream lists them."""

    def __init__(self) -> None:
        self._items: dict[int, dict[str, Any]] = {}
        self._created = 0

    def items(self, *, without: tuple[int, ...] = ()) -> list[dict[str, Any]]:
        """The list as it is answered now; `without` leaves instances out, as an upstream that fails would."""
        return [dict(item) for id_instance, item in self._items.items() if id_instance not in without]

    def create(self, at: datetime, *, messenger: str = "whatsapp", tariff: str = "PARTNER_23", days: int = 30) -> int:
        """A new instance; tariffs that begin with PARTNER renew themselves. Its `days` are what is paid for."""
        id_instance = FIRST_ID + self._created * 1_013
        is_partner = tariff.startswith("PARTNER")
        self._items[id_instance] = {
            "idInstance": id_instance,
            "name": NAMES[self._created % len(NAMES)],
            "typeInstance": messenger,
            "typeAccount": "",
            "partnerUserUiid": "",
            "timeCreated": as_upstream(at),
            "timeDeleted": NONE_YET,
            "apiTokenInstance": _token(id_instance, 0),
            "deleted": False,
            "tariff": tariff,
            "isFree": tariff == "DEVELOPER",
            "isPartner": is_partner,
            "expirationDate": as_upstream(at + timedelta(days=1 if is_partner else days)),
            "isExpired": False,
            "messenger": messenger,
            "apiUrl": f"https://{id_instance // 10**8}.api.green-api.example",
            "mediaUrl": f"https://{id_instance // 10**8}.media.green-api.example",
        }
        self._created += 1
        return id_instance

    def delete(self, id_instance: int, at: datetime) -> None:
        """Flag it as deleted; it stays listed."""
        self._items[id_instance] |= {"deleted": True, "timeDeleted": as_upstream(at)}

    def purge(self, id_instance: int) -> None:
        """Drop a deleted instance from the list, as the upstream does after about three months."""
        del self._items[id_instance]

    def change(self, id_instance: int, **values: object) -> None:
        """Set keys of an item as they are answered."""
        self._items[id_instance] |= values

    def rotate_token(self, id_instance: int, generation: int) -> None:
        """Give the instance another token."""
        self._items[id_instance]["apiTokenInstance"] = _token(id_instance, generation)

    def roll(self, days: int = 1) -> None:
        """Move the expiration date of every live auto-renewing instance forward, as the upstream does every day."""
        for item in self._items.values():
            if item["isPartner"] and not item["deleted"]:
                moved = datetime.fromisoformat(item["expirationDate"]) + timedelta(days=days)
                item["expirationDate"] = moved.strftime("%Y-%m-%dT%H:%M:%S")


def _token(id_instance: int, generation: int) -> str:
    return sha256(f"fake {id_instance} {generation}".encode()).hexdigest()[:50]


def _estate(start: datetime, size: int = 20) -> tuple[Estate, list[int]]:
    """An estate with a past: partner instances of every messenger, and some that are paid for by term."""
    estate = Estate()
    ids = []
    for place in range(size):
        age = timedelta(days=7 + 11 * place, hours=5 * place % 24)
        tariff = "PARTNER_23" if place % 4 else ("BUSINESS", "BUSINESS_KZT", "DEVELOPER")[place // 4 % 3]
        messenger = ("whatsapp", "whatsapp", "whatsapp", "v3", "telegram")[place % 5]
        ids.append(estate.create(start - age, messenger=messenger, tariff=tariff, days=age.days + 20))
        if tariff == "PARTNER_23":
            estate.change(ids[-1], expirationDate=as_upstream(start + timedelta(days=1, hours=place)))
    return estate, ids


def demo(start: datetime) -> list[Step]:
    """Eight days of an estate: everything that can happen, and three answers that must not be believed."""
    estate, ids = _estate(start)
    steps: list[Step] = []

    def day(number: int, hour: int = 9) -> datetime:
        return start + timedelta(days=number, hours=hour)

    def poll(at: datetime, title: str, *, without: tuple[int, ...] = ()) -> None:
        steps.append(listing(at, title, estate.items(without=without)))

    gone, business, kzt = ids[5], ids[0], ids[4]
    estate.delete(gone, start - timedelta(days=92))
    estate.delete(ids[9], start - timedelta(days=2, hours=3))
    estate.change(business, expirationDate=as_upstream(day(2, 6)))
    poll(day(0), "the first answer: 20 instances, two of them deleted before")

    new = [estate.create(day(0, 15)), estate.create(day(0, 16), messenger="v3")]
    estate.change(new[1], isExpired=True)
    poll(day(0, 16) + timedelta(minutes=1), "two new instances, one of them reported as expired for its first minutes")
    estate.change(new[1], isExpired=False)
    estate.roll()
    poll(day(1), "the daily roll: every live partner instance is renewed by a day; no transition")
    short_lived = estate.create(day(1, 12), messenger="telegram")
    estate.delete(short_lived, day(1, 17))
    estate.delete(ids[7], day(1, 18))
    poll(day(1, 19), "one deleted, and one created and deleted between two polls")
    estate.roll()
    estate.change(business, isExpired=True)
    poll(day(2), "a BUSINESS instance has expired")
    poll(day(2, 12), "half of the estate is missing: the guard holds the answer", without=tuple(ids[8:18]))
    steps.append(Step(day(2, 13), "a wrong-token answer, dressed as HTTP 200", UNAUTHORIZED))
    estate.change(ids[2], name="Алатау Трейд", tariff="PARTNER_25")
    estate.rotate_token(ids[3], 1)
    poll(day(2, 14), "all are back; one was renamed and moved to another tariff, one has a new token")
    estate.roll()
    estate.change(business, isExpired=False, expirationDate=as_upstream(day(33)))
    poll(day(3), "the expired one was paid again")
    estate.purge(gone)
    poll(day(3, 20), "one that was deleted three months ago is no longer listed")
    estate.roll()
    poll(day(4), "one live instance is missing: vanished, not deleted", without=(ids[11],))
    estate.roll()
    estate.change(kzt, expirationDate=as_upstream(day(60)))
    poll(day(5), "it is listed again; another one was extended before it expired")
    steps.append(Step(day(5, 12), "a captive portal answers with HTML", b"<html><body>Please log in</body></html>"))
    estate.change(ids[7], deleted=False, timeDeleted=NONE_YET)
    poll(day(6), "the vendor's support restored a deleted instance; the daily roll is late")
    poll(day(6, 12), "nothing changed")
    estate.roll(2)
    poll(day(7), "the roll caught up")
    return steps


def quiet(start: datetime) -> list[Step]:
    """The same 20 instances for ever."""
    return [listing(start, "nothing changes", _estate(start)[0].items())]


def roll(start: datetime) -> list[Step]:
    """A year of daily rolls and nothing else."""
    estate, _ids = _estate(start)
    steps = []
    for number in range(365):
        steps.append(listing(start + timedelta(days=number), f"day {number + 1}", estate.items()))
        estate.roll()
    return steps


def empty(start: datetime) -> list[Step]:
    """A full list, then an empty one."""
    return [*quiet(start), listing(start, "an empty list", [])]


def mass_vanish(start: datetime) -> list[Step]:
    """A full list, then half of it."""
    estate, ids = _estate(start)
    return [
        listing(start, "the whole estate", estate.items()),
        listing(start, "half of it", estate.items(without=tuple(ids[::2]))),
    ]


def foreign(start: datetime) -> list[Step]:
    """A list, then one that shares no instance with it, as if the token were another account's."""
    other = [item | {"idInstance": int(str(item["idInstance"])) + 500} for item in _estate(start)[0].items()]
    return [*quiet(start), listing(start, "another account's list", other)]


def wrong_token(start: datetime) -> list[Step]:
    """A refusal dressed as HTTP 200."""
    return [Step(start, "HTTP 200 with code 401", UNAUTHORIZED)]


def wrong_token_400(start: datetime) -> list[Step]:
    """A refusal as HTTP 400 with text."""
    return [Step(start, "HTTP 400", b"Bad Request: partner token is wrong", 400, {"Content-Type": "text/plain"})]


def flaky(start: datetime) -> list[Step]:
    """Unavailable, then too many requests, then the list."""
    return [
        Step(start, "HTTP 503", b"Service Unavailable", 503, {"Content-Type": "text/plain"}),
        Step(start, "HTTP 429 with Retry-After", b"Too Many Requests", 429, {"Retry-After": "1"}),
        *quiet(start),
    ]


def half_list(start: datetime) -> list[Step]:
    """A list that breaks off in the middle."""
    whole = quiet(start)[0].body
    return [Step(start, "half a list", whole[: len(whole) // 2])]


def html(start: datetime) -> list[Step]:
    """A captive portal."""
    return [Step(start, "HTML with HTTP 200", b"<html><body>Please log in</body></html>", headers={"Content-Type": "text/html"})]


def bad_items(start: datetime) -> list[Step]:
    """A list with three bad items in it."""
    estate, ids = _estate(start, size=40)
    estate.change(ids[3], timeCreated="yesterday")
    estate.change(ids[7], deleted=None)
    return [listing(start, "three bad items", [*estate.items(), {"idInstance": "abc"}])]


SCENARIOS: dict[str, Callable[[datetime], list[Step]]] = {
    "demo": demo,
    "quiet": quiet,
    "roll": roll,
    "empty": empty,
    "mass-vanish": mass_vanish,
    "foreign": foreign,
    "wrong-token": wrong_token,
    "wrong-token-400": wrong_token_400,
    "flaky": flaky,
    "half-list": half_list,
    "html": html,
    "bad-items": bad_items,
}
"""Every script by its name; the first line of its docstring describes it."""

REPEATING = frozenset({"flaky"})


def demo_start(now: datetime) -> datetime:
    """The midnight from which the demo plays, so that its last day is yesterday."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=8)
