"""What looks like a person: names, e-mail addresses, telephone numbers, national identifiers.

The node refuses to go on with a column that holds such texts: it takes pseudonyms, and does not make them. In a column of
identifiers one cell is enough, since no pseudonym looks so. Elsewhere one cell is enough where it can hardly be anything else
(an address with @, a number with its country's code, check digits that fit); names need a column that holds mostly names,
among them common ones, or that is called so (``last_name``). Fields that the contract calls ``direct`` identifiers or free text
are expected to hold such things.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import polars as pl

from silo_node.mapping.facts import Facts
from silo_node.mapping.resolve import FieldMapping
from silo_node.validation.causes import Cause, Failed, different, matching, nowhere
from silo_node.validation.constraints import Check
from silo_node.validation.identifiers import is_identifier
from silo_node.validation.national_ids import (
    LONGEST_UNTELLING,
    NATIONAL_IDS,
    SHORTEST_UNTELLING,
    TELLING_FORMS,
    is_telling,
)
from silo_node.validation.texts import spread
from wardround.contract.model import Contract, ContractField
from wardround.contract.names_of_people import holds_names

LOOKED_AT = 2000
"""Cells, evenly spread over a column, among which different texts are sought."""
JUDGED = 200
"""Different texts by which a column is judged."""
FEWEST = 20
"""Different texts without which a column is not judged by shares."""
MOSTLY = 0.9
"""Share of texts that are identifiers of one kind, check digits included, in a column of them."""
NAMED = 0.5
"""Share of texts of a name's form in a column of names."""
COMMON = 0.1
"""Share of texts with a common given name in a column of names."""
COMMON_ALONE = 0.3
"""Share of common given names in a column of given names alone."""
VARIED = 0.5
"""Share of different first three signs, where only a varied column is evidence."""

_EMAIL = r"[^@\s]+@[^@\s]+\.\p{L}{2,}"
_PHONE = (
    r"\+[1-9](?:[ ./()-]*[0-9]){7,14}"
    r"|\(0[0-9]{1,5}\) ?[0-9][0-9 /-]{4,}"
    r"|0[0-9]{2,5}[ /][0-9][0-9 -]{4,}[0-9]"
    r"|\([2-9][0-9]{2}\) ?[0-9]{3}-[0-9]{4}"
)
_TITLED = r"(?:Mrs|Mr|Herr|Frau|Mme|Dr\.)\.? \p{Lu}[\p{L}'’-]+(?: \p{Lu}[\p{L}'’-]+)?"
_DICOM_NAME = r"\p{L}[\p{L}'’ -]+\^\p{L}[\p{L}'’ ^.-]*"
_FAMILY_GIVEN = r"\p{Lu}[\p{L}'’-]+, ?\p{Lu}[\p{L}'’.-]+(?: \p{Lu}[\p{L}'’.-]*)?"
_GIVEN_FAMILY = r"\p{Lu}\p{Ll}[\p{L}'’-]*(?: \p{Lu}(?:\.|\p{Ll}[\p{L}'’-]*)){1,3}"
_ANYWHERE = f"{_EMAIL}|{_PHONE}|{_TITLED}|{_DICOM_NAME}"
_NAME = f"{_FAMILY_GIVEN}|{_GIVEN_FAMILY}|{_DICOM_NAME}"
_ONE_WORD = r"\p{L}[\p{L}'’-]+"

GIVEN_NAMES = frozenset(
    """
    adam agnieszka ahmed aisha alejandro alessandro alexander alice ali amelia ana andrea andreas andrew andrzej angela anita ann
    anna anne annika anthony antonio ashley astrid ayşe ayse barbara beata ben benjamin bernd birgit björn brigitte brian carlos
    carmen carol caroline catherine charles charlotte chiara christian christina christine christopher claudia claire daniel
    daniela david deborah dennis diana dieter dimitri donald dorothy edward elena elif elisabeth elizabeth ella emil emily emma
    emre eric erik ernst eva ewa fatima fatma federico felix fernando fiona francesca francesco francisco françois frank franz
    frederik gabriel georg george gerald gerhard giovanni giulia giuseppe grace greta guillaume günter günther hannah hans harald
    harry hasan heather heike heinz helen helena helga henrik hiroshi horst hugo ibrahim ida ines ingrid irina isabel isabella
    ivan jack jacob jacques jakob james jan jane javier jean jennifer jens jessica jim joan joanna johan johann johanna john jonas
    jonathan jörg jose josé josef joseph joshua juan julia julie jürgen justin kai karen karin karl karl-heinz kasia katarzyna
    katharina katherine katja kevin kim klaus krzysztof lara larry lars laura lea lena leon leonie lina linda lisa louis louise
    luca lucas lucia lucie luis luisa lukas magdalena manfred manuel marcel marco marek margaret margarita maria maría marie
    marina mario marion mark markus marta martha martin martina mary matthew matthias maximilian mehmet melanie mia michael michel
    michelle miguel mohamed mohammad mohammed monica monika mustafa nadia nancy natalia natalie nicholas nicola nicolas nicole
    nils nina noah nora oliver olga olivia oscar pablo paola patricia patrick paul paula pavel pedro peter petra philipp philippe
    pierre piotr rachel raymond rebecca renate richard rita robert roberto roland rosa ruth ryan sabine samuel sandra sara sarah
    sean sebastian sergio sharon silvia simon simone sofia sofie sophia sophie stefan stefanie stephanie stephen steven susan
    susanne sven sylvia tatiana teresa theresa thomas tim tobias tom tomasz uwe ursula valentina vanessa vera victor victoria
    virginia vladimir walter werner william wolfgang xavier yasmin yusuf zeynep zoe
    """.split()  # noqa: SIM905  (a list of three hundred quoted names is no easier to read)
)
"""Common given names of several languages, in small letters; those that are also usual words (may, rose, will) left out."""

