"""Synthetic records with faults on purpose: exactly those that were asked for, so that a check can be tried.

Each kind of fault has its code, as ``silo check`` gives it. Faults of single records take records of their own; faults
of whole columns take a column of their own; faults of the whole file stand alone, since nothing else is read then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from wardround.contract.model import Contract
from wardround.contract.synthetic import cell_faults, distribution_faults, patient_faults, record_faults, table_faults
from wardround.contract.synthetic.records import synthesise
from wardround.contract.synthetic.sheet import Sheet, sheet_of
from wardround.contract.synthetic.spoiling import Made, Work, impossible
from wardround.errors import Problem, raise_all, refuse
from wardround.strict_yaml import nearest

ALONE: Final = ("T-ENCODING", "T-DELIM", "T-NOHEADER", "T-EMPTY")
"""Faults after which nothing of a file is read: they stand alone."""
OF_TEXT_FILES: Final = ("T-ENCODING", "T-DELIM", "T-NOHEADER", "T-HDRDUP", "T-RAGGED")
"""Faults that a text file can have, and no Parquet file."""
MOST_RECORDS: Final = 100_000
"""Records with faults are all held at once."""
WHOLE: Final = (
    *ALONE,
    *("T-ALLNULL", "T-MISSCOL", "T-EXTRACOL", "T-HDRDUP", "T-FEW", "T-UNIT", "T-DRIFT", "T-PHI-TEXT", "T-CONST", "T-DATESHIFT"),
)
"""Faults of whole columns and files: no number of records belongs to them."""
NOT_BY_A_FILE: Final[Mapping[str, str]] = {
    "T-FILE": "it means that the file is not there",
    "T-MAP": "it is about the site file's own codes, not about the shared form",
    "T-LABEL": "it is about one study's target and cohort",
    "T-PARTS": "it is about several files that are to be one table",
    "T-STALE": "it is about a snapshot and what it was taken from",
    "T-SIZE": "it is about a source that is larger than its limit",
    "T-QUERY": "it is about a database",
    "T-CELL": "it is about a workbook's own errors",
    "T-FK": "it is about several tables that are joined",
    "T-JOIN": "it is about several tables that are joined",
    "T-TIE": "it is about several tables that are joined",
    "T-LABELMISS": "it is about one study's target and cohort",
    "T-LEAK": "it is about one study's target and features",
    "T-SYNTHETIC": "every table that is made here has it, by its patient keys",
    "T-QUARANTINE": "it follows by itself where other faults set more records aside than a study allows",
}
"""Codes of a check that no file in shared form can be made for, and why."""


@dataclass(frozen=True)
class Spoiled:
    """A table with faults."""

    sheet: Sheet
    made: tuple[Made, ...]


def spoiled(contract: Contract, count: int, seed: int, wanted: Mapping[str, int | None]) -> Spoiled:
    """Make synthetic records with faults.

    Args:
        contract: says what a record is.
        count: how many records; fewer where T-FEW is wanted.
        seed: as for ``synthesise``.
        wanted: codes, and how many records each shall concern (None: as many as it needs, or a few).

    Raises:
        Refused: X-USAGE for codes that are no faults of a file or do not go together, S-SYNTH for one that this contract's
            records cannot have.
    """
    _check_codes(contract, wanted)
    if count > MOST_RECORDS:
        rule, finding = f"Records with faults are {MOST_RECORDS} at most", f"{count} were asked for"
        raise refuse("X-USAGE", f"{contract.id} {contract.version}", rule, finding, "choose another -n")
    few = "T-FEW" in wanted
    count = _too_few(contract) if few else count
    records = synthesise(contract, count, seed, enough=not few)
    work = Work(contract, records, seed, wanted)
    made = [CODES[code](work, code) for code in CODES if code in wanted]
    _check_rest(work)
    sheet = sheet_of(contract, work.records)
    for (row, name), text in work.texts.items():
        sheet.cells[row][contract.names.index(name)] = text
    for change in work.sheet_changes:
        change(sheet)
    return Spoiled(sheet, tuple(made))


def _check_rest(work: Work) -> None:
    """See that enough records stay whole: else T-FEW would be found, too."""
    if "T-FEW" in work.wanted or any(code in work.wanted for code in ALONE):
        return
    whole = [record for row, record in enumerate(work.records) if row not in work.aside]
    patients = {record[work.contract.patient_key] for record in whole}
    least = work.contract.limits
    if len(whole) < least.min_records or len(patients) < least.min_patients:
        raise work.impossible(next(iter(work.wanted)), "too few records would stay whole")


def _check_codes(contract: Contract, wanted: Mapping[str, int | None]) -> None:
    place = f"{contract.id} {contract.version}"
    rule = "Faults are codes of a check that a file in shared form can have"
    found: list[Problem] = []
    for code in wanted:
        if code in NOT_BY_A_FILE:
            found.append(Problem("X-USAGE", place, rule, f"no file is made for {code}: {NOT_BY_A_FILE[code]}", "leave it out"))
        elif code not in CODES:
            guess = nearest(code, CODES)
            next_step = f"did you mean {guess}?" if guess else f"choose among: {', '.join(CODES)}"
            found.append(Problem("X-USAGE", place, rule, f"there is no such code: {code!r}", next_step))
        elif wanted[code] is not None and code in WHOLE:
            finding = f"{code} is about a whole column or file"
            found.append(Problem("X-USAGE", place, "Rows belong to faults of single records", finding, f"write {code} alone"))
    alone = [code for code in wanted if code in ALONE]
    if alone and len(wanted) > 1:
        finding = f"{alone[0]} hides the other faults: nothing of the file is read"
        found.append(Problem("X-USAGE", place, "Faults that are made together are found together", finding, "make two files"))
    raise_all(found)


def _too_few(contract: Contract) -> int:
    least = contract.limits.min_records
    if least < 2:  # noqa: PLR2004  (no record at all is T-EMPTY)
        raise impossible(contract, "T-FEW", "the schema asks for one record only")
    return least - 1


CODES: Final[Mapping[str, Callable[[Work, str], Made]]] = {
    "T-RAGGED": table_faults.ragged,
    "T-VARYING": patient_faults.varying,
    "T-OVERLAP": patient_faults.overlapping,
    "T-DUPROW": patient_faults.two_patients,
    "T-DUPKEY": record_faults.duplicate,
    "T-MISSCOL": table_faults.no_column,
    "T-ALLNULL": table_faults.all_missing,
    "T-CONST": table_faults.constant,
    "T-MISSLIM": table_faults.missing,
    "T-PLAUS": table_faults.implausible,
    "T-PHI-TEXT": cell_faults.sentences,
    "T-DATESHIFT": patient_faults.shifted,
    "T-RULE": record_faults.rule,
    "T-UNIT": distribution_faults.unit,
    "T-UNITMIX": distribution_faults.unit_mix,
    "T-DRIFT": distribution_faults.drift,
    "T-NULL": record_faults.null,
    "T-ENUM": record_faults.no_code,
    "T-PATTERN": record_faults.pattern,
    "T-RANGE": record_faults.out_of_range,
    "T-INTFRAC": record_faults.fraction,
    "T-NONFINITE": record_faults.nonfinite,
    "T-TYPE": record_faults.wrong_type,
    "T-LEADZERO": cell_faults.lost_zeros,
    "T-SCI": cell_faults.scientific,
    "T-BIGINT": cell_faults.through_a_float,
    "T-SENTINEL": cell_faults.sentinel,
    "T-CASE": cell_faults.other_case,
    "T-BOOL": cell_faults.other_notation,
    "T-PHI-ID": cell_faults.person,
    "T-CODEVER": cell_faults.wrong_code,
    "T-DATEFMT": cell_faults.other_date_form,
    "T-TZ": cell_faults.zones,
    "T-FUTURE": cell_faults.future,
    "T-HDRDUP": table_faults.header_twice,
    "T-EXTRACOL": table_faults.extra_column,
    "T-FEW": table_faults.few,
    "T-ENCODING": table_faults.encoding,
    "T-DELIM": table_faults.delimiter,
    "T-NOHEADER": table_faults.no_header,
    "T-EMPTY": table_faults.empty,
}
"""Every fault that a file can have, in the order in which they are made."""
