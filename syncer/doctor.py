"""What stands in the way of a run, found before it does: each finding with its remedy (CONTRACT 2, doctor).

Nothing is written: the upstream is asked for its list once, the database only reads and begins an empty transaction.
"""

import os
import re
import shutil
import socket
import stat
import threading
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from syncer import database, schema, upstream
from syncer.config import CONFIG_FILE, AccountSettings, Settings
from syncer.decode import Decoder, decode
from syncer.errors import ConfigurationError, DatabaseFailed, SyncerError, UpstreamRefused, UpstreamUnreachable
from syncer.lease import database_now
from syncer.model import RunStatus
from syncer.schema import SchemaState
from syncer.scrub import Scrubber
from syncer.tables import leases, metadata, sync_runs

TOLERATED_SKEW = timedelta(seconds=60)
SMALLEST_FREE_BYTES = 10**9
FREE_PER_FILE = 2  # an upgrade or a backup may need the file's size once more
CONNECT_SECONDS = upstream.CONNECT_SECONDS

APPEND_ONLY = frozenset({"instance_history", "rejected_items"})  # no UPDATE is needed there
SECRET_FILE_SETTINGS = ("partner_token_file", "database_url_file", "token_key_file")
SECRET_SETTINGS = ("partner_token", "token_key", "ping_url")

Clock = Callable[[], datetime]


