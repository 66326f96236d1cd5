"""Cells of a number field that are no plain number, by what they look like."""

from __future__ import annotations

from collections.abc import Iterator

from silo_node.validation.causes import Cause, Failed, Kind, by_kind

_NUMBER = r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?"
_POINT_STEP = "write the decimal mark that the source declares ('decimal'), and no thousands mark"

_KINDS = (
    Kind(
        "a mark for missing",
        r"(?i)\s*(?:n/?a|nan|null|none|nil|unk(?:nown)?|missing|not done|\.|-+|\?+|#n/a|#value!|)\s*",
        "declare the mark under 'missing' in the site file",
    ),
    Kind(
        "with a comparison sign",
        rf"(?s)\s*(?:[<>≤≥]=?|~|>>|<<)\s*{_NUMBER}.*|(?s)\s*{_NUMBER}\s*[<>≤≥]",
        "write a number for what is below or above the limit of measurement, by a rule that the study states",
    ),
    Kind(
        "with another decimal or thousands mark",
        r"[+-]?[0-9]*[.,][0-9]+|[+-]?[0-9]{1,3}(?:[., '’][0-9]{3})+(?:[.,][0-9]+)?",
        _POINT_STEP,
    ),
    Kind("with white space", rf"\s*{_NUMBER}\s*", "clean up white space at the source"),
    Kind("a span of numbers", rf"\s*{_NUMBER}\s*(?:-|–|to|bis|\.\.)\s*{_NUMBER}\s*", "write one number"),
    Kind("with a unit", rf"(?s)\s*{_NUMBER}\s*[\p{{L}}%°µ/\[(].*", "write the number alone, and give its unit in the site file"),
)


def causes(failed: Failed) -> Iterator[Cause]:
    """Name the kinds of the cells, each with its own next step."""
    named = by_kind("T-TYPE", failed.cells, _KINDS)
    if named is not None:
        yield named
