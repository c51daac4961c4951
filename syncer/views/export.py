"""A view as a file: CSV that no spreadsheet is tricked by, JSON lines, Parquet, a workbook; streamed, never whole."""

import csv
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from sqlalchemy import BigInteger, Boolean, Connection, Date, Integer, select
from sqlalchemy.sql.expression import TableClause

from syncer.errors import ConfigurationError
from syncer.scrub import MISPLACED, looks_secret
from syncer.storage.tables import UtcDateTime
from syncer.views import excel
from syncer.views.catalogue import MONEY, plain
from syncer.views.strangers_text import cell, still_json

BATCH_ROWS = 5_000
FORMATS = ("csv", "jsonl", "parquet", "xlsx")

Row = Mapping[str, Any]


def batches(connection: Connection, view: TableClause, account: str | None = None) -> Generator[list[dict[str, Any]]]:
    """The rows of a view, of one account or of all, so many at a time."""
    query = select(view) if account is None else select(view).where(view.c.account == account)
    with connection.execute(query.execution_options(yield_per=BATCH_ROWS)) as result:
        for partition in result.partitions():
            yield [plain(dict(row._mapping)) for row in partition]


def write(
    format_: str, view: TableClause, rows: Generator[list[dict[str, Any]]], out: IO[bytes], told: Callable[[int], None]
) -> int:
    """Write every row, and say after each batch how many there were so far; gives their number."""
    writers: dict[str, Callable[[TableClause, IO[bytes]], Callable[[Sequence[Row] | None], None]]] = {
        "csv": _csv_writer,
        "csv for excel": excel.csv_writer,
        "jsonl": _jsonl_writer,
        "parquet": _parquet_writer,
        "xlsx": excel.workbook_writer,
    }
    written = 0
    with closing(rows):  # before its connection is
        put = writers[format_](view, out)
        for batch in rows:
            put(batch)
            written += len(batch)
            told(written)
        put(None)
    return written


def require_file_name(path: Path) -> None:
    """Raise `ConfigurationError` for a secret in place of a file's name: it would be shown, and stay on the disk."""
    if looks_secret(path.name) or (looks_secret(str(path)) and not path.parent.is_dir()):
        raise ConfigurationError(f"writing a file: it is {MISPLACED}; name a file")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name only when it is whole; raises `ConfigurationError` where it cannot be written."""
    require_file_name(path)
    if not path.name:  # as of "" and "."
        raise ConfigurationError(f"writing {path}: it names no file; choose another one")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    problem = None
    try:
        with unfinished.open("wb") as out:
            yield out
        unfinished.replace(path)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    finally:
        unfinished.unlink(missing_ok=True)
    if problem is not None:
        raise ConfigurationError(f"writing {path}: {problem}; choose another file")


def _csv_writer(view: TableClause, out: IO[bytes]) -> Callable[[Sequence[Row] | None], None]:
    names = [column.name for column in view.columns]
    writer = csv.writer(excel.Encoded(out))
    writer.writerow(names)

    def put(rows: Sequence[Row] | None) -> None:
        writer.writerows([_cell(row[name]) for name in names] for row in rows or ())

    return put


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | Decimal):
        return str(value)
    return value


def _jsonl_writer(view: TableClause, out: IO[bytes]) -> Callable[[Sequence[Row] | None], None]:
    names = [column.name for column in view.columns]

    def put(rows: Sequence[Row] | None) -> None:
        for row in rows or ():
            line = json.dumps({name: _number(row[name]) for name in names}, ensure_ascii=False)
            out.write(still_json(line).encode() + b"\n")

    return put


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else _plain(value)


def _parquet_writer(view: TableClause, out: IO[bytes]) -> Callable[[Sequence[Row] | None], None]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        pa = None
    if pa is None:
        raise ConfigurationError("--format parquet: pyarrow is not installed; beside syncer, run: pip install pyarrow")
    kinds: dict[type, Any] = {
        BigInteger: pa.int64(),
        Integer: pa.int64(),
        Boolean: pa.bool_(),
        Date: pa.date32(),
        UtcDateTime: pa.timestamp("us", tz="UTC"),
    }
    numbers = {**dict.fromkeys(MONEY, pa.decimal128(38, 6)), "churn_rate": pa.float64(), "survival": pa.float64()}
    schema = pa.schema(
        [
            (column.name, numbers.get(column.name) or kinds.get(type(column.type), pa.string()))
            for column in view.columns
        ]
    )
    writer = parquet.ParquetWriter(out, schema)

    def put(rows: Sequence[Row] | None) -> None:
        if rows is None:
            writer.close()
        else:
            writer.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema))

    return put
