"""The queries of the documents and of the dashboard, run against both databases after a scenario."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import item, paid
from conftest import CHECKOUT
from mirror import Mirror
from sqlalchemy import text

DOCUMENTS = sorted((CHECKOUT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```sql(?: (sqlite|postgresql))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
QUERIES = [
    pytest.param(database, query, id=f"{document.relative_to(CHECKOUT)}-{number}-{database}")
    for document in DOCUMENTS
    for number, (dialect, query) in enumerate(BLOCK.findall(document.read_text("utf-8")), 1)
    for database in ([dialect] if dialect else ["sqlite", "postgresql"])
]
DASHBOARD: dict[str, Any] = json.loads((CHECKOUT / "deploy/grafana/dashboards/syncer.json").read_text("utf-8"))


@pytest.fixture
def lived(mirror: Mirror) -> Mirror:
    """A mirror in which every kind of figure has a row."""
    soon = (datetime.now(UTC) + timedelta(days=5)).strftime("%Y-%m-%dT00:00:00")  # noqa: TID251 - the views' own clock
    mirror.observe([item(1), paid(2), item(3), item(4, name="a")])
    mirror.observe([item(1), paid(2, isExpired=True), item(3, deleted=True), item(4, name="b"), item(5)])
    mirror.observe(
        [item(1), paid(2, expirationDate=soon), item(4, name="b", apiTokenInstance=None)], after=timedelta(days=1)
    )
    return mirror


@pytest.mark.parametrize("mirror", ["postgresql"], indirect=True)
def test_the_schema_reference_names_postgresqls_own_types(mirror: Mirror) -> None:
    reference = (CHECKOUT / "docs/schema.md").read_text("utf-8")
    told = {
        (relation, column): kind
        for relation, section in re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", reference, re.DOTALL | re.MULTILINE)
        for column, kind in re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE)
    }
    with mirror.engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v') AND c.relnamespace = 'public'::regnamespace"
            )
        ).all()
    documented = {relation for relation, _column in told}
    real = {(relation, column): kind for relation, column, kind in found if relation in documented}

    assert {key: _family(kind) for key, kind in told.items()} == {key: _family(kind) for key, kind in real.items()}


def _family(kind: str) -> str:
    """Types that a reader takes for the same: the length of a text, the width of a number."""
    kind = re.sub(r"\(.*\)", "", kind)
    alike = {
        "timestamp with time zone": "timestamptz",
        "character varying": "text",
        "varchar": "text",
        "bigint": "integer",
    }
    return alike.get(kind, kind)


@pytest.mark.parametrize(("mirror", "query"), QUERIES, indirect=["mirror"])
def test_a_documented_query_runs(lived: Mirror, query: str) -> None:
    with lived.engine.connect() as connection:
        assert list(connection.execute(text(query)).keys())


@pytest.mark.parametrize("document", DOCUMENTS, ids=[path.name for path in DOCUMENTS])
def test_the_pictures_of_a_document_are_there_and_light(document: Path) -> None:
    named = re.findall(r"!\[[^]]+\]\(([^)]+)\)", document.read_text("utf-8"))

    assert [] == [name for name in named if not 0 < (document.parent / name).stat().st_size < 200_000]


def panels() -> list[Any]:
    made = [
        pytest.param(target["rawSql"], id=panel["title"])
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    ]
    return [*made, *(pytest.param(one["query"], id=one["name"]) for one in DASHBOARD["templating"]["list"])]


@pytest.mark.parametrize("mirror", ["postgresql"], indirect=True)
@pytest.mark.parametrize("query", panels())
def test_a_panel_of_the_dashboard_has_a_figure(lived: Mirror, query: str) -> None:
    filled = re.sub(r"\$__timeFilter\((.*?\))\)", r"\1 > '2020-01-01'", query).replace("$account", "'default'")

    assert "$" not in filled
    with lived.engine.connect() as connection:
        found = connection.execute(text(filled)).all()
    assert found
