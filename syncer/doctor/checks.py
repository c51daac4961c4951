"""What stands in the way of a run, found before it does: each finding with its remedy (CONTRACT 2, doctor).

Nothing is written: the upstream is asked for its list once, the database only reads and begins an empty transaction.
"""

import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from syncer.doctor.consultation import Consultation
from syncer.doctor.database_checks import database_findings
from syncer.doctor.finding import Finding, Level, error, failure, ok, warning
from syncer.doctor.receiver_checks import address_findings
from syncer.doctor.table import CHECKS
from syncer.doctor.upstream_checks import upstream_findings
from syncer.errors import ConfigurationError
from syncer.scrub import shown
from syncer.settings.declared import CONFIG_FILE
from syncer.words.errors import in_words
from syncer.words.language import Language

SECRET_FILE_SETTINGS = ("partner_token_file", "database_url_file", "token_key_file")
SECRET_SETTINGS = ("partner_token", "token_key", "ping_url")


class SecretFile(NamedTuple):
    """A file with a secret in it, and what the setting that names it is called."""

    setting: str
    path: Path
    name: str  # of the path, unless that looks like a secret


def _secret_file_of(setting: str, folder: Path, value: str) -> SecretFile:
    return SecretFile(setting, folder / value, shown(value))


def findings_of(
    consultation: Consultation,
    engine: Engine,
    secret_files: Sequence[SecretFile],
    unknown_variables: Iterable[str] = (),
) -> Iterator[Finding]:
    """Every finding as soon as it is there: configuration, upstream, database. No finding holds a secret."""
    findings = chain(
        _configuration(consultation, secret_files, unknown_variables),
        address_findings(consultation.settings.receivers),
        upstream_findings(consultation),
        database_findings(consultation.settings, engine, consultation.clock),
    )
    scrub = consultation.scrub
    for finding in findings:
        yield finding._replace(message=scrub(finding.message), remedy=scrub(finding.remedy))


def document(findings: Iterable[Finding]) -> dict[str, Any]:
    """`syncer doctor --json`."""
    shown = ("check", "level", "message", "remedy")
    return {
        "findings": [
            {name: str(getattr(finding, name)) for name in shown} | {"question": CHECKS[finding.check].question}
            for finding in findings
        ]
    }


def lines(language: Language, finding: Finding) -> list[str]:
    """A finding for a person: what it is, and below it what to do."""
    first = f"{finding.level:8}{finding.check}: {in_words(language, finding.message)}"
    return [first, f"{'':8}-> {in_words(language, finding.remedy)}"] if finding.remedy else [first]


def exit_code(findings: Iterable[Finding]) -> int:
    """That of the first error; 0 without one."""
    return next((finding.exit_code for finding in findings if finding.level is Level.ERROR), 0)


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
        found += [_secret_file_of(called, folder, value) for called, value in named if value]
    for account, table in settings.get("accounts", {}).items():
        if "token_file" in table:
            found.append(_secret_file_of(f"token_file in [accounts.{account}]", folder, table["token_file"]))
    for receiver, table in settings.get("receivers", {}).items():
        for key in ("url_file", "secret_file"):
            if key in table:
                found.append(_secret_file_of(f"{key} in [receivers.{receiver}]", folder, table[key]))
    if any(settings.get(name) for name in SECRET_SETTINGS) or _has_password(settings.get("database_url")):
        found.append(_secret_file_of("--config", folder, str(path)))
    return found


def _has_password(url: object) -> bool:
    try:
        return isinstance(url, str) and make_url(url).password is not None
    except (ArgumentError, ValueError):
        return False


def _configuration(
    consultation: Consultation, files: Sequence[SecretFile], unknown_variables: Iterable[str]
) -> Iterator[Finding]:
    accounts = consultation.accounts
    named = ", ".join(
        f"account {configured.name!r} with its token from {configured.token_setting}" for configured in accounts
    )
    yield ok("configuration.settings", f"every setting can be read; {named}")
    for variable in sorted(unknown_variables):
        yield warning("configuration.variables", f"the environment has {variable}, which is no setting of syncer")
    refused = set()
    for file in files:
        finding = _secret_file(file)
        if finding.level is Level.ERROR:
            refused.add(file.setting)
        yield finding
    owners: dict[str, str] = {}
    for configured in accounts:
        check = "configuration.token"
        if configured.token_setting in refused:
            continue
        try:
            token = configured.read_token()
        except ConfigurationError as problem:
            yield failure(check, problem, f"put the partner token of account {configured.name!r} there")
            continue
        if token in owners:
            yield error(
                check,
                f"account {configured.name!r} has the same token as account {owners[token]!r}",
                f"correct {configured.token_setting}: one account has one token",
            )
            continue
        owners[token] = configured.name
        yield ok(check, f"account {configured.name!r} has a token")
    if not consultation.settings.auto_migrate:
        yield ok("configuration.auto_migrate", "switched off: a new version needs `syncer db upgrade` first")


def _secret_file(file: SecretFile) -> Finding:
    check = "configuration.secret_file"
    try:
        mode = file.path.stat().st_mode
    except OSError as problem:
        told = f"{file.setting}: {file.name}: {problem.strerror}"
        return error(check, told, f"create the file, or correct {file.setting}")
    remedy = f"run: chmod 600 {file.name}"
    if mode & stat.S_IROTH:
        return error(check, f"{file.setting}: everybody may read {file.name}", remedy)
    if mode & stat.S_IWOTH:
        return error(check, f"{file.setting}: everybody may write {file.name}", remedy)
    if mode & (stat.S_IRGRP | stat.S_IWGRP):
        return warning(check, f"{file.setting}: its group may read or write {file.name}", remedy)
    return ok(check, f"{file.setting}: only its owner may read {file.name}")
