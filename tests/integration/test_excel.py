"""Views as Excel opens them: a workbook, and CSV of its kind."""

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from builders import item, paid
from mirror import Mirror

from syncer.errors import ConfigurationError
from syncer.storage import database
from syncer.views import excel, export
from syncer.views.catalogue import VIEWS

LONG_ID = 710300733103
FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture
def lived(mirror: Mirror) -> Mirror:
    mirror.observe(
        [
            item(LONG_ID, name="Пекарня; №7", timeCreated="2026-10-31T23:30:00"),
            paid(2, name=FORMULA),
            item(3, name="x" * 40_000),
        ]
    )
    return mirror


def exported(mirror: Mirror, format_: str, view: str = "bi_instances") -> bytes:
    out = io.BytesIO()
    with database.reading(mirror.engine, "reading the view") as connection:
        export.write(format_, VIEWS[view], export.batches(connection, VIEWS[view]), out, lambda _rows: None)
    return out.getvalue()


def sheet(body: bytes) -> list[dict[str, Any]]:
    workbook = openpyxl.load_workbook(io.BytesIO(body))
    assert workbook.active is not None
    names, *rows = workbook.active.iter_rows(values_only=True)
    return [dict(zip(map(str, names), row, strict=True)) for row in rows]


def test_a_workbook_has_ids_as_text_and_times_of_the_billing_day(lived: Mirror) -> None:
    by_id = {row["id_instance"]: row for row in sheet(exported(lived, "xlsx"))}

    one = by_id[str(LONG_ID)]
    assert isinstance(one["time_created (UTC+3)"], datetime)
    assert ("Пекарня; №7", "2026-10-31 23:30:00", True, None) == (
        one["name"], str(one["time_created (UTC+3)"]), one["is_partner"], one["time_deleted (UTC+3)"],
    )  # fmt: skip


@pytest.mark.parametrize("mirror", ["sqlite"], indirect=True)
@pytest.mark.parametrize("view", VIEWS)
def test_no_heading_of_a_workbook_lies_under_the_button_of_its_filter(lived: Mirror, view: str) -> None:
    found = openpyxl.load_workbook(io.BytesIO(exported(lived, "xlsx", view))).active
    assert found is not None
    groups = found.column_dimensions.values()  # neighbours of the same width are one
    wide = {
        str(cell.value): next(one.width for one in groups if one.min <= cell.column <= one.max) for cell in found[1]
    }

    assert {} == {name: width for name, width in wide.items() if width < len(name) + 3}


def test_a_name_in_a_workbook_is_text_whatever_it_looks_like(lived: Mirror) -> None:
    workbook = openpyxl.load_workbook(io.BytesIO(exported(lived, "xlsx")))

    assert workbook.active is not None
    cells = [cell for row in workbook.active.iter_rows() for cell in row if cell.value == FORMULA]
    assert ["s"] == [cell.data_type for cell in cells]


def test_a_name_too_long_for_a_cell_ends_in_a_sign_of_it(lived: Mirror) -> None:
    name = next(row["name"] for row in sheet(exported(lived, "xlsx")) if row["id_instance"] == "3")

    assert (excel.LONGEST_TEXT, "…") == (len(name), name[-1])


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("format_", ["xlsx", "csv for excel"])
def test_every_view_is_written_row_for_row(lived: Mirror, view: str, format_: str) -> None:
    with lived.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO tariff_rates VALUES ('PARTNER_23', 'RUB', 1.25, '2020-01-01')")
    body = exported(lived, format_, view)

    rows = sheet(body) if format_ == "xlsx" else list(csv.DictReader(io.StringIO(body.decode()), delimiter=";"))
    expected = list(csv.DictReader(io.StringIO(exported(lived, "csv", view).decode())))
    assert len(expected) == len(rows)


def test_csv_for_excel_has_its_mark_semicolons_and_local_times(lived: Mirror) -> None:
    body = exported(lived, "csv for excel")
    rows = {row["id_instance"]: row for row in csv.DictReader(io.StringIO(body.decode("utf-8-sig")), delimiter=";")}

    assert body.startswith(b"\xef\xbb\xbfid_instance;account;name;")
    assert ("Пекарня; №7", "2026-10-31 23:30:00", "true", "") == tuple(
        rows[f'="{LONG_ID}"'][name] for name in ("name", "time_created (UTC+3)", "is_partner", "time_deleted (UTC+3)")
    )
    assert f"'{FORMULA}" == rows['="2"']["name"]


def test_amounts_of_csv_for_excel_have_a_decimal_comma(lived: Mirror) -> None:
    with lived.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO tariff_rates VALUES ('PARTNER_23', 'RUB', 1.25, '2020-01-01')")
    body = exported(lived, "csv for excel", "bi_costs_monthly").decode("utf-8-sig")

    amounts = [row["amount"] for row in csv.DictReader(io.StringIO(body), delimiter=";") if row["currency"] == "RUB"]
    assert amounts
    assert [] == [amount for amount in amounts if "," not in amount or "." in amount]


def test_more_rows_than_a_sheet_holds_are_refused_and_nothing_is_left(
    lived: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(excel, "MOST_ROWS", 3)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with pytest.raises(ConfigurationError, match="a sheet holds 2 rows, and bi_instances has more; use csv"):
        exported(lived, "xlsx")
    assert [] == list(tmp_path.glob("syncer-*"))
