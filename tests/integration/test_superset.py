"""The dashboard for Superset: its files fit one another and the views, and what each chart asks runs on both databases."""

import json
import re
import shutil
import subprocess
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import CHECKOUT
from mirror import Mirror
from sqlalchemy import text
from test_documents import lived

from syncer.storage.tables import customers, tariff_rates
from syncer.views.catalogue import VIEWS

__all__ = ["lived"]  # a fixture

FOLDER = CHECKOUT / "deploy" / "superset"
COLUMNS_OF_A_GRID = 12


def read(pattern: str) -> dict[Path, Any]:
    return {path: yaml.safe_load(path.read_text("utf-8")) for path in sorted(FOLDER.glob(pattern))}


DATABASE = next(iter(read("databases/*.yaml").values()))
DATASETS = {one["uuid"]: one for one in read("datasets/syncer/*.yaml").values()}
CHARTS = list(read("charts/*.yaml").values())
DASHBOARD = next(iter(read("dashboards/*.yaml").values()))
EACH_CHART = pytest.mark.parametrize("chart", [pytest.param(one, id=one["slice_name"]) for one in CHARTS])


@pytest.fixture
def sold(lived: Mirror) -> Mirror:
    """With prices, and customers of which one pays for what is gone."""
    with lived.engine.begin() as connection:
        for tariff in ("PARTNER_23", "BUSINESS"):
            rate = {"tariff": tariff, "currency": "RUB", "daily_rate": Decimal("12.5"), "valid_from": date(2026, 1, 1)}
            connection.execute(tariff_rates.insert().values(rate))
        for key in (1, 3):
            assignment = {"id_instance": key, "customer": "Nord", "valid_from": date(2026, 1, 1)}
            connection.execute(customers.insert().values(assignment | {"daily_price": Decimal(20), "currency": "RUB"}))
    return lived


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def dimensions(chart: dict[str, Any]) -> list[Any]:
    """What a chart shows or groups by: columns, or expressions of its own."""
    params = chart["params"]
    return [*listed(params.get("all_columns")), *listed(params.get("x_axis")), *listed(params.get("groupby"))]


def written(dimension: Any) -> str:
    return dimension if isinstance(dimension, str) else f"({dimension['sqlExpression']})"


def condition(one: dict[str, Any]) -> str:
    """A filter; a stretch of time such as the current month is one that the views have figures of."""
    if one["expressionType"] == "SIMPLE":
        assert one["operator"] == "TEMPORAL_RANGE"
        return f"{one['subject']} >= '2026-11-01'"
    assert "select" not in one["sqlExpression"].lower(), "Superset lets no sub-query in"
    return f"({one['sqlExpression']})"


def metrics(chart: dict[str, Any]) -> list[Any]:
    """Names of the dataset's metrics, or expressions of the chart's own."""
    return [*listed(chart["params"].get("metric")), *listed(chart["params"].get("metrics"))]


def expressions(chart: dict[str, Any]) -> list[str]:
    known = {one["metric_name"]: one["expression"] for one in DATASETS[chart["dataset_uuid"]]["metrics"]}
    return [known[one] if isinstance(one, str) else one["sqlExpression"] for one in metrics(chart)]


def query(chart: dict[str, Any]) -> str:
    """What Superset asks for a chart, as far as its files say it."""
    params = chart["params"]
    order = [json.loads(one) for one in params.get("order_by_cols", [])]
    filters = list(map(condition, params["adhoc_filters"]))
    shown = list(map(written, dimensions(chart)))
    words = [
        f"SELECT {', '.join([*shown, *expressions(chart)])} FROM {DATASETS[chart['dataset_uuid']]['table_name']}",
        f"WHERE {' AND '.join(filters)}" if filters else "",
        f"GROUP BY {', '.join(shown)}" if expressions(chart) and shown else "",
        f"ORDER BY {', '.join(f'{name} ' + ('ASC' if rises else 'DESC') for name, rises in order)}" if order else "",
    ]
    return " ".join(filter(None, words))


def test_the_files_are_those_that_superset_reads() -> None:
    assert yaml.safe_load((FOLDER / "metadata.yaml").read_text("utf-8"))["type"] == "Dashboard"
    assert {str(path.relative_to(FOLDER).parts[0]) for path in FOLDER.rglob("*.yaml")} == {
        "metadata.yaml", "databases", "datasets", "charts", "dashboards",
    }  # fmt: skip
    assert {one["version"] for one in [DATABASE, *DATASETS.values(), *CHARTS, DASHBOARD]} == {"1.0.0"}


