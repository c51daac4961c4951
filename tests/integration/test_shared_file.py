"""An SQLite file that is restored, copied, shared with another user, or read for long (CONTRACT 3, docs/bi.md)."""

import os
import shutil
import sqlite3
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from builders import item
from mirror import Mirror

from syncer.doctor.finding import Level
from syncer.doctor.sqlite_checks import file_findings, log_finding
from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.storage import database, growth

OWNER, READER, GROUP = 61001, 61002, 61003


def mode_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
        return mode


@pytest.fixture
def restored(tmp_path: Path) -> Mirror:
    """As docs/operating.md has it: saved by VACUUM INTO, and put into place."""
    mirror = Mirror(f"sqlite:///{tmp_path}/syncer.db")
    mirror.observe([item(1)])
    with closing(sqlite3.connect(tmp_path / "syncer.db")) as connection:
        connection.execute(f"VACUUM INTO '{tmp_path}/backup.db'")
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"syncer.db{end}").unlink(missing_ok=True)
    shutil.move(tmp_path / "backup.db", tmp_path / "syncer.db")
    return mirror


def test_a_restored_file_gets_its_log_back_with_the_first_write(restored: Mirror, tmp_path: Path) -> None:
    before = mode_of(tmp_path / "syncer.db")
    restored.observe([item(1, name="b")])

    assert (before, mode_of(tmp_path / "syncer.db")) == ("delete", "wal")


def test_a_reader_of_a_restored_file_holds_up_one_write_at_the_most(restored: Mirror, tmp_path: Path) -> None:
    """While somebody reads the file cannot change its mode; as soon as nobody does, it has it."""
    restored.observe([item(1, name="b")])
    with closing(sqlite3.connect(tmp_path / "syncer.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        seen = reader.execute("SELECT name FROM instances").fetchone()
        report = restored.observe([item(1, name="c")])
        still = reader.execute("SELECT name FROM instances").fetchone()

    assert (report.status, seen, still) == ("ok", ("b",), ("b",))


def test_a_reader_that_is_there_first_leaves_the_mode_for_later(
    restored: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_TIMEOUT_SECONDS", 0.2)
    with closing(sqlite3.connect(tmp_path / "syncer.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT name FROM instances").fetchone()
        with pytest.raises(DatabaseFailed, match="another program has held its lock for too long"):
            restored.observe([item(1, name="b")])
    report = restored.observe([item(1, name="b")])

    assert (report.status, mode_of(tmp_path / "syncer.db")) == ("ok", "wal")


@pytest.mark.parametrize("url", ["sqlite:////dir/a?b.db", "sqlite:///a?", "sqlite:///a.db?mode=ro"])
def test_a_name_that_would_be_cut_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"a name with a \? in it cannot be given"):
        database.parse_database_url(url)


def test_a_log_that_has_grown_is_told(tmp_path: Path) -> None:
    engine = database.open_engine(database.parse_database_url(f"sqlite:///{tmp_path}/syncer.db"))
    assert growth.log_bytes(engine) is None
    assert log_finding(engine).level is Level.OK

    with (tmp_path / "syncer.db-wal").open("wb") as log:
        log.truncate(65 * 2**20)

    assert growth.log_bytes(engine) == 65 * 2**20
    found = log_finding(engine)
    assert (found.level, "grown to 68 MB" in found.message) == (Level.WARNING, True)


def as_user(user: int, group: int, work: Callable[[], object]) -> str:
    """What it says, in a process of that user."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads; the child makes none and ends at once
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            os.umask(0o007)
            said = str(work())
        except BaseException as error:  # noqa: BLE001 - the child must not run on into pytest
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder beside pytest's own, which are closed to other users; in it lies a mirror, both another user's."""
    if os.getuid() != 0:
        pytest.skip("only root may be another user")
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        yield prepared(Path(made) / "shared")


def prepared(folder: Path) -> Path:
    folder.mkdir()
    Mirror(f"sqlite:///{folder}/syncer.db").engine.dispose()
    for path in (folder, *folder.iterdir()):
        os.chown(path, OWNER, GROUP)
        path.chmod(0o2770 if path.is_dir() else 0o660)
    return folder


def write(folder: Path) -> str:
    engine = database.open_engine(database.parse_database_url(f"sqlite:///{folder}/syncer.db"))
    with database.writing(engine, "writing") as connection:
        connection.exec_driver_sql("INSERT INTO accounts (account) VALUES ('a') ON CONFLICT DO NOTHING")
    return "written"


def read(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "syncer.db")) as connection:
        return str(connection.execute("SELECT count(*) FROM accounts").fetchone()[0])


def leave_open(folder: Path) -> str:
    """A reader that is killed leaves its files behind."""
    connection = sqlite3.connect(folder / "syncer.db")
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM accounts").fetchone()
    return "killed"


def test_a_file_that_is_shared_as_advised_is_written_after_another_user_has_read_it(shared: Path) -> None:
    said = [
        as_user(READER, GROUP, lambda: read(shared)),
        as_user(READER, GROUP, lambda: leave_open(shared)),
        as_user(OWNER, GROUP, lambda: write(shared)),
        as_user(READER, GROUP, lambda: read(shared)),
    ]

    assert said == ["0", "killed", "written", "1"]
    assert {path.stat().st_gid for path in shared.iterdir()} == {GROUP}
    url = database.parse_database_url(f"sqlite:///{shared}/syncer.db")
    found = next(file_findings(url))
    assert (found.level, "a group may read" in found.message) == (Level.OK, True)


def test_a_file_of_another_user_beside_the_database_is_named(shared: Path) -> None:
    as_user(OWNER, GROUP, lambda: leave_open(shared))
    log = shared / "syncer.db-shm"
    os.chown(log, READER, READER)
    log.chmod(0o600)
    said = as_user(OWNER, GROUP, lambda: write(shared))
    url = database.parse_database_url(f"sqlite:///{shared}/syncer.db")
    advice = as_user(OWNER, GROUP, lambda: [tuple(finding) for finding in file_findings(url)])

    for told in (said, advice):
        assert "syncer.db-shm" in told
        assert "2770" in told
    assert "is not open to syncer's user" in said
    assert "is read-only for this user" in advice


def test_a_folder_that_does_not_hand_its_group_down_is_told(shared: Path) -> None:
    shared.chmod(0o770)
    found = next(file_findings(database.parse_database_url(f"sqlite:///{shared}/syncer.db")))

    assert found.level is Level.WARNING
    assert "2770" in found.remedy
    assert stat.S_IMODE((shared / "syncer.db").stat().st_mode) == 0o660
