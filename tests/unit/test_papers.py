"""docs/contract.md and docs/upstream.md: every citation in a comment is found there, and what they list is there."""

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest
from conftest import CHECKOUT

from syncer.receivers.receiver import TOLD_BY_DEFAULT
from syncer.settings.declared import PREFIX, SETTINGS
from syncer.settings.receivers import RECEIVER_KEYS
from syncer.views.catalogue import VIEWS

CONTRACT = (CHECKOUT / "docs/contract.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## ([1-9])\. (.+)$", CONTRACT, re.MULTILINE))
HEADINGS = re.findall(r"^## (.+)$", (CHECKOUT / "docs/upstream.md").read_text("utf-8"), re.MULTILINE)
CITING = [
    path
    for folder in ("syncer", "migrations", "tests", "bench", "docs")
    for path in sorted((CHECKOUT / folder).rglob("*"))
    if path.suffix in {".py", ".sql", ".md"}
]
SECTION = re.compile(r"\bCONTRACT ([1-9](?:(?:, | and )[1-9])*)")
HEADING = re.compile(r"\bUPSTREAM, ([A-Z][a-z]+(?: [a-z]+)*)")
CITED = sorted(
    {
        (kind, place, str(path.relative_to(CHECKOUT)))
        for path in CITING
        for kind, pattern in (("contract", SECTION), ("upstream", HEADING))
        for found in pattern.findall(path.read_text("utf-8"))
        for place in (re.findall("[1-9]", found) if kind == "contract" else [found])
    }
)


@pytest.mark.parametrize(("kind", "place", "where"), CITED)
def test_a_citation_is_found_in_its_paper(kind: str, place: str, where: str) -> None:
    if kind == "contract":
        assert place in SECTIONS, where
    else:
        assert any(
            f"{place} ".startswith(f"{heading} ") or f"{heading} ".startswith(f"{place} ") for heading in HEADINGS
        )


def test_both_papers_are_cited() -> None:
    assert {kind for kind, _, _ in CITED} == {"contract", "upstream"}


WALK = (CHECKOUT / "docs/design.md").read_text("utf-8").partition("## One answer, from the wire to the row")[2]
STEPS = re.findall(r"`([a-z_]+(?:\.\w+)+)`", WALK.partition("\n## ")[0])


@pytest.mark.parametrize("step", STEPS)
def test_each_step_of_an_answer_is_where_the_design_says(step: str) -> None:
    assert resolve_name(f"syncer.{step}") is not None


def test_the_steps_of_an_answer_are_told() -> None:
    assert len(STEPS) > 20


def section(number: int) -> str:
    return CONTRACT.partition(f"\n## {number}. ")[2].partition("\n## ")[0]


def test_the_contract_lists_every_setting_and_no_other() -> None:
    rows = [line for line in section(1).splitlines() if line.startswith("| `SYNCER_")]

    listed = {name for row in rows for name in re.findall(rf"`{PREFIX}([A-Z_]+)`", row.split(" | ")[0])}
    assert {name.upper() for name in SETTINGS} == listed


def test_the_contract_lists_every_key_of_a_receiver_with_its_default() -> None:
    rows = re.findall(r"^\| (`[a-z_` or]+`) \| (.*?) \|", section(9), re.MULTILINE)

    assert set(RECEIVER_KEYS) == {key for keys, _ in rows for key in re.findall("`([a-z_]+)`", keys)}
    told = dict(rows)["`transitions`"]
    assert {str(word) for word in TOLD_BY_DEFAULT} == set(re.findall("`([a-z_]+)`", told))


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_the_contract_names_every_column_of_a_view_and_no_other(view: str) -> None:
    row = next(line for line in section(7).splitlines() if line.startswith(f"| `{view}` |"))
    listed = re.findall("`([a-z_, ]+)`", row.partition(";")[0].split(" | ")[2])
    columns = {column.name for column in VIEWS[view].columns}
    if "the history's state columns" in row:
        columns -= {"name", "type_instance", "messenger", "tariff", "is_free", "is_partner", "time_deleted", "deleted"}
        columns -= {"expiration_date", "is_expired", "missing"}

    assert {column for text in listed for column in text.split(", ") if column} <= columns
    assert columns <= set(re.findall("[a-z_]+", row))


def test_the_contract_lists_every_view_and_no_other() -> None:
    assert set(VIEWS) == set(re.findall(r"^\| `([a-z_]+)` \|", section(7), re.MULTILINE))


@pytest.mark.parametrize("paper", ["contract.md", "upstream.md"])
def test_links_of_the_papers_lead_somewhere(paper: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (CHECKOUT / "docs" / paper).read_text("utf-8"))

    assert links
    assert [link for link in links if not (Path(CHECKOUT / "docs") / link).exists()] == []
