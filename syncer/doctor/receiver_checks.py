"""What `syncer doctor` finds of receivers: whether their secrets can be read, and whether what is sent arrives."""

from collections.abc import Iterator

from sqlalchemy import Connection

from syncer.doctor.finding import Finding, failure, ok, warning
from syncer.errors import ConfigurationError
from syncer.settings.receivers import ReceiverSettings
from syncer.views.receivers import read_receivers


def address_findings(receivers: tuple[ReceiverSettings, ...]) -> Iterator[Finding]:
    """Nothing is sent."""
    for one in receivers:
        try:
            one.read_address()
        except ConfigurationError as problem:
            yield failure("receivers.address", problem)
        else:
            yield ok("receivers.address", f"receiver {one.name!r} has an address that may be sent to")


def delivery_findings(connection: Connection, receivers: tuple[ReceiverSettings, ...]) -> Iterator[Finding]:
    """As the database has it."""
    check = "receivers.delivery"
    for one in read_receivers(connection, [known.receiver for known in receivers]):
        told = f"receiver {one.receiver!r}"
        if one.state == "stopped":
            problem = f"{told} wants no more messages since it answered HTTP 410; {one.behind} events wait"
            yield warning(check, problem, f"correct the receiver, then run: syncer receivers resume {one.receiver}")
        elif one.state == "failing":
            yield warning(check, f"{told} takes nothing since {one.failing_since:%Y-%m-%d %H:%M} UTC: {one.last_error}")
        elif one.state == "ok":
            yield ok(check, f"{told} takes what it is sent; {one.behind} events wait")
