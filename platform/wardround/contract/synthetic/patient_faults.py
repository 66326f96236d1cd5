"""Faults between records: of a patient's records among themselves, of two patients who are one, of dates shifted one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from wardround.contract.synthetic.records import STAYS, Record, overlap
from wardround.contract.synthetic.spoiling import LARGEST_SHARE, Made, Work
from wardround.contract.synthetic.values import FIRST_DAY, limits

TRIES: Final = 40
"""Values that are tried for a record that is to change."""
LEAST_ALIKE: Final = 5
"""Fields in which two patients have to be alike for a check to wonder."""
OF_COLUMNS: Final = frozenset({"T-MISSCOL", "T-HDRDUP", "T-ALLNULL", "T-CONST", "T-MISSLIM", "T-PLAUS", "T-FEW"})
MORE_THAN_CHANCE: Final = 100.0
"""How many times as many pairs are alike as chance makes, at the least, for a check to wonder."""
LEAST_STAYS: Final = 50
"""Stays below which a check says nothing of their lengths."""


def varying(work: Work, code: str) -> Made:
    """Give a patient's constant field another value in one record."""
    for name in work.contract.longitudinal.constant:
        rows: list[int] = []
        changed: dict[int, Record] = {}
        for patient in _patients(work):
            found = None if len(rows) >= work.rows(code) else _other_value(work, name, patient)
            if found is not None:
                changed[patient[-1]] = found
                rows += patient
        if rows:
            work.owned.add(name)
            return _set_aside(work, code, name, rows, changed)
    raise work.impossible(code, "no patient has several records, with a constant field that could change alone")


def _other_value(work: Work, name: str, patient: list[int]) -> Record | None:
    record = work.records[patient[-1]]
    if name in work.owned or work.contract.field(name).constraints.unique or work.records[patient[0]][name] is None:
        return None
    for _ in range(TRIES):
        value = work.values[name].draw(work.random, 0.5, freely=True, ties=iter(()))
        changed = {**record, name: value}
        if value not in (None, work.records[patient[0]][name]) and not work.broken(changed):
            return changed
    return None


def overlapping(work: Work, code: str) -> Made:
    """Move a stay into another one of its patient."""
    stay = work.contract.longitudinal.no_overlap
    if stay is None or work.owned.intersection(stay):
        raise work.impossible(code, "the schema says of no stays that they do not overlap")
    rows: list[int] = []
    changed: dict[int, Record] = {}
    for patient in _patients(work):
        found = None if len(rows) >= work.rows(code) else _moved(work, stay, patient)
        if found is not None:
            row, record = found
            changed[row] = record
            others = [each for each in patient if each != row and overlap(stay, record, work.records[each])]
            rows += [row, *others]
    if rows:
        work.owned |= set(stay)
        return _set_aside(work, code, stay[0], rows, changed)
    raise work.impossible(code, "no patient has two stays, of which one could be moved into the other")


def _moved(work: Work, stay: tuple[str, str], patient: list[int]) -> tuple[int, Record] | None:
    start, end = stay
    keys = {tuple(record[name] for name in work.contract.primary_key) for record in work.records}
    for first in patient:
        begins, ends = work.records[first][start], work.records[first][end]
        if not (isinstance(begins, date) and isinstance(ends, date) and begins < ends):
            continue
        for row in patient:
            for day in (begins, begins + timedelta(days=1)):
                changed = {**work.records[row], start: day, end: ends}
                own, key = (tuple(each[name] for name in work.contract.primary_key) for each in (work.records[row], changed))
                if row != first and day < ends and (key == own or key not in keys) and not work.broken(changed):
                    return row, changed
    return None


