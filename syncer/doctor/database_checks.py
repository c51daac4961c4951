"""What `syncer doctor` finds in the database: file or server, rights, schema, clock, runs."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.engine import URL

from syncer.doctor.finding import Clock, Finding, Level, compared, error, failure, ok, warning
from syncer.doctor.mirror_checks import mirror_findings
from syncer.doctor.receiver_checks import delivery_findings
from syncer.doctor.server_checks import connection_remedy, server_findings
from syncer.doctor.sqlite_checks import file_findings, log_finding, writable_finding
from syncer.errors import DatabaseFailed
from syncer.model import RunStatus
from syncer.settings.config import Settings
from syncer.storage import database, schema
from syncer.storage.lease import database_now, read_holders
from syncer.storage.schema import SchemaState
from syncer.storage.sqlite_file import sqlite_path
from syncer.storage.tables import metadata, sync_runs
from syncer.upstream import client

APPEND_ONLY = frozenset({"instance_history", "rejected_items"})  # no UPDATE is needed there
TAKEN_BACK = frozenset({"attention_told", "claims", "ended_lives", "past_versions", "syncer_epoch"})  # rows are deleted
FOR_COMMANDS = (
    ("accounts", "DELETE", "accounts rename"),
    ("customers", "DELETE", "customers load"),
    ("instance_history", "UPDATE", "accounts rename"),
    ("leases", "DELETE", "accounts rename"),
    ("tariff_rates", "DELETE", "rates remove"),
)
"""What no run needs, and a command of a person does."""


def database_findings(settings: Settings, engine: Engine, clock: Clock) -> Iterator[Finding]:
    """The database as it is found; it only reads, and begins an empty transaction."""
    if engine.dialect.name == "sqlite":
        file = list(file_findings(engine.url))
        yield from file
        if any(finding.level is Level.ERROR for finding in file):
            return
        if not sqlite_path(engine.url).exists():
            yield _schema_finding(SchemaState.EMPTY, None, may_migrate=settings.auto_migrate)
            return
    try:
        with database.reading(engine, "reading the database") as connection:
            findings = list((_sqlite if engine.dialect.name == "sqlite" else _postgresql)(connection, settings, clock))
    except DatabaseFailed as error:
        yield failure("database.connection", error, connection_remedy(str(error)))
        return
    yield ok("database.connection", f"{_place(engine.url)} can be read")
    yield from findings
    if engine.dialect.name == "sqlite":
        yield writable_finding(engine)
        yield log_finding(engine)


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"the SQLite file {sqlite_path(url)}"
    return f"the PostgreSQL database {url.database or ''} on {url.host or 'this machine'}"


def _sqlite(connection: Connection, settings: Settings, clock: Clock) -> Iterator[Finding]:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    if mode == "wal":
        yield ok("database.wal", "readers and the writer do not wait for each other")
    else:
        yield warning(
            "database.wal",
            f"the journal mode is {mode}, so readers and syncer wait for each other",
            "end whoever reads it: the next run sets it to wal",
        )
    yield from _contents(connection, settings, clock)


def _postgresql(connection: Connection, settings: Settings, clock: Clock) -> Iterator[Finding]:
    row = connection.execute(
        text(
            "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only,"
            " current_schema() AS schema, current_user AS role"
        )
    ).one()
    if row.standby:
        yield error("database.writable", "the server is a standby, which is read-only")
    elif row.read_only:
        yield error(
            "database.writable",
            "the server makes every transaction read-only",
            f'run: ALTER ROLE "{row.role}" SET default_transaction_read_only = off, or ask who set it for the database',
        )
    else:
        yield ok("database.writable", "the server can be written to")
    yield compared("database.clock", database_now(connection), clock(), "the database's")
    yield from server_findings(connection, len(settings.accounts), len(settings.receivers))
    if row.schema is None:
        yield error(
            "database.rights",
            f"the role {row.role} may use no schema of its search_path",
            f'run as the owner: GRANT USAGE, CREATE ON SCHEMA public TO "{row.role}"',
        )
        return
    missing = list(_missing_rights(connection, _rights_of_runs()))
    grant = "run as the owner: GRANT {rights} ON {table} TO " + f'"{row.role}"'
    for table, rights in missing:
        told = ", ".join(rights)
        yield error(
            "database.rights",
            f"the role {row.role} has no {told} on {table}",
            grant.format(rights=told, table=table),
        )
    if not missing:
        yield ok("database.rights", f"the role {row.role} has the rights that a run needs")
    needed_by = {(table, right): command for table, right, command in FOR_COMMANDS}
    for table, rights in _missing_rights(connection, list(needed_by)):
        for right in rights:
            yield warning(
                "database.rights",
                f"the role {row.role} has no {right} on {table}, which `syncer {needed_by[table, right]}` needs",
                grant.format(rights=right, table=table),
            )
    if schema.VERSION_TABLE not in {table for table, _ in missing}:
        yield from _migration_rights(connection, row.schema, row.role)
        yield from _contents(connection, settings, clock, unreadable={table for table, _ in missing})


def _rights_of_runs() -> list[tuple[str, str]]:
    wanted = [(schema.VERSION_TABLE, "SELECT")]
    for table in sorted(metadata.tables):
        rights = ["SELECT", "INSERT"]
        rights += [] if table in APPEND_ONLY else ["UPDATE"]
        rights += ["DELETE"] if table in TAKEN_BACK else []
        wanted += [(table, right) for right in rights]
    return wanted


def _missing_rights(connection: Connection, wanted: Sequence[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """The wanted rights that this role has not, by table; tables that are not there yet need none."""
    rows = connection.execute(
        text(
            "SELECT wanted.name, array_agg(wanted.privilege ORDER BY wanted.place) AS rights"
            " FROM unnest(CAST(:names AS text[]), CAST(:rights AS text[])) WITH ORDINALITY"
            " AS wanted(name, privilege, place)"
            " WHERE NOT has_table_privilege(to_regclass(wanted.name), wanted.privilege)"
            " GROUP BY wanted.name ORDER BY min(wanted.place)"
        ),
        {"names": [name for name, _ in wanted], "rights": [right for _, right in wanted]},
    )
    return ((row.name, list(row.rights)) for row in rows)


def _migration_rights(connection: Connection, schema_name: str, role: str) -> Iterator[Finding]:
    """What an upgrade needs, where one is due: CREATE on the schema, and to own the tables that it alters."""
    state = schema.state_of(schema.current(connection))
    if state not in {SchemaState.EMPTY, SchemaState.OLDER}:
        return
    may_create = connection.execute(
        text("SELECT has_schema_privilege(:schema, 'CREATE')"), {"schema": schema_name}
    ).scalar_one()
    if not may_create:
        yield error(
            "database.rights",
            f"the schema must be upgraded, and the role {role} has no CREATE on {schema_name}",
            f'run as the owner: GRANT CREATE ON SCHEMA {schema_name} TO "{role}", '
            f"or run `{schema.UPGRADE_COMMAND}` as another role",
        )
    foreign = connection.scalars(
        text(
            "SELECT relname FROM pg_class WHERE oid = ANY (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[]))"
            " AS wanted(name)) AND NOT pg_has_role(relowner, 'USAGE') ORDER BY relname"
        ),
        {"names": sorted(metadata.tables)},
    ).all()
    if foreign:
        yield error(
            "database.rights",
            f"the schema must be upgraded, and the role {role} does not own {', '.join(foreign)}",
            f"run `{schema.UPGRADE_COMMAND}` as the role that owns the tables",
        )


def _contents(
    connection: Connection, settings: Settings, clock: Clock, unreadable: Iterable[str] = ()
) -> Iterator[Finding]:
    revision = schema.current(connection)
    state = schema.state_of(revision)
    if state is SchemaState.EMPTY:
        try:
            schema.refuse_what_is_there(connection)
        except DatabaseFailed as refused:
            yield failure("database.schema", refused)
            return
    yield _schema_finding(state, revision, may_migrate=settings.auto_migrate)
    if state is SchemaState.CURRENT and not {"sync_runs", "leases"} & set(unreadable):
        yield from _runs(connection, settings, clock())
        if "accounts" not in unreadable:
            yield from mirror_findings(connection, settings.upstream_offset, clock())
        if not {"receivers", "instance_history"} & set(unreadable):
            yield from delivery_findings(connection, settings.receivers)


def _schema_finding(state: SchemaState, revision: str | None, *, may_migrate: bool) -> Finding:
    check = "database.schema"
    command = f"run: {schema.UPGRADE_COMMAND}"
    match state:
        case SchemaState.CURRENT:
            return ok(check, f"the schema is at {revision}, which this syncer works on")
        case SchemaState.NEWER:
            return error(
                check,
                f"the schema is at {revision}, newer than {schema.head()}, which this syncer works on",
                f"install the syncer that made it; the way back is by that one: syncer db downgrade {schema.head()}",
            )
        case SchemaState.EMPTY:
            problem = "there are no syncer tables yet"
        case SchemaState.OLDER:
            problem = f"the schema is at {revision}, older than {schema.head()}, which this syncer works on"
    if may_migrate:
        return warning(check, problem, f"{command} (or let the first run do it)")
    return error(check, f"{problem}, and SYNCER_AUTO_MIGRATE is off", command)


def _runs(connection: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Runs that are noted as running: one may be under way now, but not for longer than a run can take."""
    check = "database.runs"
    longest = settings.timeout * client.TRIES + timedelta(seconds=client.LONGEST_RETRY_AFTER_SECONDS) * (
        client.TRIES - 1
    )
    running = connection.execute(
        select(sync_runs.c.id, sync_runs.c.account, sync_runs.c.started_at)
        .where(sync_runs.c.status == RunStatus.RUNNING)
        .order_by(sync_runs.c.id)
    ).all()
    holders = read_holders(connection)
    for run in running:
        holder = holders.get(run.account)
        told = f"run {run.id} of account {run.account!r} is noted as running for {_age(now - run.started_at)}"
        if now - run.started_at <= longest:
            yield ok(check, f"{told}{f', in {holder}' if holder else ''}")
        elif holder:
            yield warning(
                check,
                f"{told}, longer than a run can take, and {holder} is at it",
                "restart the syncer that hangs there",
            )
        else:
            yield warning(
                check,
                f"{told}, longer than a run can take, and nobody keeps its lease: its process was killed",
                "nothing is lost: the next run closes it; start one with: syncer sync",
            )
    if not running:
        yield ok(check, "no run is under way")


def _age(span: timedelta) -> str:
    return f"{max(span, timedelta()) // timedelta(minutes=1)} minutes"
