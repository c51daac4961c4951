"""What lies beside an SQLite file and is not restored with it: how far in the history each epoch was told.

A JSON object in `.syncer.db-epoch`: to each epoch the highest id that may have been sent, and a mark of that row. It is
read and written within write transactions, of which the database lets in one at a time: so nobody lowers what it says.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import URL

from syncer.model import LARGEST_ID
from syncer.storage.sqlite_file import sqlite_path

KEPT_EPOCHS = 20  # a backup of an epoch that ended long ago may be restored, too
LARGEST_BYTES = 64 * 1024


class Told(NamedTuple):
    """A row of the history, up to which everything may have been sent, and what tells it from another one of its id."""

    history_id: int
    mark: str


def path_of(url: URL) -> Path:
    """Where it lies: beside the file itself, by whatever name that was opened; `rm syncer.db*` does not reach it."""
    path = sqlite_path(url).resolve()
    return path.with_name(f".{path.name}-epoch")


def read(url: URL, epoch: str) -> Told | None:
    """What it says of an epoch; None where it is missing, unreadable or garbled: then it says nothing."""
    try:
        return _parse(_bytes_of(path_of(url))).get(epoch)
    except OSError:
        return None


def remember(url: URL, epoch: str, told: Told) -> None:
    """Let it say that an epoch was told so far, unless it says more. Raises `OSError`."""
    path = path_of(url)
    try:
        known = _parse(_bytes_of(path))  # what is there and cannot be read may say more, and stays
    except FileNotFoundError:
        known = {}
    before = known.pop(epoch, None)
    if before is not None and before.history_id >= told.history_id:
        return
    kept = [*known.items(), (epoch, told)][-KEPT_EPOCHS:]
    _replace(path, json.dumps(dict(kept)).encode("ascii"))


def _bytes_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST_BYTES)


def _parse(body: bytes) -> dict[str, Told]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, Mapping):
        return {}
    return {epoch: Told(*said) for epoch, said in found.items() if _is_told(said)}


def _is_told(said: object) -> bool:
    match said:
        case [int(history_id), str()]:
            return 0 < history_id <= LARGEST_ID
    return False


def _replace(path: Path, body: bytes) -> None:
    """All of it or nothing, for its owner alone."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)  # of a process that was killed
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(body)
    new.replace(path)
