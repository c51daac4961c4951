"""The catalogue: every text that people read, under a key, in each language; and what finds one by its key."""

from collections.abc import Callable
from typing import Any, NamedTuple

from syncer.words.language import Language, number, plural_form

Forms = str | tuple[str, ...]
"""A text; or its forms by a number: two in English, three in Russian, as `language.plural_form` counts them."""


class Text(NamedTuple):
    """One text in every language, so that none can be left out; `{name}` is filled in."""

    en: Forms
    ru: Forms

    def forms(self, language: Language) -> Forms:
        """The text in a language."""
        return self.en if language is Language.EN else self.ru


Catalogue = dict[str, Text]


class Words:
    """A catalogue, spoken in one language; `write` says how a count is written."""

    def __init__(self, language: Language, *catalogues: Catalogue, write: Callable[[int], str] = number) -> None:
        self.language = language
        self._write = write
        self._texts = {key: text for catalogue in catalogues for key, text in catalogue.items()}

    def __call__(self, key: str, **values: Any) -> str:
        """The text under a key; a `KeyError` is a defect of ours."""
        text = self._texts[key].forms(self.language)
        if isinstance(text, tuple):
            raise TypeError(f"{key} is counted")
        return text.format(**values)

    def counted(self, key: str, n: int, **values: Any) -> str:
        """The text under a key in the form that goes with `n`, which is filled in as `{n}`."""
        forms = self._texts[key].forms(self.language)
        text = forms if isinstance(forms, str) else forms[plural_form(self.language, n)]
        return text.format(n=self._write(n), **values)

    def spoken(self, text: Text) -> str:
        """A text of no catalogue, that says nothing but itself."""
        forms = text.forms(self.language)
        return forms if isinstance(forms, str) else forms[0]

    def known(self, key: str) -> bool:
        """Whether there is a text under a key."""
        return key in self._texts