class Level(StrEnum):
    """`error` keeps syncer from working, `warning` may do so one day."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """What one check found; `remedy` is empty exactly where nothing needs doing.

    `exit_code` is what the command ends with if this is the first error; it is no part of the document.
    """

    check: str
    level: Level
    message: str
    remedy: str = ""
    exit_code: int = 0


class SecretFile(NamedTuple):
    """A file with a secret in it, and what the setting that names it is called."""

    setting: str
    path: Path


def examine(
    settings: Settings,
    engine: Engine,
    *,
    scrub: Scrubber,
    secret_files: Sequence[SecretFile],
    accounts: Sequence[AccountSettings],
    stop: threading.Event,
    clock: Clock,
    unknown_variables: Iterable[str] = (),
    on_try: Callable[[str], None] = lambda _why: None,
) -> Iterator[Finding]:
    """Every finding as soon as it is there: configuration, upstream, database. No finding holds a secret."""
    findings = (
        finding
        for part in (
            _configuration(settings, accounts, secret_files, unknown_variables),
            _upstream(settings, accounts, scrub, stop, clock, on_try),
            _database(settings, engine, clock),
        )
        for finding in part
    )
    for finding in findings:
        yield finding._replace(message=scrub(finding.message), remedy=scrub(finding.remedy))


def document(findings: Iterable[Finding]) -> dict[str, Any]:
    """`syncer doctor --json`."""
    shown = ("check", "level", "message", "remedy")
    return {"findings": [{name: str(getattr(finding, name)) for name in shown} for finding in findings]}


def lines(finding: Finding) -> list[str]:
    """A finding for a person: what it is, and below it what to do."""
    first = f"{finding.level:8}{finding.check}: {finding.message}"
    return [first, f"{'':8}-> {finding.remedy}"] if finding.remedy else [first]


def exit_code(findings: Iterable[Finding]) -> int:
    """That of the first error; 0 without one."""
    return next((finding.exit_code for finding in findings if finding.level is Level.ERROR), 0)


def _ok(check: str, message: str) -> Finding:
    return Finding(check, Level.OK, message)


def _warning(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Level.WARNING, message, remedy)


def _database_error(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Level.ERROR, message, remedy, DatabaseFailed.exit_code)


def _error(check: str, error: SyncerError, remedy: str = "") -> Finding:
    """An error that syncer met; its own message ends in the remedy, which a better one may replace."""
    problem, _, advice = str(error).rpartition("; ")
    return Finding(check, Level.ERROR, problem or advice, remedy or advice, error.exit_code)


# Configuration


def secret_files(
    flags: Mapping[str, str | None], environment: Mapping[str, str], config_file: Path | None, folder: Path
) -> list[SecretFile]:
    """Every file that any source names for a secret, also one that another source goes before: a secret is in it still.

    The configuration file is among them if it holds a secret itself. The settings must have been loaded without error.
    """
    path = config_file or folder / CONFIG_FILE
    settings = tomllib.loads(path.read_text("utf-8")) if config_file or path.exists() else {}
    found = []
    for name in SECRET_FILE_SETTINGS:
        named = (
            (f"--{name.replace('_', '-')}", flags.get(name)),
            (f"SYNCER_{name.upper()}", environment.get(f"SYNCER_{name.upper()}", "").strip()),
            (f"{name} in {CONFIG_FILE}", settings.get(name)),
        )
        found += [SecretFile(called, folder / value) for called, value in named if value]
    for account, table in settings.get("accounts", {}).items():
        if "token_file" in table:
            found.append(SecretFile(f"token_file in [accounts.{account}]", folder / table["token_file"]))
    if any(settings.get(name) for name in SECRET_SETTINGS) or _has_password(settings.get("database_url")):
        found.append(SecretFile("--config", path))
    return found


def _has_password(url: object) -> bool:
    try:
        return isinstance(url, str) and make_url(url).password is not None
    except (ArgumentError, ValueError):
        return False


def _configuration(
    settings: Settings,
    accounts: Sequence[AccountSettings],
    files: Sequence[SecretFile],
    unknown_variables: Iterable[str],
) -> Iterator[Finding]:
    named = ", ".join(f"account {account.name!r} with its token from {account.token_setting}" for account in accounts)
    yield _ok("configuration.settings", f"every setting can be read; {named}")
    for variable in sorted(unknown_variables):
        yield Finding(
            "configuration.variables",
            Level.WARNING,
            f"the environment has {variable}, which is no setting of syncer",
            "unset it, or name it as its setting is named",
        )
    refused = set()
    for file in files:
        finding = _secret_file(file)
        if finding.level is Level.ERROR:
            refused.add(file.setting)
        yield finding
    owners: dict[str, str] = {}
    for account in accounts:
        check = "configuration.token"
        if account.token_setting in refused:
            continue
        try:
            token = account.read_token()
        except ConfigurationError as error:
            yield _error(check, error, f"put the partner token of account {account.name!r} there")
            continue
        if token in owners:
            yield Finding(
                check,
                Level.ERROR,
                f"account {account.name!r} has the same token as account {owners[token]!r}",
                f"correct {account.token_setting}: one account has one token",
                ConfigurationError.exit_code,
            )
            continue
        owners[token] = account.name
        yield _ok(check, f"account {account.name!r} has a token")
    if not settings.auto_migrate:
        yield _ok("configuration.auto_migrate", "switched off: a new version needs `syncer db upgrade` first")


def _secret_file(file: SecretFile) -> Finding:
    check = "configuration.secret_file"
    code = ConfigurationError.exit_code
    try:
        mode = file.path.stat().st_mode
    except OSError as error:
        problem = f"{file.setting}: {file.path}: {error.strerror}"
        return Finding(check, Level.ERROR, problem, f"create the file, or correct {file.setting}", code)
    remedy = f"run: chmod 600 {file.path}"
    if mode & stat.S_IROTH:
        return Finding(check, Level.ERROR, f"{file.setting}: everybody may read {file.path}", remedy, code)
    if mode & stat.S_IWOTH:
        return Finding(check, Level.ERROR, f"{file.setting}: everybody may write {file.path}", remedy, code)
    if mode & (stat.S_IRGRP | stat.S_IWGRP):
        return _warning(check, f"{file.setting}: its group may read or write {file.path}", remedy)
    return _ok(check, f"{file.setting}: only its owner may read {file.path}")


# Upstream


def _upstream(
    settings: Settings,
    accounts: Sequence[AccountSettings],
    scrub: Scrubber,
    stop: threading.Event,
    clock: Clock,
    on_try: Callable[[str], None],
) -> Iterator[Finding]:
    reachable: dict[str, bool] = {}
    for account in accounts:
        if account.api_url not in reachable:
            route = list(_route(account.api_url))
            yield from route
            reachable[account.api_url] = all(finding.level is not Level.ERROR for finding in route)
        try:
            token = account.read_token()
        except ConfigurationError:
            yield _warning(
                "upstream.answer",
                f"account {account.name!r}: not asked, there is no token to ask with",
                f"correct {account.token_setting} first",
            )
            continue
        if not reachable[account.api_url]:
            continue
        scrub.learn(token)
        source = upstream.Upstream(account.api_url, token, settings.timeout.total_seconds(), settings.max_body, scrub)
        decoder = Decoder(settings.upstream_offset, scrub)
        yield from _call(account, source, decoder, stop, clock, on_try)


def _route(api_url: str) -> Iterator[Finding]:
    """Name and connection, each step told apart; a proxy hides both."""
    address = urlsplit(api_url)
    host, port = address.hostname or "", address.port or (443 if address.scheme == "https" else 80)
    if address.scheme == "https" and getproxies().get("https") and not proxy_bypass(host):
        yield _ok("upstream.connect", f"{host} is reached by the proxy of HTTPS_PROXY; the way to it is not checked")
        return
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        problem = getattr(error, "strerror", None) or "it is no name"
        yield Finding(
            "upstream.dns",
            Level.ERROR,
            f"the name {host} is not found: {problem}",
            "check SYNCER_API_URL and this machine's DNS; behind a proxy, set HTTPS_PROXY",
            UpstreamUnreachable.exit_code,
        )
        return
    if not _is_address(host):
        yield _ok("upstream.dns", f"{host} has {len({entry[4][0] for entry in found})} addresses")
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        yield Finding(
            "upstream.connect",
            Level.ERROR,
            f"{host} port {port} cannot be connected to: {error.strerror or 'it took longer than allowed'}",
            "check SYNCER_API_URL and the firewall; behind a proxy, set HTTPS_PROXY",
            UpstreamUnreachable.exit_code,
        )
        return
    yield _ok("upstream.connect", f"{host} port {port} can be connected to")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _call(
    account: AccountSettings,
    source: upstream.Upstream,
    decoder: Decoder,
    stop: threading.Event,
    clock: Clock,
    on_try: Callable[[str], None],
) -> Iterator[Finding]:
    """One call as a run makes it: what came of it, and whether the clocks agree."""
    who = f"account {account.name!r}"
    headers: list[tuple[Mapping[str, str], datetime]] = []
    error: SyncerError | None = None
    try:
        answer = upstream.fetch(
            source, stop=stop, clock=clock, on_try=on_try, on_headers=lambda told: headers.append((told, clock()))
        )
        listing = decode(answer.body, decoder)
    except SyncerError as failure:
        error = failure
    if headers and source.api_url.startswith("https:"):
        yield _ok("upstream.tls", f"{who}: the certificate is trusted")
    if error is not None:
        finding = _failed_call(error, arrived=bool(headers))
        yield finding._replace(message=f"{who}: {finding.message}")
    else:
        yield _ok("upstream.credentials", f"{who}: the token is accepted")
        rejected = len(listing.rejects)
        told = f"{who}: the answer is a list of {listing.listed} items"
        if rejected:
            yield _warning(
                "upstream.answer",
                f"{told}, {rejected} of which cannot be taken, the first because {listing.rejects[0].reason}",
                "run: syncer probe; after a run, the items are in rejected_items",
            )
        else:
            yield _ok("upstream.answer", f"{told}, all of which can be taken")
    if headers:
        yield _clock_skew("upstream.clock", *headers[-1])


def _failed_call(error: SyncerError, *, arrived: bool) -> Finding:
    """The kinds of failure under names of their own; a wrong token comes in two forms (CONTRACT 5)."""
    if isinstance(error, UpstreamRefused) and error.http_status in {200, 400, 401, 403}:
        return _error(
            "upstream.credentials",
            error,
            "copy the partner token from the console once more; a token of one host may be unknown to another, "
            "so check SYNCER_API_URL too",
        )
    if isinstance(error, UpstreamRefused):
        return _error("upstream.address", error, "set SYNCER_API_URL to the host that the console names partnerApiUrl")
    if isinstance(error, UpstreamUnreachable):
        if not arrived and "CERTIFICATE" in str(error):
            return _error(
                "upstream.tls",
                error,
                "check SYNCER_API_URL and the clock; behind a proxy that opens TLS, set SSL_CERT_FILE to its authority",
            )
        remedies = {
            "rate_limited": "poll less often: raise SYNCER_SCHEDULE, and see who else uses this token",
            "server_error": "wait: the upstream is down or in maintenance, and the next run tries again",
            "timeout": "raise SYNCER_TIMEOUT if the list is large, else check the network",
        }
        return _error(
            "upstream.available", error, remedies.get(error.kind, "check the network, any proxy and SYNCER_API_URL")
        )
    return _error("upstream.answer", error, "run: syncer probe; check SYNCER_API_URL and any proxy between")


def _clock_skew(check: str, headers: Mapping[str, str], now: datetime) -> Finding:
    try:
        date = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return _warning(
            check, "the answer has no readable Date header, so the clock was not compared", "run: timedatectl"
        )
    return _compared(check, date.replace(tzinfo=date.tzinfo or UTC), now, "the upstream's")


def _compared(check: str, theirs: datetime, now: datetime, whose: str) -> Finding:
    skew = now - theirs
    if abs(skew) > TOLERATED_SKEW:
        side = "ahead of" if skew > timedelta() else "behind"
        return _warning(
            check,
            f"this machine's clock is {abs(skew).total_seconds():.0f} s {side} {whose}",
            "set the clock, and keep it by NTP: timedatectl set-ntp true",
        )
    return _ok(check, f"this machine's clock agrees with {whose} within {TOLERATED_SKEW.total_seconds():.0f} s")


# Database


def _database(settings: Settings, engine: Engine, clock: Clock) -> Iterator[Finding]:
    if engine.dialect.name == "sqlite":
        file = list(_sqlite_file(engine.url))
        yield from file
        exists = database.sqlite_path(engine.url).exists()
        if any(finding.level is Level.ERROR for finding in file):
            return
        if not exists:
            yield _schema_finding(SchemaState.EMPTY, None, may_migrate=settings.auto_migrate)
            return
    try:
        with database.reading(engine, "reading the database") as connection:
            findings = list((_sqlite if engine.dialect.name == "sqlite" else _postgresql)(connection, settings, clock))
    except DatabaseFailed as error:
        yield _error("database.connection", error, _connection_remedy(str(error)))
        return
    yield _ok("database.connection", f"{_place(engine.url)} can be read")
    yield from findings
    if engine.dialect.name == "sqlite":
        yield _sqlite_writable(engine)


def _connection_remedy(problem: str) -> str:
    """What helps where the server told why it lets nobody in; empty where the error's own advice is as good."""
    for words, remedy in _REFUSED_CONNECTIONS:
        if re.search(words, problem):
            return remedy
    return ""