_NEXT_STEP = (
    "the node refuses to go on: replace what names people by pseudonyms before the table gets here, or map another column; then "
    "check again"
)

_NO_COLUMN = (
    "take the field out of 'columns' in the site file and list the column under 'ignore': its cells are then left in the file; "
    "if it holds no names, give it another name in the export"
)
_OTHER_COLUMN = (
    "map another column: the schema requires the field, and names of people are none of its values; if it holds no names, "
    "give it another name in the export"
)


def expectation(field: ContractField) -> str:
    """Say what should hold of a field's texts."""
    return f"{field.name} holds no names, e-mail addresses, telephone numbers or national identifiers"


def checks(contract: Contract, field: ContractField, facts: Facts) -> Iterator[Check]:
    """Give the check of a text field; cells that break the field's pattern or code list are looked at when they do."""
    expected = field.free_text or field.privacy == "direct"
    if field.type != "string" or field.values or field.code_system is not None or expected:
        return
    identifier = is_identifier(contract, field)
    column, pattern = pl.col(field.name), field.constraints.pattern
    if pattern is not None and not _has_room(pattern):
        return

    def people(texts: pl.Series) -> pl.Series:
        found = _mostly(texts, names=not identifier)
        return found if pattern is not None else found | looks(texts, identifier=identifier)

    yield Check(
        code="T-PHI-ID",
        severity="error",
        level="table",
        fields=(field.name,),
        broken=column.map_batches(people, return_dtype=pl.Boolean),
        suspicion=facts.whole(column, lambda texts: bool(people(texts).any())),
        expectation=expectation(field),
        next_step=_NEXT_STEP,
        whole=True,
    )


def called_names(mapping: FieldMapping) -> bool:
    """Say whether a text field comes from a column that by its own name holds names of people, whatever its cells look like."""
    field = mapping.field
    if field.type != "string" or field.values or field.free_text or field.privacy == "direct" or mapping.column is None:
        return False
    return holds_names(mapping.column)


def column_check(mapping: FieldMapping, facts: Facts) -> Check:
    """Give the check of a column that is called so: every cell counts."""
    column = pl.col(mapping.field.name)
    return Check(
        code="T-PHI-ID",
        severity="error",
        level="table",
        fields=(mapping.field.name,),
        broken=column.is_not_null(),
        suspicion=facts.any(column.is_not_null().any()),
        expectation=f"{mapping.field.name} comes from no column that is called by names of people, such as first or last name",
        next_step=_OTHER_COLUMN if mapping.field.required else _NO_COLUMN,
    )


def causes(failed: Failed, *, identifier: bool) -> Iterator[Cause]:
    """Say which cells that break a pattern or a code list look like people."""
    field = failed.mapping.field
    if field.privacy != "direct" and not field.free_text:
        where = looks(failed.cells, identifier=identifier)
        yield Cause("T-PHI-ID", where, expectation(field), _NEXT_STEP, fatal=True)


def looks(texts: pl.Series, *, identifier: bool) -> pl.Series:
    """Say which texts by themselves look like people; names, in a column of identifiers only."""
    found = matching(texts, f"{_ANYWHERE}|{_NAME}" if identifier else _ANYWHERE)
    forms = matching(texts, TELLING_FORMS)
    telling = [text for text in texts.filter(forms).unique() if is_telling(text)]
    return found | texts.is_in(telling).fill_null(value=False) if telling else found


def _has_room(pattern: str) -> bool:
    """Say whether texts of a pattern can be identifiers that only a column of them shows."""
    least, most = importlib.import_module("re._parser").parse(pattern).getwidth()
    return int(least) <= LONGEST_UNTELLING and int(most) >= SHORTEST_UNTELLING


def _mostly(texts: pl.Series, *, names: bool) -> pl.Series:
    """Say which texts of a column of identifiers, or of names, are such; none, when the column is none."""
    some = spread(texts, LOOKED_AT).unique(maintain_order=True).head(JUDGED)
    if len(some) < FEWEST:
        return nowhere(texts)
    for each in NATIONAL_IDS:
        ones = [text for text in some if each.is_one(text)]
        varied = not each.varied or len({text[:3] for text in ones}) >= VARIED * len(ones)
        if len(ones) >= MOSTLY * len(some) and varied:
            return different(texts, each.is_one)
    if names and _are_names(some):
        return matching(texts, _NAME)
    if names and _common(some) >= COMMON_ALONE * len(some):
        return matching(texts, _ONE_WORD)
    return nowhere(texts)


def _are_names(some: pl.Series) -> bool:
    named = some.filter(matching(some, _NAME))
    return len(named) >= NAMED * len(some) and _common(named) >= COMMON * len(named)


def _common(some: pl.Series) -> int:
    """Count the texts among whose words is a common given name."""
    return sum(not GIVEN_NAMES.isdisjoint(text.lower().replace(",", " ").replace("^", " ").split()) for text in some)
