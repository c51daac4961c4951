"""The commands that show what state it is in: the mirror, the configuration, the upstream's answer, the promises."""

import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import click

from syncer.cli.command import (
    INSTANCE_ID,
    Command,
    Context,
    account_filter,
    chosen,
    complain,
    gathered,
    json_flag,
    known_accounts,
    now,
    require_account,
    runs_of,
    with_settings,
)
from syncer.cli.moments import moment_of
from syncer.errors import ConfigurationError, SyncerError
from syncer.model import Transition


@click.command(cls=Command, epilog="syncer status --as-of yesterday")
@with_settings
@click.option("--as-of", "as_of", metavar="TIME", help="Show the estate at a past moment instead.")
@account_filter
@json_flag
def status(context: Context, as_of: str | None, account_name: str | None, as_json: bool) -> int:
    """Show freshness, counts and the last runs. Exit code 0 only when every account is fresh."""
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.terminal.receivers import print_receivers
    from syncer.views import approvals, estate, past
    from syncer.views.receivers import read_receivers

    moment = moment_of("--as-of", as_of)
    if moment is not None and moment > now():
        raise ConfigurationError(f"--as-of: {as_of} has not come yet; name a past moment")
    schema.require_current(context.engine)
    if moment is not None:
        with database.reading(context.engine, "reading the past") as connection:
            require_account(context, connection, account_name)
            found = past.estate_at(connection, moment, account_name)
        if as_json:
            printing.print_json(found)
        else:
            render.print_estate_at(context.words, found)
        return 0
    with database.reading(context.engine, "reading the status") as connection:
        accounts = known_accounts(context, connection, account_name)
        runs = estate.read_runs(connection, account_name)
        held, leases, waiting = (
            [row for row in rows if account_name in {None, row["account"]}]
            for rows in (
                estate.read_held(connection),
                estate.read_leases(connection),
                approvals.read_waiting(connection),
            )
        )
        standby = estate.read_standby(connection)
        receivers = read_receivers(connection, [one.receiver for one in context.settings.receivers])
    standing = render.Standing(accounts, runs, leases, held, waiting, standby)
    if as_json:
        document = render.status_document(standing)
        printing.print_json({**document, "receivers": [one._asdict() for one in receivers]})
    else:
        render.print_status(context.words, standing)
        if receivers:
            printing.line("")
            print_receivers(context.words, receivers)
    return 0 if accounts and all(one.is_fresh or one.is_retired for one in accounts) else 3


class _HistoryOptions(NamedTuple):
    """What `syncer history` was asked for, as it was typed."""

    id_instance: int | None
    account_name: str | None
    transitions: tuple[str, ...]
    since: str | None
    until: str | None
    limit: int | None


@click.command(cls=Command, epilog="syncer history --since 7d --transition deleted")
@with_settings
@click.argument("id_instance", metavar="[ID]", type=INSTANCE_ID, required=False)
@account_filter
@click.option("--transition", "transitions", multiple=True, type=click.Choice([str(word) for word in Transition]))
@click.option(
    "--since",
    metavar="TIME",
    help="Observed at or after this time: 2026-10-01, yesterday, 7d; a day begins at 00:00 UTC+3.",
)
@click.option("--until", metavar="TIME", help="Observed before this time.")
@click.option("--limit", type=click.IntRange(min=1), help="At most the newest so many; 1000 on a terminal.")
@json_flag
@gathered("asked", _HistoryOptions)
def history(context: Context, asked: _HistoryOptions, as_json: bool) -> None:
    """Show transitions, newest last."""
    from syncer.storage import database, schema
    from syncer.terminal import printing, render
    from syncer.views import estate, explain

    wanted = estate.HistoryFilter(
        id_instance=asked.id_instance,
        account=asked.account_name,
        transitions=[Transition(word) for word in asked.transitions],
        since=moment_of("--since", asked.since),
        until=moment_of("--until", asked.until),
        limit=asked.limit or (1000 if sys.stdout.isatty() else None),
    )
    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the history") as connection:
        events = estate.read_history(connection, wanted)
        if not events:
            require_account(context, connection, wanted.account)
        key = wanted.id_instance
        if not events and key is not None and explain.read_life(connection, key) is None:
            raise ConfigurationError(f"history: {explain.unknown(key, explain.near_ids(connection, key))}")
    if as_json:
        printing.print_json({"history": events})
    elif events:
        render.console().print(render.history_table(context.words, events))
    else:
        printing.line(context.words("no_match"))


