"""Every setting, once: its name, its default and its meaning. Flag, variable, key, help and documents follow from it.

Light, since every start of the program reads it: what a value must look like is in `config`.
"""

from typing import NamedTuple

PREFIX = "SYNCER_"
CONFIG_FILE = "syncer.toml"


class Setting(NamedTuple):
    """`name` is its key in `syncer.toml`; `otherwise` says what holds where there is no default.

    A secret has no flag: a process list shows flags to everybody.
    """

    name: str
    default: str | None
    meaning: str
    otherwise: str = ""
    has_flag: bool = True

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.name.upper()}"

    @property
    def help(self) -> str:
        told = self.default or self.otherwise
        return f"{self.meaning}  [{told}]" if told else f"{self.meaning}."


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("partner_token", None, "The partner token", has_flag=False),
        Setting("partner_token_file", None, "The file with the partner token; mode 600"),
        Setting("api_url", "https://api.green-api.com", "The upstream's address"),
        Setting("database_url", "sqlite:///syncer.db", "Where the mirror is, SQLite or PostgreSQL"),
        Setting("database_url_file", None, "A file with that URL, password and all"),
        Setting("schedule", "5m", "When the daemon runs: 90s, 15m, 1h or five fields of cron"),
        Setting("timezone", "UTC", "The zone of a cron expression"),
        Setting("upstream_offset", "+03:00", "The offset of the upstream's times"),
        Setting("expiry_grace", "5m", "How old a new instance must be for isExpired to be believed"),
        Setting("guard_vanished", "5%", "The share of live instances that may vanish at once"),
        Setting("guard_changed", "30%", "The share that one answer may declare deleted, restored, expired or stripped"),
        Setting("clock_tolerance", "5m", "How far this machine's clock may be from the upstream's; or off"),
        Setting("account", "default", "The name of the account that the token belongs to", has_flag=False),
        Setting("token_key", None, "A key of 32 bytes; with it tokens are kept, encrypted", has_flag=False),
        Setting("token_key_file", None, "A file with that key", has_flag=False),
        Setting("timeout", "180s", "How long one whole answer may take"),
        Setting("max_body", "1GiB", "The largest answer, decompressed"),
        Setting("log_format", None, "console or json", "console on a terminal, else json"),
        Setting("log_level", "info", "debug, info, warning or error"),
        Setting("lang", None, "The language of what people read: en or ru", "from LANG, else en"),
        Setting("listen", None, "host:port of the daemon's /healthz, /readyz and /metrics"),
        Setting("ping_url", None, "A dead-man's switch, pinged at each run's start and end"),
        Setting("auto_migrate", "true", "Upgrade an older schema at start"),
    )
}
