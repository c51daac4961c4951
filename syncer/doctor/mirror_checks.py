"""What `syncer doctor` finds in the mirror itself: data of the future, births that speak against the offset."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from syncer.doctor.finding import Finding, error, ok, warning
from syncer.rules.zone import offset_text
from syncer.storage.tables import accounts
from syncer.views.estate import AHEAD


def mirror_findings(connection: Connection, upstream_offset: timedelta, now: datetime) -> Iterator[Finding]:
    """Of every account that answers were accepted of."""
    columns = (
        accounts.c.account,
        accounts.c.last_accepted_at,
        accounts.c.upstream_offset,
        accounts.c.suggested_offset,
    )
    configured = offset_text(upstream_offset)
    found = connection.execute(
        select(*columns).where(accounts.c.last_accepted_at.is_not(None)).order_by(accounts.c.account)
    ).all()
    for row in found:
        if row.last_accepted_at - now > AHEAD:
            yield error(
                "database.future",
                f"the last accepted answer of account {row.account!r} lies {_span(row.last_accepted_at - now)} ahead: "
                "this machine's clock was wrong then, so times of the future are in its history and its bills count "
                "days that have not been; until then it is never stale, and what is seen now is noted as seen then",
            )
        if row.suggested_offset not in {None, configured}:
            yield warning(
                "upstream.offset",
                f"account {row.account!r}: the last births lie between the polls that saw them if the upstream's "
                f"times are {row.suggested_offset}, not {configured}",
                f"set SYNCER_UPSTREAM_OFFSET={row.suggested_offset}; then approve the run that is held for it, once",
            )
        elif row.upstream_offset not in {None, configured}:
            yield warning(
                "upstream.offset",
                f"account {row.account!r}: its rows were read with the offset {row.upstream_offset}, and "
                f"{configured} is set now: the next answer is held once, because every creation moves",
                "if the change is right, approve that run: syncer status shows it",
            )
    if found and all(row.last_accepted_at - now <= AHEAD for row in found):
        yield ok("database.future", "no account has data of the future")


def _span(span: timedelta) -> str:
    return f"{span.days} days" if span.days > 1 else f"{span // timedelta(minutes=1)} minutes"
