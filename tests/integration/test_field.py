"""One field, one place: a made-up field of the upstream is added by its declaration and a revision, and by nothing else."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from syncer.storage import schema

ROOT = Path(__file__).parent.parent.parent

DECLARATION = '    made_up: Annotated[datetime | None, Field("madeUp", "when a test made it up", Text("the made-up time", "выдуманное время"))]\n'
REVISION = f"""
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{schema.head()}"


def upgrade() -> None:
    for table in ("instances", "instance_history", "past_versions"):
        op.add_column(table, sa.Column("made_up", sa.DateTime(timezone=True)))
"""
LIFE = """
import json, sys
from builders import item
from mirror import Mirror
from syncer.storage import schema
from syncer.storage.tables import metadata
from syncer.views import explain, verify
from syncer.words.language import Language
from syncer.words.terminal import terminal_words

mirror = Mirror(sys.argv[1])
schema.compare(mirror.engine)
reports = [
    mirror.observe([item(1, madeUp=made_up), item(2)])
    for made_up in ("2026-10-01T03:00:00", "2026-10-02T03:00:00", "2026-10-02T03:00:00", "yesterday")
]
with mirror.engine.connect() as connection:
    told = explain.tell(terminal_words(Language.EN), explain.read_life(connection, 1))
print(json.dumps({
    "statuses": [report.status for report in reports],
    "rows": [row["made_up"] for row in mirror.rows(metadata.tables["instances"])],
    "history": [[row["transition"], row["changes"], row["made_up"]] for row in mirror.history(1)],
    "rejects": [row["reason"] for row in mirror.rows(metadata.tables["rejected_items"])],
    "extra": mirror.instance(1)["extra"],
    "told": told,
    "holds": verify.verify(mirror.engine).holds,
}, default=str))
"""


def with_declaration(model: Path) -> None:
    """Write the made-up field behind the last one of `Instance` that the upstream has."""
    text = model.read_text("utf-8")
    (instance,) = (one for one in ast.parse(text).body if isinstance(one, ast.ClassDef) and one.name == "Instance")
    last = [
        one for one in instance.body if isinstance(one, ast.AnnAssign) and isinstance(one.annotation, ast.Subscript)
    ][-1]
    lines = text.splitlines(keepends=True)
    model.write_text("".join([*lines[: last.end_lineno], DECLARATION, *lines[last.end_lineno :]]), "utf-8")


@pytest.fixture(scope="module")
def changed_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    for name in ("syncer", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    with_declaration(folder / "syncer" / "model.py")
    (folder / "migrations" / "versions" / "9999_made_up.py").write_text(REVISION, "utf-8")
    return folder


def test_a_field_is_read_stored_compared_told_and_documented_by_its_declaration(
    changed_tree: Path, database_url: str
) -> None:
    lived = run(changed_tree, LIFE, database_url)

    assert ["ok", "ok", "unchanged", "unchanged"] == lived["statuses"]
    assert ["2026-10-02 00:00:00+00:00", None] == lived["rows"]
    assert [
        ["created", {}, "2026-10-01 00:00:00+00:00"],
        ["changed", {"made_up": ["2026-10-01T00:00:00Z", "2026-10-02T00:00:00Z"]}, "2026-10-02 00:00:00+00:00"],
    ] == lived["history"]
    assert ["madeUp is not a time such as 2022-06-03T18:39:44"] == lived["rejects"]
    assert "{}" == lived["extra"]
    assert any("the made-up time" in line for line in lived["told"])
    assert lived["holds"]


def test_the_schema_reference_has_its_meaning(changed_tree: Path) -> None:
    written = "import json, generate_schema; print(json.dumps(generate_schema.document()))"

    assert "| `made_up` | timestamptz |  | when a test made it up |" in run(changed_tree, written)


def run(tree: Path, program: str, *arguments: str) -> Any:
    path = os.pathsep.join(map(str, (tree, ROOT / "tests", ROOT / "docs")))
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=os.environ | {"PYTHONPATH": path}, cwd=tree,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
