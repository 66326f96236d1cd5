"""Texts: codes in another case or with white space, truth values in several notations, sentences where none are expected."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from silo_node.mapping.facts import Facts
from silo_node.mapping.resolve import FieldMapping
from silo_node.validation.causes import Cause, Failed, nowhere
from silo_node.validation.constraints import Check
from silo_node.validation.identifiers import is_identifier
from wardround.contract.model import Contract, ContractField

MOST_KINDS = 1000
"""Different texts up to which a column is taken for one of kinds of something, whose spelling should not vary."""
LOOKED_AT = 2000
"""Cells, evenly spread over the table, that tell whether a column holds sentences."""
FEWEST_TEXTS = 10
"""Texts without which nothing is said of a column."""
SENTENCE_LENGTH, SENTENCE_BLANKS = 20, 2
"""Mean characters, and mean blanks between words, above which texts are sentences."""
MOSTLY_DIFFERENT = 0.5
"""Share of different texts above which a column is no list of kinds."""

NOTATIONS = (
    *(("yes", "no"), ("y", "n"), ("true", "false"), ("t", "f"), ("1", "0"), ("1.0", "0.0"), ("on", "off"), ("+", "-")),
    *(("present", "absent"), ("positive", "negative"), ("pos", "neg"), ("ja", "nein"), ("j", "n"), ("wahr", "falsch")),
    *(("oui", "non"), ("o", "n"), ("vrai", "faux"), ("sí", "no"), ("si", "no"), ("s", "n"), ("sim", "não"), ("tak", "nie")),
)
"""Ways of writing the two values of a yes-or-no field, in small letters."""
_WORDS = frozenset(word for pair in NOTATIONS for word in pair)
_CASE_STEP = "clean up white space and case at the source, or map each of these codes under 'codes' in the site file"
_INVISIBLE = r"[\u{200B}\u{FEFF}]"


def plain(column: pl.Expr) -> pl.Expr:
    """Give texts in small letters, without white space around them and with single blanks inside."""
    visible = column.str.replace_all(_INVISIBLE, "")
    return visible.str.replace_all(r"\s+", " ").str.strip_chars().str.to_lowercase()


def _plain(texts: pl.Series) -> pl.Series:
    return texts.to_frame("text").select(plain(pl.col("text"))).to_series()


# ------------------------------------------------------------------------------------------------- why codes are none


def causes(failed: Failed) -> Iterator[Cause]:
    """Say which cells without a code are variants of one, and which are other words for yes and no."""
    mapping = failed.mapping
    known = _known(mapping)
    cells = _plain(failed.cells)
    yield Cause("T-CASE", cells.is_in(sorted(known)).fill_null(value=False), _same_case(mapping.field), _CASE_STEP)
    if len(mapping.field.values) == 2 and any(known.issuperset(pair) for pair in NOTATIONS):  # noqa: PLR2004
        words = cells.is_in(sorted(_WORDS)).fill_null(value=False)
        mixed = failed.sound > 0 or _notations(cells.filter(words)) > 1
        expectation = f"{mapping.field.name} has its two codes in one notation, as 1 and 0 or yes and no"
        next_step = "write one notation at the source, or map those of each under 'codes' in the site file"
        yield Cause("T-BOOL", words if mixed else nowhere(cells), expectation, next_step)


def _known(mapping: FieldMapping) -> set[str]:
    """Give the codes that are understood, in plain form."""
    codes = mapping.field.values if mapping.codes is None else [local for local, _ in mapping.codes]
    return set(_plain(pl.Series(codes, dtype=pl.String)))


def _notations(words: pl.Series) -> int:
    """Count the notations that are needed to write some words, at least."""
    left, count = set(words), 0
    while left:
        best = max(NOTATIONS, key=lambda pair: len(left.intersection(pair)))
        left.difference_update(best)
        count += 1
    return count


def _same_case(field: ContractField) -> str:
    return f"{field.name} writes each of its codes in one way"


# ----------------------------------------------------------------------------------------------------- whole columns


def checks(contract: Contract, field: ContractField, facts: Facts) -> Iterator[Check]:
    """Give the checks of texts that the contract neither lists nor gives a form."""
    if field.type != "string" or field.values or field.free_text or field.constraints.pattern is not None:
        return
    column = pl.col(field.name)
    if is_identifier(contract, field):
        padded = column.str.contains(r"\A\s|\s\z|" + _INVISIBLE)
        text = f"{field.name} has no white space around its identifiers"
        yield _warning("T-CASE", field, padded, facts.any(padded.any()), text, "clean up white space at the source")
        return
    if field.code_system is not None:
        return
    yield _warning(
        "T-CASE",
        field,
        column.map_batches(variants, return_dtype=pl.Boolean),
        facts.whole(column, _has_variants),
        f"{field.name} writes each kind of thing in one way",
        "clean up white space and case at the source",
        whole=True,
    )
    if field.constraints.max_length is None or field.constraints.max_length > SENTENCE_LENGTH:
        yield _warning(
            "T-PHI-TEXT",
            field,
            column.is_not_null(),
            facts.whole(column, _sentences),
            f"{field.name} holds no sentences: the schema does not say free_text",
            "map another column: free text may name people; or ask for a schema that declares free_text for this field",
        )


def _warning(
    code: str, field: ContractField, broken: pl.Expr, suspicion: pl.Expr, text: str, next_step: str, *, whole: bool = False
) -> Check:
    return Check(code, "warning", "share", (field.name,), broken, suspicion, text, next_step, whole=whole)


def variants(texts: pl.Series) -> pl.Series:
    """Say which texts differ from a more frequent one by case or white space alone; none in columns of many kinds."""
    counted = texts.drop_nulls().value_counts(name="count").rename({texts.name: "text"}) if _few_kinds(texts) else None
    if counted is None:
        return nowhere(texts)
    ordered = counted.with_columns(plain(pl.col("text")).alias("plain")).sort(["count", "text"], descending=[True, False])
    first = ordered.unique("plain", keep="first", maintain_order=True)["text"]
    rarer = ordered.filter(~pl.col("text").is_in(first.to_list()))["text"]
    return texts.is_in(rarer.to_list()).fill_null(value=False)


def _few_kinds(texts: pl.Series) -> bool:
    some = spread(texts, 4 * MOST_KINDS)
    return some.n_unique() <= MOST_KINDS and texts.n_unique() <= MOST_KINDS


def _has_variants(texts: pl.Series) -> bool:
    if not _few_kinds(texts):
        return False
    kinds = texts.drop_nulls().unique()
    return _plain(kinds).n_unique() < len(kinds)


def _sentences(texts: pl.Series) -> bool:
    """Say whether a column holds sentences, by some cells of it."""
    some = spread(texts, LOOKED_AT)
    if len(some) < FEWEST_TEXTS:
        return False
    long = float(some.str.len_chars().sum()) > SENTENCE_LENGTH * len(some)
    blanks = float(some.str.count_matches(r"\S\s+\S").sum()) > SENTENCE_BLANKS * len(some)
    return long and blanks and some.n_unique() > MOSTLY_DIFFERENT * len(some)


def spread(texts: pl.Series, most: int) -> pl.Series:
    """Give at most so many texts, evenly spread over a column, the missing ones left out."""
    there = texts.drop_nulls()
    return there.gather_every(-(-len(there) // most)) if len(there) > most else there