_REFUSED_CONNECTIONS = (
    (r'database ".*" does not exist', "create the database, or correct its name in SYNCER_DATABASE_URL"),
    (
        r'authentication failed|role ".*" does not exist|no password supplied',
        "check user and password in SYNCER_DATABASE_URL",
    ),
    (r"pg_hba\.conf", "let this user and host in by a line of the server's pg_hba.conf"),
    (r"too many (?:connections|clients)", "end some connections, or raise the server's max_connections"),
)


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"the SQLite file {database.sqlite_path(url)}"
    return f"the PostgreSQL database {url.database or ''} on {url.host or 'this machine'}"


def _sqlite_file(url: URL) -> Iterator[Finding]:
    path = database.sqlite_path(url)
    folder = path.parent
    check = "database.file"
    if not folder.is_dir():
        yield _database_error(check, f"there is no folder {folder}", "create it, or correct SYNCER_DATABASE_URL")
        return
    if path.exists() and not path.is_file():
        yield _database_error(check, f"{path} is no file", "correct SYNCER_DATABASE_URL: it must name a file")
        return
    wanted = [place for place in (folder, path) if place.exists()]
    for place in wanted:
        if not os.access(place, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            yield _database_error(
                check,
                f"{place} is read-only for this user",
                f"make it writable for the user that runs syncer: SQLite writes {path.name}-wal beside the file",
            )
            return
    if path.exists():
        yield _sqlite_modes(path)
    yield _free_room(path, folder)


def _sqlite_modes(path: Path) -> Finding:
    check = "database.file"
    files = [file for end in ("", "-wal", "-shm") if (file := path.with_name(path.name + end)).exists()]
    others = [file for file in files if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    if others:
        names = " ".join(str(file) for file in others)
        return _warning(check, f"other users may read or write {names}, which holds names", f"run: chmod 600 {names}")
    return _ok(check, f"only its owner may read {path}")


def _free_room(path: Path, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    wanted = max(SMALLEST_FREE_BYTES, FREE_PER_FILE * (path.stat().st_size if path.exists() else 0))
    if free < wanted:
        return _warning(
            "database.disk",
            f"{free // 10**6} MB are free where the database lies, less than {wanted // 10**6} MB",
            f"free some room on the disk of {folder}",
        )
    return _ok("database.disk", f"{free // 10**6} MB are free where the database lies")


def _sqlite_writable(engine: Engine) -> Finding:
    """A write that changes no row: on a read-only file SQLite lets a transaction begin and refuses its first write."""
    try:
        with database.writing(engine, "beginning to write") as connection:
            if schema.current(connection) is not None:
                connection.execute(text("UPDATE alembic_version SET version_num = version_num WHERE 1 = 0"))
    except DatabaseFailed as error:
        return _error("database.writable", error)
    return _ok("database.writable", "the file can be written")


def _sqlite(connection: Connection, settings: Settings, clock: Clock) -> Iterator[Finding]:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    if mode == "wal":
        yield _ok("database.wal", "readers and the writer do not wait for each other")
    else:
        yield _warning(
            "database.wal",
            f"the journal mode is {mode}, so readers and syncer wait for each other",
            f"run: {schema.UPGRADE_COMMAND}",
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
        yield _database_error(
            "database.writable",
            "the server is a standby, which is read-only",
            "point SYNCER_DATABASE_URL at the primary",
        )
    elif row.read_only:
        yield _database_error(
            "database.writable",
            "the server makes every transaction read-only",
            f'run: ALTER ROLE "{row.role}" SET default_transaction_read_only = off, or ask who set it for the database',
        )
    else:
        yield _ok("database.writable", "the server takes writes")
    yield _compared("database.clock", database_now(connection), clock(), "the database's")
    if row.schema is None:
        yield _database_error(
            "database.rights",
            f"the role {row.role} may use no schema of its search_path",
            f'run as the owner: GRANT USAGE, CREATE ON SCHEMA public TO "{row.role}"',
        )
        return
    missing = list(_missing_rights(connection))
    if missing:
        yield from (
            _database_error(
                "database.rights",
                f"the role {row.role} has no {', '.join(rights)} on {table}",
                f'run as the owner: GRANT {", ".join(rights)} ON {table} TO "{row.role}"',
            )
            for table, rights in missing
        )
    else:
        yield _ok("database.rights", f"the role {row.role} has the rights that a run needs")
    if "alembic_version" not in {table for table, _ in missing}:
        yield from _migration_rights(connection, row.schema, row.role)
        yield from _contents(connection, settings, clock, unreadable={table for table, _ in missing})


def _missing_rights(connection: Connection) -> Iterator[tuple[str, list[str]]]:
    """The rights that a run needs and this role has not, by table; tables that are not there yet need none."""
    wanted = [("alembic_version", "SELECT")]
    for table in sorted(metadata.tables):
        wanted += [
            (table, right) for right in ("SELECT", "INSERT", "UPDATE") if right != "UPDATE" or table not in APPEND_ONLY
        ]
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
        yield _database_error(
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
        yield _database_error(
            "database.rights",
            f"the schema must be upgraded, and the role {role} does not own {', '.join(foreign)}",
            f"run `{schema.UPGRADE_COMMAND}` as the role that owns the tables",
        )


def _contents(
    connection: Connection, settings: Settings, clock: Clock, unreadable: Iterable[str] = ()
) -> Iterator[Finding]:
    revision = schema.current(connection)
    state = schema.state_of(revision)
    yield _schema_finding(state, revision, may_migrate=settings.auto_migrate)
    if state is SchemaState.CURRENT and not {"sync_runs", "leases"} & set(unreadable):
        yield from _runs(connection, settings, clock())


def _schema_finding(state: SchemaState, revision: str | None, *, may_migrate: bool) -> Finding:
    check = "database.schema"
    command = f"run: {schema.UPGRADE_COMMAND}"
    match state:
        case SchemaState.CURRENT:
            return _ok(check, f"the schema is at {revision}, which this syncer works on")
        case SchemaState.NEWER:
            return _database_error(
                check,
                f"the schema is at {revision}, newer than {schema.head()}, which this syncer works on",
                "install the syncer that made it; a schema is never taken back",
            )
        case SchemaState.EMPTY:
            problem = "there are no syncer tables yet"
        case SchemaState.OLDER:
            problem = f"the schema is at {revision}, older than {schema.head()}, which this syncer works on"
    if may_migrate:
        return _warning(check, f"{problem}; the first run makes them", f"{command} (or let the first run do it)")
    return _database_error(check, f"{problem}, and SYNCER_AUTO_MIGRATE is off", command)


def _runs(connection: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Runs that are noted as running: one may be under way now, but not for longer than a run can take."""
    check = "database.runs"
    longest = settings.timeout * upstream.TRIES + timedelta(seconds=upstream.LONGEST_RETRY_AFTER_SECONDS) * (
        upstream.TRIES - 1
    )
    running = connection.execute(
        select(sync_runs.c.id, sync_runs.c.account, sync_runs.c.started_at)
        .where(sync_runs.c.status == RunStatus.RUNNING)
        .order_by(sync_runs.c.id)
    ).all()
    database_time = database_now(connection)
    holders = {
        row.account: row.holder
        for row in connection.execute(select(leases).where(leases.c.expires_at > database_time))
        if row.holder is not None
    }
    for run in running:
        holder = holders.get(run.account)
        told = f"run {run.id} of account {run.account!r} is noted as running for {_age(now - run.started_at)}"
        if now - run.started_at <= longest:
            yield _ok(check, f"{told}{f', in {holder}' if holder else ''}")
        elif holder:
            yield _warning(
                check,
                f"{told}, longer than a run can take, and {holder} is at it",
                "restart the syncer that hangs there",
            )
        else:
            yield _warning(
                check,
                f"{told}, longer than a run can take, and nobody holds its lease: its process was killed",
                "nothing is lost: the next run closes it; start one with: syncer sync",
            )
    if not running:
        yield _ok(check, "no run is under way")


def _age(span: timedelta) -> str:
    return f"{max(span, timedelta()) // timedelta(minutes=1)} minutes"