@click.command(cls=Command, epilog="syncer token 1101000001")
@with_settings
@click.argument("id_instance", metavar="ID", type=INSTANCE_ID)
def token(context: Context, id_instance: int) -> None:
    """Print the token of instance ID, for the eyes of who asks. It needs the key that the tokens are kept under."""
    from syncer.storage import database, schema, tokens
    from syncer.terminal import printing
    from syncer.views import explain

    key = context.settings.token_key
    if key is None:
        raise ConfigurationError(
            "token: no key is set; set SYNCER_TOKEN_KEY_FILE, or SYNCER_TOKEN_KEY, to the one that tokens are under"
        )
    schema.require_current(context.engine)
    with database.reading(context.engine, "reading the token") as connection:
        kept = tokens.read_token(connection, key, id_instance)
        if kept is None:
            if explain.read_life(connection, id_instance) is None:
                near = explain.near_ids(connection, id_instance)
                raise ConfigurationError(f"token: {explain.unknown(id_instance, near)}")
            raise ConfigurationError(
                f"token: none is kept of {id_instance}: no answer told it since the key is set; run: syncer sync"
            )
    printing.line(kept)


@click.command(cls=Command, epilog="syncer doctor")
@with_settings
@account_filter
@json_flag
def doctor(context: Context, account_name: str | None, as_json: bool) -> int:
    """Check settings, upstream, database, schema and clock. Each finding has its remedy."""
    from syncer.daemon.leased_runs import log_try
    from syncer.doctor import checks
    from syncer.doctor.consultation import Consultation
    from syncer.settings import config
    from syncer.terminal import printing

    accounts = chosen(context, account_name)
    consultation = Consultation(context.settings, accounts, context.scrub, now, threading.Event(), log_try)
    files = checks.secret_files(context.flags, os.environ, context.config_file, Path.cwd())
    found = []
    for finding in checks.findings_of(consultation, context.engine, files, config.unknown_variables(os.environ)):
        found.append(finding)
        if not as_json:
            for text in checks.lines(context.settings.language, finding):
                printing.line(text)
    if as_json:
        printing.print_json(checks.document(found))
    return checks.exit_code(found)


@click.command(cls=Command, epilog="syncer probe")
@with_settings
@account_filter
@json_flag
def probe(context: Context, account_name: str | None, as_json: bool) -> int:
    """Show the shape of an answer, never a name or a secret. Calls the upstream once."""
    from syncer.answer.reader import read_body
    from syncer.doctor import probe as probing
    from syncer.terminal import printing

    accounts = chosen(context, account_name)
    runs = runs_of(context)
    documents = []
    exit_codes = []
    for configured in accounts:
        headers: dict[str, str] = {}

        def keep_last(told: Mapping[str, str], headers: dict[str, str] = headers) -> None:
            headers.clear()
            headers.update(told)

        began = time.monotonic()
        try:
            answer = runs.fetcher(configured, keep_last)(b"".join)
        except SyncerError as error:
            exit_codes.append(complain(f"{configured.name}: {error}", error.exit_code))
            documents.append({"account": configured.name, "error_kind": error.kind, "error": context.scrub(str(error))})
            continue
        sample = probing.Sample(answer.body, headers, time.monotonic() - began, now())
        document = probing.shape_of(sample, context.settings.upstream_offset, context.scrub)
        documents.append({"account": configured.name, **document})
        if not as_json:
            printing.told(context.settings.language, f"account {configured.name}")
            for text in probing.lines(context.settings.language, document):
                printing.line(text)
        try:
            read_body(answer.body, runs.terms(configured).decoder)
        except SyncerError as error:
            exit_codes.append(complain(f"{configured.name}: {error}", error.exit_code))
    if as_json:
        printing.print_json({"probes": documents})
    return next(iter(exit_codes), 0)


@click.command(cls=Command, epilog="syncer verify")
@with_settings
@json_flag
def verify(context: Context, as_json: bool) -> int:
    """Check the promises of the tables on this database. Exit code 1 when one is broken."""
    from syncer.storage import schema
    from syncer.terminal import printing
    from syncer.views import verify as promises

    schema.require_current(context.engine)
    verification = promises.verify(context.engine)
    if as_json:
        printing.print_json(promises.document(verification))
    else:
        for text in promises.lines(context.settings.language, verification):
            printing.line(text)
    return 0 if verification.holds else 1