def test_the_file_to_import_is_made_as_documented(tmp_path: Path) -> None:
    (command,) = re.findall(
        r"^\(cd deploy && python3 -m zipfile .+$", (CHECKOUT / "docs/bi.md").read_text("utf-8"), re.MULTILINE
    )
    shutil.copytree(FOLDER, tmp_path / "deploy" / "superset")
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    with zipfile.ZipFile(tmp_path / "deploy" / "superset.zip") as made:
        names = {name for name in made.namelist() if not name.endswith("/")}

    assert {f"superset/{path.relative_to(FOLDER)}" for path in FOLDER.rglob("*.yaml")} == names


def test_the_database_is_read_by_a_role_that_reads_and_its_password_is_nobodys() -> None:
    assert DATABASE["sqlalchemy_uri"] == "postgresql+psycopg2://reader@postgres:5432/syncer"
    assert not DATABASE["allow_dml"]
    assert {DATABASE["uuid"]} == {one["database_uuid"] for one in DATASETS.values()}


def test_a_dataset_has_the_columns_of_its_view() -> None:
    for dataset in DATASETS.values():
        names = [one["column_name"] for one in dataset["columns"]]
        assert names == [str(column.name) for column in VIEWS[dataset["table_name"]].columns]
        assert dataset["main_dttm_col"] in {None, *names}


@EACH_CHART
def test_every_column_and_metric_of_a_chart_is_in_its_dataset(chart: dict[str, Any]) -> None:
    dataset = DATASETS[chart["dataset_uuid"]]
    columns = {one["column_name"] for one in dataset["columns"]}
    ordered = {json.loads(one)[0] for one in chart["params"].get("order_by_cols", [])}
    filtered = {one["subject"] for one in chart["params"]["adhoc_filters"] if one["expressionType"] == "SIMPLE"}

    assert set() == {*(one for one in dimensions(chart) if isinstance(one, str)), *ordered, *filtered} - columns
    assert set() == {one for one in metrics(chart) if isinstance(one, str)} - {
        one["metric_name"] for one in dataset["metrics"]
    }
    assert dimensions(chart) or metrics(chart)
    assert chart["viz_type"] == chart["params"]["viz_type"]


@EACH_CHART
def test_what_a_chart_asks_runs_on_both_databases(sold: Mirror, chart: dict[str, Any]) -> None:
    with sold.engine.connect() as connection:
        found = connection.execute(text(query(chart))).all()

    assert found


def test_every_metric_of_a_dataset_runs_on_both_databases(sold: Mirror) -> None:
    with sold.engine.connect() as connection:
        for dataset in DATASETS.values():
            for metric in dataset["metrics"]:
                statement = f"SELECT {metric['expression']} FROM {dataset['table_name']}"
                assert connection.execute(text(statement)).scalar() is not None, metric["metric_name"]


def test_the_dashboard_shows_every_chart_once_and_each_row_fits_the_grid() -> None:
    position = DASHBOARD["position"]
    shown = [one["meta"] for one in position.values() if isinstance(one, dict) and one["type"] == "CHART"]
    rows = [one for one in position.values() if isinstance(one, dict) and one["type"] == "ROW"]

    assert sorted(one["uuid"] for one in shown) == sorted(one["uuid"] for one in CHARTS)
    assert {one["uuid"]: one["sliceName"] for one in shown} == {one["uuid"]: one["slice_name"] for one in CHARTS}
    for row in rows:
        assert sum(position[child]["meta"]["width"] for child in row["children"]) <= COLUMNS_OF_A_GRID
        assert all(position[child]["parents"] == ["ROOT_ID", "GRID_ID", row["id"]] for child in row["children"])
    assert position["GRID_ID"]["children"] == [row["id"] for row in rows]


def test_the_filters_of_the_dashboard_are_by_columns_that_exist() -> None:
    for one in DASHBOARD["metadata"]["native_filter_configuration"]:
        for target in one["targets"]:
            names = {column["column_name"] for column in DATASETS[target["datasetUuid"]]["columns"]}
            assert target["column"]["name"] in names
