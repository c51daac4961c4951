"""What the fake API answers, poll by poll: one script per scenario, played with a simulated estate.

Every moment counts from the `start` that is handed in; nothing here reads a clock.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from syncer.demo.fake_api import UNAUTHORIZED, UPSTREAM_ZONE, FakeEstate, Step, listing
from syncer.errors import ConfigurationError, did_you_mean

ROUNDS = 200  # of what goes on over and over
ROLL_DAYS = 60
TEXT = {"Content-Type": "text/plain; charset=utf-8"}

SCENARIOS: dict[str, str] = {
    "demo": "Eight days of an estate: all that can happen to an instance, and answers that must not be believed.",
    "quiet": "The same instances for ever; nothing changes.",
    "roll": "Sixty days of daily renewals and nothing else.",
    "held": "A full list, then an empty one, half of one and another account's, and the full one again.",
    "failing": "HTTP 503, 429, a good list, a refused token in both forms, a log-in page, half a list, in turn.",
    "bad-items": "A list with two or three bad items of each kind, few enough to be accepted.",
}

NAMES = (
    "Цветы на Тверской", "Нұр-Жол ЖШС", "dent-art.clinic", "ИП Смирнова А. В.", "support@fit-house.example",
    "Пекарня №7 🥐", "Kaspi Auto", "Школа «Интеграл»", "Қазақ Әлемі", "Салон Айгерім", "Юрист 24", "boutique-milano",
    "Такси Восток 🚕", "Суши Ми", "Клиника «Жизнь»", "logistics@orbita.example", "Зоомир 🐾", "Астана Тур",
    "Окна-Комфорт", "Book & Coffee ☕", "Өрнек дизайн", "Детский сад «Кроха»", "Qazaq Print", "Отель «Нева»",
    "sales+wa@north.example", "Фотостудия Свет",
)  # fmt: skip
MESSENGERS = ("whatsapp", "whatsapp", "whatsapp", "v3", "telegram")
PORTAL = b"<!doctype html><html><head><title>Guest Wi-Fi</title></head><body>Please log in to continue.</body></html>"


def scenario(name: str, start: datetime) -> list[Step]:
    """The steps of a scenario, its first poll at `start`, an aware moment.

    Raises `ConfigurationError` for a name that is not in `SCENARIOS`.
    """
    if start.tzinfo is None:
        raise ValueError("start must be an aware moment")
    if name not in SCENARIOS:
        raise ConfigurationError(f"choosing a scenario: there is none named {name!r}; {did_you_mean(name, SCENARIOS)}")
    return _SCRIPTS[name](start)


def _grown(start: datetime, size: int = 26, *, first_number: int = 1) -> tuple[FakeEstate, list[int]]:
    """An estate with a past, all of it live at `start` and for ten days more, and its ids from oldest to newest.

    Every fourth instance does not renew itself: BUSINESS, BUSINESS_KZT or DEVELOPER in turn.
    Partner instances expire within the second day from `start`, as right after a billing midnight.
    """
    estate = FakeEstate(first_number=first_number)
    ids = []
    for place in range(size):
        partner = place % 4 != 0
        remaining = timedelta(days=1) if partner else timedelta(days=11 + place)
        ids.append(
            estate.create(
                start - timedelta(days=130) + timedelta(days=125) * place / size,
                name=NAMES[place % len(NAMES)] + (f" {place // len(NAMES) + 1}" if place >= len(NAMES) else ""),
                messenger=MESSENGERS[place % len(MESSENGERS)],
                tariff="PARTNER_23" if partner else ("BUSINESS", "BUSINESS_KZT", "DEVELOPER")[place // 4 % 3],
                expires=start + remaining + timedelta(hours=1 + place % 20),
                customer=place % 7 == 1,
            )
        )
    return estate, ids


def _demo(start: datetime) -> list[Step]:  # noqa: PLR0915  one script, read from top to bottom
    estate, ids = _grown(start)
    steps: list[Step] = []

    def moment(day: int, hour: int = 0, minute: int = 0) -> datetime:
        return start + timedelta(days=day, hours=hour, minutes=minute)

    def poll(at: datetime, title: str, *, without: Collection[int] = ()) -> None:
        steps.append(listing(at, title, estate.items(without=without)))

    def roll(day: int, *, passing_by: Collection[int] = ()) -> None:
        estate.roll(moment(day).astimezone(UPSTREAM_ZONE).date(), passing_by=passing_by)

    business, business_kzt, developer, long_expired = ids[0], ids[4], ids[8], ids[12]
    soon_purged, deleted_lately, deleted_by_mistake = ids[1], ids[2], ids[3]
    renamed, leaving, rotated, lost, passed_by = ids[5], ids[6], ids[7], ids[9], ids[10]

    estate.delete(soon_purged, moment(-88))
    estate.delete(deleted_lately, moment(-40))
    estate.delete(deleted_by_mistake, moment(-1))
    estate.renew(long_expired, moment(-3))
    estate.expire(long_expired)
    estate.renew(business, moment(2, 4))
    poll(moment(0), "the first answer: 26 instances, three of them already deleted and one expired")

    estate.create(moment(0, 3, 10), name="Аптека «Айболит» 💊")
    settling = estate.create(moment(0, 3, 58), name="Доставка MAX", messenger="v3", reported_expired=True)
    poll(moment(0, 4), "two new instances, one on WhatsApp and one on MAX, which is reported expired at first")
    estate.settle(settling)
    poll(moment(0, 4, 15), "the new instance on MAX is no longer reported expired")

    roll(1)
    poll(moment(1), "the daily roll: every live partner instance is renewed by one day")
    estate.delete(leaving, moment(1, 7, 20))
    poll(moment(1, 8), "an instance is deleted")
    short_lived = estate.create(moment(1, 9), name="тест", messenger="telegram")
    estate.delete(short_lived, moment(1, 16, 30))
    poll(moment(1, 18), "an instance on Telegram was created and deleted between two polls")

    roll(2)
    estate.rename(renamed, "Алатау Трейд")
    estate.change_tariff(developer, "BUSINESS")
    poll(moment(2), "the daily roll; one instance is renamed, another moves from DEVELOPER to BUSINESS")
    estate.expire(business)
    poll(moment(2, 6), "a BUSINESS instance expires")
    estate.renew(business_kzt, moment(60))
    poll(moment(2, 12), "a BUSINESS_KZT instance is extended before it expires")

    roll(3)
    estate.rotate_token(rotated)
    poll(moment(3), "the daily roll; one instance has a new token")
    poll(moment(3, 6), "only part of the estate is listed: the guard holds the answer", without=ids[14:22])
    steps.append(Step(moment(3, 7), "a wrong-token answer, dressed as HTTP 200", 200, UNAUTHORIZED))
    poll(moment(3, 8), "the whole estate is listed again: nothing was lost")

    roll(4)
    estate.renew(business, moment(34))
    poll(moment(4), "the daily roll; the expired BUSINESS instance is paid again")
    estate.purge(soon_purged)
    poll(moment(4, 12), "an instance that was deleted three months ago is no longer listed")
    poll(moment(4, 18), "a live instance is missing: vanished, not deleted", without={lost})
    roll(5)
    poll(moment(5), "the daily roll; the vanished instance is listed again")

    roll(6)
    estate.restore(deleted_by_mistake)
    estate.renew(deleted_by_mistake, moment(7, 5))
    poll(moment(6), "the daily roll; the vendor's support restores a deleted instance")
    poll(moment(6, 12), "nothing changed")
    roll(7, passing_by={passed_by})
    poll(moment(7), "the daily roll passes one partner instance by: it was not renewed")
    return steps


def _quiet(start: datetime) -> list[Step]:
    return [listing(start, "nothing changes", _grown(start)[0].items())]


def _roll(start: datetime) -> list[Step]:
    estate, _ = _grown(start)
    steps = [listing(start, "day 1: the first answer", estate.items())]
    for day in range(1, ROLL_DAYS):
        at = start + timedelta(days=day)
        estate.roll(at.astimezone(UPSTREAM_ZONE).date())
        steps.append(listing(at, f"day {day + 1}: the daily roll", estate.items()))
    return steps


def _held(start: datetime) -> list[Step]:
    estate, ids = _grown(start)
    other_estate, _ = _grown(start, first_number=5_001)
    answers = {
        "the whole estate": estate.items(),
        "an empty list": [],
        "half of the estate": estate.items(without=ids[::2]),
        "another account's list": other_estate.items(),
        "the whole estate again": estate.items(),
    }
    return [
        listing(start + timedelta(minutes=5 * number), title, items)
        for number, (title, items) in enumerate(answers.items())
    ]


def _failing(start: datetime) -> list[Step]:
    good = listing(start, "a good list", _grown(start)[0].items())
    answers: list[tuple[str, int, bytes, dict[str, str]]] = [
        ("HTTP 503", 503, b"Service Unavailable", TEXT),
        ("HTTP 429 with Retry-After", 429, b"Too Many Requests", TEXT | {"Retry-After": "1"}),
        (good.title, good.status, good.body, dict(good.headers)),
        ("the token is refused with HTTP 200 and an error object", 200, UNAUTHORIZED, {}),
        ("the token is refused with HTTP 400 and text", 400, b"Bad Request: wrong partner token", TEXT),
        ("a captive portal", 200, PORTAL, {"Content-Type": "text/html; charset=utf-8"}),
        ("half a list", 200, good.body[: len(good.body) // 2], {}),
    ]
    return [
        Step(start + timedelta(minutes=5 * number), title, status, body, headers)
        for number, (title, status, body, headers) in enumerate(answers * ROUNDS)
    ]


def _bad_items(start: datetime) -> list[Step]:
    estate, _ = _grown(start, size=300)
    items = {int(item["idInstance"]): item for item in estate.items()}
    victims = iter(list(items.values())[10::7])

    for key in ("deleted", "isExpired"):
        del next(victims)[key]
        next(victims)[key] = None
        next(victims)[key] = "no"
    next(victims)["timeCreated"] = "yesterday"
    next(victims)["expirationDate"] = 1_780_000_000
    next(victims)["expirationDate"] = "2026-02-30T12:00:00"
    next(victims)["timeDeleted"] = "2026-01-01T25:00:00"
    next(victims)["name"] = "long " * 13_200
    next(victims)["name"] = "ұзын" * 8_300
    twins = [next(victims) | {"name": "the same id, another name"} for _ in range(2)]
    del next(victims)["idInstance"]
    next(victims)["idInstance"] = None
    for no_id in (0, 2**63, "not a number"):
        next(victims)["idInstance"] = no_id
    answer: list[object] = [*items.values(), *twins, None, "not an object"]
    return [listing(start, "300 instances, and bad items of every kind among them", answer)]


_SCRIPTS: dict[str, Callable[[datetime], list[Step]]] = {
    "demo": _demo,
    "quiet": _quiet,
    "roll": _roll,
    "held": _held,
    "failing": _failing,
    "bad-items": _bad_items,
}
