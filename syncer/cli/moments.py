"""Times as people write them at a command."""

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from syncer.cli.command import now
from syncer.errors import ConfigurationError
from syncer.rules.schedule import parse_duration
from syncer.rules.timeline import billing_day, midnight_of

_LONG_AGO = re.compile(r"[0-9]+[smhd]([0-9]+[smh])*")  # a duration


def moment_of(flag: str, text: str | None, moment: datetime | None = None) -> datetime | None:
    """A time as people give it, in UTC; `moment` is now. None for none; raises `ConfigurationError` for what is none.

    A day begins at 00:00 UTC+3, where the upstream bills; `7d` is so long ago; without an offset a moment is UTC.
    """
    if text is None:
        return None
    moment = moment or now()
    words = {"now": moment, "today": midnight_of(billing_day(moment))}
    words["yesterday"] = words["today"] - timedelta(days=1)
    with suppress(ValueError, OverflowError):
        if text.strip().lower() in words:
            return words[text.strip().lower()]
        if _LONG_AGO.fullmatch(text.strip()):
            return moment - parse_duration(text)
        if len(text) <= len("2026-10-01"):
            return midnight_of(date.fromisoformat(text))
        stated = datetime.fromisoformat(text)
        return (stated if stated.tzinfo else stated.replace(tzinfo=UTC)).astimezone(UTC)
    raise ConfigurationError(
        f"{flag}: {text!r} is no time such as 2026-11-23, 2026-11-23T10:00:00+03:00, today, yesterday, 7d or 12h"
    )


def day_of(flag: str, text: str, moment: datetime | None = None) -> date:
    """The day at UTC+3 that people mean, for what begins with a day; raises `ConfigurationError`."""
    from syncer.views.rates import parse_day

    moment = moment or now()
    words = {"today": billing_day(moment), "yesterday": billing_day(moment) - timedelta(days=1)}
    return words.get(text.strip().lower()) or parse_day(flag, text)
