"""Writes what tools of analysts are given from the views' columns, their meanings and the questions of docs/bi.md.

`make docs` runs it; `--check` says what is not as it would be written.
"""

import re
import sys
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import yaml
from generate_schema import kind, meaning, view_words
from sqlalchemy import Column

from syncer.storage.grants import HIDDEN_COLUMNS, READABLE_TABLES
from syncer.storage.schema import VERSION_TABLE, view_names
from syncer.storage.tables import metadata
from syncer.views.catalogue import MONEY, VIEWS

CHECKOUT = Path(__file__).parent.parent
WRITTEN = "Written by `make docs` from the views, their meanings and docs/bi.md; change those."
SHOWN_TABLES = ("instance_history", "sync_runs", "customers", "tariff_rates")
"""Tables that people ask beside the views."""

COLUMNS_SIDE_BY_SIDE = (  # or their meanings would fill the first screen of a view, and its rows come after
    "data:text/css,.column-descriptions{columns:16rem;font-size:75%25}"
    ".column-descriptions dt{break-after:avoid}.column-descriptions dd{margin-left:0.8rem}"
)
FACETS = {
    "bi_instances": ["status", "messenger", "tariff", "account"],
    "bi_attention": ["reason", "severity"],
    "bi_leaks": ["leak"],
    "bi_costs_monthly": ["month", "currency"],
    "instance_history": ["transition"],
}
TIME_OF = {  # the column by which Superset filters a view by time
    "bi_daily": "day",
    "bi_transitions_daily": "day",
    "bi_instances": "time_created",
    "instance_versions": "valid_from",
}
METRICS = {  # of Superset's datasets: name, expression, meaning, form
    "bi_instances": [
        ("instances", "COUNT(*)", "all that were ever seen", ",d"),
        ("live_now", "SUM(CASE WHEN status IN ('active', 'expired') THEN 1 ELSE 0 END)", "not deleted", ",d"),
    ],
    "bi_daily": [
        ("live_at_end", "SUM(live)", "live at the end of the day; sum it over groups, never over days", ",d"),
        ("created_in_all", "SUM(created)", "created", ",d"),
        ("deleted_in_all", "SUM(deleted)", "deleted", ",d"),
        ("billable_in_all", "SUM(billable)", "instance-days charged", ",d"),
    ],
    "bi_billing_monthly": [
        ("days", "SUM(instance_days)", "instance-days charged", ",d"),
        ("amount_in_all", "SUM(amount)", "amount, of one currency: group or filter by it", ",.2f"),
        ("days_without_price", "SUM(unpriced_days)", "days that have no rate", ",d"),
    ],
    "bi_customers_monthly": [
        ("cost_in_all", "SUM(cost)", "what the upstream charges, of one currency", ",.2f"),
        ("price_in_all", "SUM(price)", "what customers are charged, of one currency", ",.2f"),
        ("margin_in_all", "SUM(margin)", "price less cost, where both are in one currency", ",.2f"),
    ],
    "bi_churn_monthly": [
        ("churn", "SUM(lost) * 1.0 / NULLIF(SUM(opening), 0)", "lost by opening, over accounts", ".1%"),
    ],
    "bi_cohorts": [
        ("share_alive", "SUM(alive) * 1.0 / NULLIF(SUM(size), 0)", "alive by size, over accounts", ".0%"),
    ],
}  # fmt: skip


class _Text(yaml.SafeDumper):
    """Texts of several lines as they stand."""