def two_patients(work: Work, code: str) -> Made:
    """Have the records of one patient stand under another's keys as well."""
    contract = work.contract
    if OF_COLUMNS.intersection(work.wanted):
        raise work.impossible(code, "another fault changes whole columns, and with them who is alike")
    keys = {*contract.primary_key, contract.patient_key}
    told = [each for each in contract.fields if each.name not in keys and not each.investigative]
    compared = [each for each in told if each.privacy not in ("direct", "pseudonym")]
    telling = [each.name for each in compared if each.privacy == "quasi"]
    if not telling or len(compared) < LEAST_ALIKE or any(each.constraints.unique for each in compared):
        raise work.impossible(
            code, "it has no quasi-identifiers, fewer than five fields beside its keys, or one whose values stand once"
        )
    single = [rows[0] for rows in _patients(work, several=False)]
    known = [row for row in single if any(work.records[row][name] is not None for name in telling)]
    rows: list[int] = []
    while known and len(rows) < 2 * work.rows(code):
        first = known.pop()
        for second in known:
            own = {name: work.records[second][name] for name in keys}
            copied = {**work.records[second], **{each.name: work.records[first][each.name] for each in compared}, **own}
            if not work.broken(copied):
                work.records[second] = copied
                known.remove(second)
                rows += [first, second]
                break
    if rows and _chance_does_it(work, [each.name for each in compared]):
        raise work.impossible(code, "its fields tell too little of a patient: chance makes two of them alike as well")
    if not rows:
        raise work.impossible(code, "no two patients have one record each, a quasi-identifier, and values that fit both")
    work.free = [row for row in work.free if row not in set(rows)]
    work.kept |= set(rows)
    return Made(code, lines=work.lines(rows))


def _chance_does_it(work: Work, names: list[str]) -> bool:
    """Say whether a check takes patients who are alike for chance: by those who are alike in all fields but one."""
    if sum(len({record[name] for record in work.records}) > 1 for name in names) < LEAST_ALIKE:
        return True

    def pairs(of: list[str]) -> int:
        groups = Counter(tuple(record[name] for name in of) for record in work.records)
        own = Counter((record[work.contract.patient_key], *(record[name] for name in of)) for record in work.records)
        return (sum(size * size for size in groups.values()) - sum(size * size for size in own.values())) // 2

    alike, everyone, expected = pairs(names), pairs([]), 0.0
    for name in names:
        agree = (pairs([name]) - alike) / everyone
        nearly = pairs([each for each in names if each != name]) - alike
        expected = max(expected, nearly * agree / (1 - agree) if agree < 1 else 0.0)
    return alike < MORE_THAN_CHANCE * expected


def shifted(work: Work, code: str) -> Made:
    """Have a quarter of the stays end as long before they begin as they ended after it."""
    stay = work.contract.longitudinal.no_overlap
    if stay is None or ("T-OVERLAP" not in work.wanted and work.owned.intersection(stay)):
        raise work.impossible(code, "the schema says of no stays that they do not overlap")
    start, end = stay
    first = max(FIRST_DAY, int(limits(work.contract.field(end)).low))
    known, changed = 0, dict[int, Record]()
    for row in work.free:
        record = work.records[row]
        begins, ends = record[start], record[end]
        if not (isinstance(begins, date) and isinstance(ends, date)):
            continue
        known += 1
        ordinal = 2 * begins.toordinal() - ends.toordinal()
        turned = {**record, end: date.fromordinal(max(ordinal, FIRST_DAY))}
        if known % 4 == 0 and begins < ends and ordinal >= first and work.broken(turned) == [STAYS]:
            changed[row] = turned
    if known < LEAST_STAYS or len(changed) < LARGEST_SHARE / 2 * known:
        raise work.impossible(code, "too few stays can be turned round without breaking a rule or a limit")
    work.owned |= {start, end}
    work.free = [row for row in work.free if row not in changed]
    for row, record in changed.items():
        work.records[row] = record
    return Made(code, field=end, lines=work.lines(list(changed)))


def _patients(work: Work, *, several: bool = True) -> Iterator[list[int]]:
    """Give the rows of each patient that has several records, or one only, all of them whole."""
    free, of_patient = set(work.free), dict[object, list[int]]()
    for row, record in enumerate(work.records):
        of_patient.setdefault(record[work.contract.patient_key], []).append(row)
    for rows in of_patient.values():
        if (len(rows) > 1) == several and free.issuperset(rows):
            yield rows


def _set_aside(work: Work, code: str, name: str, rows: list[int], changed: dict[int, Record]) -> Made:
    work.free = [row for row in work.free if row not in set(rows)]
    work.aside |= set(rows)
    for row, record in changed.items():
        work.records[row] = record
    return Made(code, field=name, lines=work.lines(rows))
