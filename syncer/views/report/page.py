"""The report as one self-contained HTML page: light and dark, on a phone, a desk and paper. Needs jinja2."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from syncer.views.report.content import content
from syncer.words.catalogue import Words
from syncer.words.language import Language
from syncer.words.report import REPORT

TEMPLATES = Path(__file__).parent / "templates"


def page(figures: Mapping[str, Any], language: Language) -> str:
    """The whole page. It loads nothing and runs nothing, so it opens without a network; every text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(content(figures, Words(language, REPORT)))
