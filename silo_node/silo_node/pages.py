"""How the hospital's own pages are rendered: one file each, no script, every value escaped, the style of the ledger's page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

Filters: TypeAlias = Mapping[str, Callable[..., object]]
"""What a template may do with a value, by name."""

_STYLE = "silo_node.ledger"
"""Where the style sheet lies that all pages include."""


def template(package: str, name: str, filters: Filters = MappingProxyType({})) -> Template:
    """Give a page's template; what it names and is not given is an error, never an empty place.

    Args:
        package: in whose ``templates`` it lies.
        name: of its file.
        filters: its own.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(_STYLE)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters
    return environment.get_template(name)
