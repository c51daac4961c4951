"""The settings that a command would get in an environment and a folder of its own."""

import os
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path

import click

from syncer.settings.config import Settings, settings_of
from syncer.settings.declared import SETTINGS
from syncer.settings.options import setting_options


def load(
    flags: Mapping[str, str | None], environment: Mapping[str, str], config_file: Path | None, folder: Path
) -> Settings:
    """What these flags, this environment and the file of settings come to; the environment is the process's own again."""
    arguments = [f"{SETTINGS[name].flag}={value}" for name, value in flags.items() if value is not None]
    arguments += [f"--config={config_file}"] if config_file else []
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        with chdir(folder if folder.is_dir() else "/"):
            return settings_of(click.Command("syncer", params=setting_options()).make_context("syncer", arguments))
    finally:
        os.environ.clear()
        os.environ.update(kept)
