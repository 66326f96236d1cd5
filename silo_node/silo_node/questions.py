"""What `wardround silo init` has to know of a hospital, and how it asks a person for what was not given.

An answer is checked by the rule of its option, at once; nothing is written before the last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from wardround.console import print_problems
from wardround.errors import Problem
from wardround.values import PersonName, Slug


@dataclass(frozen=True)
class Question:
    """One thing to know.

    Attributes:
        option: the flag that gives it.
        words: how a person is asked.
        form: what is accepted; ``rule`` says it.
        needed: whether there is an answer always; else nothing may be answered.
    """

    option: str
    words: str
    form: TypeAdapter[Any]
    rule: str
    needed: bool = False

    def problem(self, answer: str) -> Problem | None:
        """Say what is wrong with an answer."""
        try:
            self.form.validate_python(answer)
        except ValidationError:
            return Problem("Y-VALUE", self.option, self.rule, "this answer cannot be one", "give another text")
        return None

    def ask(self) -> str | None:
        """Ask a person until the answer is in order; None for no answer, where none is needed."""
        words = self.words if self.needed else f"{self.words} (Enter to leave it out)"
        while True:
            answer: str = click.prompt(words, default=None if self.needed else "", show_default=False, err=True).strip()
            if not answer and not self.needed:
                return None
            problem = self.problem(answer)
            if problem is None:
                return answer
            print_problems([problem])


_LINE: TypeAdapter[str] = TypeAdapter(PersonName)
_LINE_RULE = "is one line of 1 to 200 printable characters"

SITE_NAME = Question(
    "--site-name",
    "A short name of this hospital for rosters and files, such as north",
    TypeAdapter(Slug),
    "A site's name is at most 63 lower case letters, digits, '-' and '_', a letter first",
    needed=True,
)
INSTITUTION = Question("--institution", "Its name for people", _LINE, f"A hospital's name {_LINE_RULE}", needed=True)
CITY = Question("--city", "Its city, for the centre's operator", _LINE, f"A city {_LINE_RULE}")
CONTACT = Question("--contact", "Whom the centre's operator calls there", _LINE, f"A contact {_LINE_RULE}")
QUESTIONS = (SITE_NAME, INSTITUTION, CITY, CONTACT)
