"""The pages of the proof name a test for each fault, and each test that they name is there."""

import ast
import re

import pytest
from conftest import CHECKOUT
from test_upstream_faults import ROWS

FAULTS = (CHECKOUT / "docs" / "proof" / "faults.md").read_text("utf-8")
DOCUMENT = (CHECKOUT / "docs" / "proof.md").read_text("utf-8") + FAULTS
NAMED = sorted(set(re.findall(r"`(tests/[a-z_/]+\.py)::(test_[a-z_0-9]+)(?:\[([^\]]+)\])?`", DOCUMENT)))


@pytest.mark.parametrize("path", sorted({path for path, _, _ in NAMED}))
def test_every_test_that_the_proof_names_exists(path: str) -> None:
    source = (CHECKOUT / path).read_text("utf-8")
    defined = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}

    assert {name for named_in, name, _ in NAMED if named_in == path} <= defined
    assert [row for named_in, _, row in NAMED if named_in == path and row and f'"{row}"' not in source] == []


def test_every_row_of_the_table_has_a_test() -> None:
    rows = [line for line in FAULTS.splitlines() if line.startswith("| ") and line != "| fault | test |"]

    assert rows
    assert [row for row in rows if "::test_" not in row] == []
    assert set(ROWS) >= {row for path, _, row in NAMED if path.endswith("test_upstream_faults.py") and row}