def _written(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Text.add_representer(str, _written)
_Text.add_multi_representer(str, lambda dumper, value: _written(dumper, str(value)))  # SQLAlchemy's names


def as_yaml(document: dict[str, Any]) -> str:
    """YAML in the order of the document."""
    return f"# {WRITTEN}\n" + yaml.dump(document, Dumper=_Text, allow_unicode=True, sort_keys=False, width=1000)


def questions() -> list[tuple[str, str, str]]:
    """Each query of docs/bi.md that SQLite runs, with a name and the question that it answers."""
    text = (CHECKOUT / "docs" / "bi.md").read_text("utf-8")
    text = text.partition("## Which view answers which question\n")[2]
    found = []
    for title, section in re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE):
        queries = re.findall(r"^```sql(?: sqlite)?\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
        for number, query in enumerate(queries, 1):
            words = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_").split("_")
            name = "_".join(words[:8]) + (f"_{number}" if number > 1 else "")
            title_ = f"{title} ({number})" if number > 1 else title
            found.append((name, title_, query.strip().removesuffix(";")))
    return found


def datasette() -> str:
    """What Datasette is told of the file `syncer.db`."""
    helpers = sorted(view_names() - set(VIEWS))
    readable = {table.name for table in READABLE_TABLES if not HIDDEN_COLUMNS & set(table.columns.keys())}
    tables: dict[str, Any] = {name: shown(name, list(view.columns), view_words(name)) for name, view in VIEWS.items()}
    for name in SHOWN_TABLES:
        tables[name] = shown(name, list(metadata.tables[name].columns), "")
    for name in sorted(set(metadata.tables) - set(SHOWN_TABLES)):
        tables[name] = {"hidden": True} if name in readable else {"hidden": True, "allow": False}
    tables |= {name: {"hidden": True, "allow": False} for name in [*helpers, VERSION_TABLE, "sqlite_sequence"]}
    return as_yaml(
        {
            "title": "Instances of GREEN-API",
            "description": "What syncer has seen of them. Times are UTC; a day is a day at UTC+3, where the upstream "
            "bills. Look at sync_status first: it says how fresh this is.",
            "extra_css_urls": [COLUMNS_SIDE_BY_SIDE],
            "databases": {
                "syncer": {
                    "tables": tables,
                    "queries": {name: {"title": title, "sql": query} for name, title, query in questions()},
                }
            },
        }
    )


def plain_meaning(relation: str, column: str) -> str:
    """Its meaning without Markdown."""
    return meaning(relation, column).replace("`", "")


def shown(name: str, columns: list[Any], words: str) -> dict[str, Any]:
    told = {
        "description": words,
        "columns": {column.name: plain_meaning(name, column.name) for column in columns},
        "sortable_columns": [column.name for column in columns],
        "facets": FACETS.get(name),
        "size": 50,
    }
    return {key: value for key, value in told.items() if value}


DUCKDB_TYPES = {
    "bigint": "BIGINT",
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamptz": "TIMESTAMP",
    "numeric": "DECIMAL(18, 6)",
    "double precision": "DOUBLE",
    "text": "",
}


def duckdb() -> str:
    """Views of DuckDB over those of the file: DuckDB takes what SQLite works out for text."""
    made = "".join(
        f"\nCREATE OR REPLACE TEMP VIEW {name} AS\n"
        f"SELECT {', '.join(map(cast_in_duckdb, view.columns))}\n"
        f"FROM sqlite_query('mirror', 'SELECT * FROM {name}');\n"
        for name, view in VIEWS.items()
    )
    return (
        f"-- {WRITTEN}\n"
        "-- The views of an SQLite mirror in DuckDB, with their types; times are UTC. Run it where syncer.db lies.\n"
        f"ATTACH IF NOT EXISTS 'syncer.db' AS mirror (TYPE sqlite, READ_ONLY);\n{made}"
    )


def cast_in_duckdb(column: Column[Any]) -> str:
    target = DUCKDB_TYPES[kind(column)]
    return f"{column.name}::{target} AS {column.name}" if target else column.name


SUPERSET_TYPES = {
    "bigint": "BIGINT",
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamptz": "TIMESTAMP",
    "numeric": "NUMERIC",
    "double precision": "FLOAT",
    "text": "TEXT",
}


def uuid_of(kind_: str, name: str) -> str:
    """The same on every machine, so that what is imported again takes the place of what was there."""
    return str(uuid5(NAMESPACE_URL, f"syncer/superset/{kind_}/{name}"))


def superset_dataset(name: str) -> str:
    """A view as Superset's dataset."""
    return as_yaml(
        {
            "table_name": name,
            "main_dttm_col": TIME_OF.get(name),
            "description": view_words(name),
            "schema": None,
            "sql": None,
            "filter_select_enabled": True,
            "uuid": uuid_of("dataset", name),
            "metrics": [
                {"metric_name": metric, "expression": expression, "description": told, "d3format": form}
                for metric, expression, told, form in METRICS.get(name, [])
            ],
            "columns": [superset_column(name, column) for column in VIEWS[name].columns],
            "version": "1.0.0",
            "database_uuid": uuid_of("database", "syncer"),
        }
    )


def superset_column(view: str, column: Column[Any]) -> dict[str, Any]:
    type_ = SUPERSET_TYPES[kind(column)]
    return {
        "column_name": column.name,
        "type": type_,
        "is_dttm": type_ in {"DATE", "TIMESTAMP"},
        "groupby": column.name not in MONEY,
        "filterable": True,
        "description": plain_meaning(view, column.name),
        # On SQLite a day is text, which a moment would not equal.
        "python_date_format": "%Y-%m-%d" if type_ == "DATE" else None,
    }


def files() -> dict[Path, str]:
    """What is written, by its place in the checkout."""
    datasets = {
        Path(f"deploy/superset/datasets/syncer/{name}.yaml"): superset_dataset(name)
        for name in VIEWS
        if name not in {"bi_costs_monthly", "upstream_evidence"}  # the one is large, the other the operator's
    }
    return {Path("examples/datasette.yaml"): datasette(), Path("examples/duckdb.sql"): duckdb(), **datasets}


if __name__ == "__main__":
    wanted = files()
    if sys.argv[1:] == ["--check"]:
        wrong = [
            str(path)
            for path, text in wanted.items()
            if not (CHECKOUT / path).exists() or (CHECKOUT / path).read_text("utf-8") != text
        ]
        if wrong:
            sys.exit(f"{', '.join(wrong)}: not what the views and docs/bi.md say; run: make docs")
    else:
        for path, text in wanted.items():
            (CHECKOUT / path).parent.mkdir(parents=True, exist_ok=True)
            (CHECKOUT / path).write_text(text, "utf-8")
