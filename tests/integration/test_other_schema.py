"""A schema of its own in PostgreSQL: its views are read by their schema's name, whatever the reader's search_path."""

import re
import secrets
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from builders import item
from conftest import CHECKOUT, RunSyncer
from mirror import Mirror
from psycopg import sql
from sqlalchemy.engine import make_url

from syncer.views.catalogue import VIEWS

SECTION = (CHECKOUT / "docs/bi.md").read_text("utf-8").partition("### In a schema of its own\n")[2].partition("\n##")[0]
AS_OWNER, AS_READER = re.findall(r"^```sql schema\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)


class Elsewhere(NamedTuple):
    """A mirror in the schema that its writer's role names first, as the document has it made."""

    schema: str
    writer_url: str
    reader_url: str


def renamed(statements: str, schema: str) -> str:
    """Roles belong to the whole server, so those of a test have names of their own."""
    return re.sub(r"\bsyncer\b", schema, re.sub(r"\bbi\b", f"bi_{schema}", statements))


@pytest.fixture
def elsewhere(postgresql_url: str, run_syncer: RunSyncer) -> Iterator[Elsewhere]:
    schema = f"own_{secrets.token_hex(4)}"
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {schema} LOGIN; CREATE ROLE bi_{schema} LOGIN".encode())
        for statement in renamed(AS_OWNER, schema).split(";\n"):
            owner.execute(statement.encode())
        writer, reader = (
            make_url(postgresql_url).set(username=role).render_as_string(hide_password=False)
            for role in (schema, f"bi_{schema}")
        )
        try:
            mirror = Mirror(writer)
            mirror.observe([item(1), item(2)])
            mirror.engine.dispose()
            granted = run_syncer("db", "grant-reader", f"bi_{schema}", env={"SYNCER_DATABASE_URL": writer})
            assert granted.returncode == 0, granted.stderr
            yield Elsewhere(schema, writer, reader)
        finally:
            owner.execute(
                f"DROP SCHEMA {schema} CASCADE; DROP OWNED BY bi_{schema}, {schema}; DROP ROLE {schema}, bi_{schema}".encode()
            )


@pytest.mark.parametrize("search_path", ["public", "pg_catalog", "nowhere"])
def test_every_view_and_the_function_are_read_by_name_from_any_search_path(
    elsewhere: Elsewhere, search_path: str
) -> None:
    with psycopg.connect(elsewhere.reader_url) as reader:
        reader.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(search_path)))
        for name in VIEWS:
            reader.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(elsewhere.schema, name)))
        function = sql.SQL("SELECT count(*) FROM {}('2100-01-01')").format(
            sql.Identifier(elsewhere.schema, "estate_as_of")
        )
        assert reader.execute(function).fetchone() == (2,)


def test_what_the_document_says_of_it_runs(elsewhere: Elsewhere) -> None:
    asked = [one for one in renamed(AS_READER, elsewhere.schema).split(";\n") if one.strip()]
    found: list[Any] = []
    with psycopg.connect(elsewhere.reader_url) as reader:
        reader.execute("SET search_path = public")
        found += [reader.execute(statement.encode()).fetchall() for statement in asked]

    assert len(asked) > 1
    assert all(found)


@pytest.mark.parametrize("command", ["status", "verify", "report", "db check", "doctor"])
def test_a_command_works_there_by_its_role_alone(elsewhere: Elsewhere, run_syncer: RunSyncer, command: str) -> None:
    there = {"SYNCER_DATABASE_URL": elsewhere.writer_url, "SYNCER_API_URL": "http://127.0.0.1:9"}
    done = run_syncer(*command.split(), env=there)

    assert "error   database" not in done.stdout
    assert done.returncode in ({0} if command in {"verify", "report", "db check"} else {3}), done.stderr


def test_nothing_is_made_in_the_schema_that_others_use(elsewhere: Elsewhere) -> None:
    with psycopg.connect(elsewhere.writer_url) as connection:
        found = connection.execute(
            "SELECT nspname, count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE relname = 'bi_daily' GROUP BY nspname"
        ).fetchall()

    assert found == [(elsewhere.schema, 1)]
