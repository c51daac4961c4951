"""The report, and a customer's statement, each as one self-contained HTML page. Needs jinja2.

Light and dark, on a phone, a desk and paper.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from syncer.views.report.content import content
from syncer.views.report.statement_content import statement_content
from syncer.views.statement import Statement
from syncer.words.catalogue import Words
from syncer.words.language import Language
from syncer.words.report import REPORT
from syncer.words.statement import STATEMENT

TEMPLATES = Path(__file__).parent / "templates"


def page(figures: Mapping[str, Any], language: Language) -> str:
    """The whole page. It loads nothing and runs nothing, so it opens without a network; every text is escaped."""
    return _rendered("page.html.j2", content(figures, Words(language, REPORT)))


def statement_page(statement: Statement, language: Language) -> str:
    """A customer's statement, alike; nothing in it is of anybody else."""
    return _rendered("statement.html.j2", statement_content(statement, Words(language, STATEMENT)))


def _rendered(template: str, shown: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(shown)
