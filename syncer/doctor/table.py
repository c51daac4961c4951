"""Every check of `syncer doctor`: what it asks, and what usually helps; `docs/operating.md` shows this table.

A finding names one of these checks; one of another name is a defect.
"""

from typing import NamedTuple


class Check(NamedTuple):
    """A question, the usual remedy where it is not so, and the exit code where that keeps syncer from working."""

    question: str
    remedy: str
    exit_code: int


CHECKS: dict[str, Check] = {
    "configuration.settings": Check("Can every setting be read?", "correct the setting that is named", 2),
    "configuration.variables": Check(
        "Is every SYNCER_ variable a setting?", "unset it, or name it as its setting is named", 2
    ),
    "configuration.secret_file": Check("Can nobody else read the files with secrets?", "chmod 600 the file", 2),
    "configuration.token": Check("Has each account a token of its own?", "put its partner token there", 2),
    "configuration.auto_migrate": Check("Does a new version upgrade the schema by itself?", "syncer db upgrade", 2),
    "upstream.environment": Check(
        "Can the proxy and the certificates be used that the environment names?", "correct the variable, or unset it", 2
    ),
    "upstream.dns": Check(
        "Is the upstream's name found?",
        "check SYNCER_API_URL and this machine's DNS; behind a proxy, set HTTPS_PROXY",
        3,
    ),
    "upstream.connect": Check(
        "Can it be connected to?", "check SYNCER_API_URL and the firewall; behind a proxy, set HTTPS_PROXY", 3
    ),
    "upstream.tls": Check(
        "Is its certificate trusted?",
        "check SYNCER_API_URL and the clock; behind a proxy that opens TLS, set SSL_CERT_FILE to its authority",
        3,
    ),
    "upstream.available": Check("Does it answer?", "check the network, any proxy and SYNCER_API_URL", 3),
    "upstream.credentials": Check(
        "Is the token accepted?",
        "copy the partner token from the console once more; a token of one host may be unknown to another, "
        "so check SYNCER_API_URL too",
        4,
    ),
    "upstream.address": Check(
        "Is it the right host?", "set SYNCER_API_URL to the host that the console names partnerApiUrl", 4
    ),
    "upstream.answer": Check(
        "Is the answer a list of which no item is rejected?",
        "run: syncer probe; check SYNCER_API_URL and any proxy between",
        5,
    ),
    "upstream.clock": Check(
        "Does this machine's clock agree with the upstream's?",
        "set the clock, and keep it by NTP: timedatectl set-ntp true",
        9,
    ),
    "upstream.offset": Check(
        "Do births lie between the polls that saw them?", "set SYNCER_UPSTREAM_OFFSET as it is told", 2
    ),
    "database.file": Check(
        "Is the SQLite file its owner's alone, and may it be written?", "correct SYNCER_DATABASE_URL, or its modes", 8
    ),
    "database.disk": Check("Is there room for the file once more?", "free some room on that disk", 8),
    "database.connection": Check("Can the database be read?", "check SYNCER_DATABASE_URL", 8),
    "database.wal": Check(
        "Do readers and syncer not wait for each other, and is the log no longer than it need be?",
        "end the oldest reader: the next run sets the mode",
        8,
    ),
    "database.writable": Check("Can it be written to?", "point SYNCER_DATABASE_URL at the primary", 8),
    "database.clock": Check(
        "Does this machine's clock agree with the database's?",
        "set the clock, and keep it by NTP: timedatectl set-ntp true",
        8,
    ),
    "database.encoding": Check(
        "Can the database hold every letter?", "CREATE DATABASE syncer ENCODING 'UTF8' TEMPLATE template0", 8
    ),
    "database.connections": Check(
        "May syncer make the connections that it needs?", "raise the limit of the role or the database", 8
    ),
    "database.readers": Check("Is no transaction open for long?", "end it", 8),
    "database.rights": Check(
        "Has the role the rights that runs and commands need?", "run the GRANT that is told, as the owner", 8
    ),
    "database.future": Check(
        "Does no account have data of the future?",
        "set the clock, keep it by NTP, and restore the backup from before that answer, or wait until that moment",
        9,
    ),
    "database.schema": Check("Is the schema what this syncer works on?", "run: syncer db upgrade", 8),
    "receivers.address": Check(
        "Can the address and the secrets of each receiver be read?", "correct the setting that is named", 2
    ),
    "receivers.delivery": Check(
        "Does each receiver take what it is sent?", "look at the receiver; run: syncer receivers test NAME", 3
    ),
    "database.runs": Check("Is no run noted as running longer than it can take?", "syncer sync closes it", 8),
}
