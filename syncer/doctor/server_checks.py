"""What `syncer doctor` finds of a PostgreSQL server beside syncer's tables: letters, connections, long readers."""

import re
from collections.abc import Iterator

from sqlalchemy import Connection, text

from syncer.doctor.finding import Finding, error, ok, warning
from syncer.errors import DatabaseFailed
from syncer.storage import growth
from syncer.storage.connections import MOST_CONNECTIONS
from syncer.storage.surroundings import refuse_encoding

LONG_READING_SECONDS = 3600
ASIDE = 3  # connections beside those of the runs: the leases, the next runs, and whoever asks for the status

_LIMITS = text(
    "SELECT current_setting('server_encoding') AS encoding, rolconnlimit AS role, datconnlimit AS database"
    " FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
)


def server_findings(connection: Connection, accounts: int, receivers: int) -> Iterator[Finding]:
    """It only reads."""
    row = connection.execute(_LIMITS).one()
    try:
        refuse_encoding(row.encoding)
    except DatabaseFailed as refused:
        problem, _, remedy = str(refused).partition(": ")[2].partition("; ")
        yield error("database.encoding", problem, remedy)
    else:
        yield ok("database.encoding", "every letter can be stored")
    and_receivers = f" and {receivers} receivers" if receivers else ""
    needed = min(MOST_CONNECTIONS, accounts + receivers + ASIDE)
    limit = min([limit for limit in (row.role, row.database) if limit >= 0], default=None)
    if limit is not None and limit < needed:
        yield warning(
            "database.connections",
            f"the limit of connections is {limit}, and syncer makes up to {needed} for {accounts} accounts"
            f"{and_receivers}: its runs wait for one another, and a command beside the daemon may get none",
            f"run as the owner: ALTER ROLE role CONNECTION LIMIT {needed}, or the same of the database",
        )
    else:
        yield ok("database.connections", f"syncer may make the {needed} connections that it needs")
    age = growth.oldest_transaction_seconds(connection)
    if age is not None and age > LONG_READING_SECONDS:
        yield warning(
            "database.readers",
            f"a transaction has been open for {age / 3600:.1f} hours, and nothing that changed since is cleaned up",
            "end it: SELECT pid, usename, query FROM pg_stat_activity ORDER BY xact_start",
        )
    else:
        told = "no other transaction is open" if age is None else f"the oldest transaction is open for {age:.0f} s"
        yield ok("database.readers", f"{told}, as far as this role may see")


def connection_remedy(problem: str) -> str:
    """What helps where the server told why it lets nobody in; empty where the error's own advice is as good.

    Before a connection stands there is no SQLSTATE: of a server that speaks another language the error's own advice,
    which names all of these, has to do.
    """
    servers_words = problem.rpartition("; ")[0]  # without that advice
    for words, remedy in _REFUSED_CONNECTIONS:
        if re.search(words, servers_words):
            return remedy
    return ""


_REFUSED_CONNECTIONS = (
    (r'database ".*" does not exist', "create the database, or correct its name in SYNCER_DATABASE_URL"),
    (
        r'authentication failed|role ".*" does not exist|no password supplied',
        "check user and password in SYNCER_DATABASE_URL",
    ),
    (r"pg_hba\.conf", "let this user and host in by a line of the server's pg_hba.conf"),
    (
        r"too many (?:connections|clients)",
        "end some connections, or raise the CONNECTION LIMIT of role or database, or the server's max_connections",
    ),
)
