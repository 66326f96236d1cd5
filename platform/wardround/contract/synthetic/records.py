"""Synthetic records: made from a contract alone, so that a study can be tried where no patient is.

Every record obeys the contract: types, ranges (the plausible ones), codes, patterns, keys, missing values and all rules,
those of severity ``warning`` too. Fields are drawn one after the other; a rule that ties the next field to those that
are there narrows its range (``discharged >= admitted``), and a field that breaks a rule is drawn again, then the whole
record, up to a bound.

A record has one hidden score, and every number and code leans on it by a fixed weight that follows from the schema's id and
the field's name: whichever coded field a study predicts, the others tell something of it, at every hospital in the same
way. The relation is invented. Nothing here was ever fitted on real records, and no figure on such records says anything
about patients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from random import Random
from typing import Final

from wardround.contract import rules
from wardround.contract.model import Contract, ContractField
from wardround.contract.synthetic.texts import pick
from wardround.contract.synthetic.values import FieldValues, ties_to
from wardround.contract.synthetic.variation import USUAL, Variation
from wardround.errors import Refused, refuse

VERSION: Final = 1
"""Of the way records are made; another one makes others of the same seed."""
MOST_RECORDS: Final = 1_000_000
FIELD_TRIES, LEANING_TRIES = 60, 12
"""How often a field is drawn for one record; and how many of these lean on the record's score."""
RECORD_TRIES: Final = 200
"""How often one record is begun anew before the contract is called too narrow."""
PREVALENCE_TRIES: Final = 1_000
"""How many records are made for one that has the value of which a share is asked for, or has it not."""
MISSING_SHARE: Final = 0.04
"""Share of values that an optional field loses, or half of what the contract allows, if that is less."""
MISSING_LIMIT: Final = 0.75
"""Share of the missing values that the contract allows that are made at most."""
MISSING_AGAIN: Final = 0.25
"""Share of further tries in which a value is missing: some rules hold only so."""
SAME_PATIENT: Final = 0.15
"""Share of records of a patient who has one already, where the contract's keys allow several."""

Record = dict[str, rules.Cell]


@dataclass(frozen=True)
class Asked:
    """A statement that every record keeps. ``known``: unknown is not enough, as in a cohort rule."""

    name: str
    expression: rules.Expression
    known: bool = False

    def holds(self, record: Record) -> bool:
        """Say whether a record keeps it."""
        found = rules.evaluate(self.expression, record)
        return found is True if self.known else found is not False


STAYS: Final = "no_overlap"
"""What the statement is called that a stay does not end before it begins."""


def asked_of(contract: Contract) -> tuple[Asked, ...]:
    """Give a contract's rules, of either severity, and that its stays end no earlier than they begin."""
    asked = [Asked(f"rule {rule.id}", rules.parse(rule.check, rule.id)) for rule in contract.rules]
    if contract.longitudinal.no_overlap is not None:
        start, end = contract.longitudinal.no_overlap
        asked.append(Asked(STAYS, rules.parse(f"{end} >= {start}", STAYS)))
    return tuple(asked)


def generator(contract: Contract, seed: int, purpose: str) -> Random:
    """Give a generator that follows from contract, seed, purpose and ``VERSION`` alone, the same on every machine.

    Only ``random()`` may be asked of it: Python promises to keep that sequence, and no other.
    """
    words = f"wardround/{VERSION}/synthetic\0{contract.contract_hash()}\0{seed}\0{purpose}"
    return Random(int.from_bytes(sha256(words.encode()).digest(), "big"))  # noqa: S311  (it keeps no secret)


def synthesise(
    contract: Contract,
    count: int,
    seed: int = 0,
    *,
    where: str | None = None,
    enough: bool = True,
    variation: Variation = USUAL,
) -> list[Record]:
    """Make records that obey a contract; the same arguments give the same records.

    Args:
        contract: says what a record is.
        count: how many.
        seed: another one gives other records.
        where: a rule that is true for every record, such as a study's cohort rule.
        enough: refuse fewer records than the contract asks of a hospital.
        variation: how this hospital differs from the others.

    Raises:
        Refused: S-SYNTH, naming the rule or the field that no made-up record met; X-USAGE for a count that cannot be.
    """
    return list(one_by_one(contract, count, seed, where=where, enough=enough, variation=variation))


def one_by_one(
    contract: Contract,
    count: int,
    seed: int = 0,
    *,
    where: str | None = None,
    enough: bool = True,
    variation: Variation = USUAL,
) -> Iterator[Record]:
    """Make the records that ``synthesise`` makes one after the other, so that not all of a million have to be held.

    Raises:
        Refused: X-USAGE at once, S-SYNTH on the way.
    """
    _check_count(contract, count, enough=enough)
    asked = list(asked_of(contract))
    if where is not None:
        asked.append(Asked("the cohort rule", rules.parse(where, "cohort.where", "P-RULE"), known=True))
    making = _Making(contract, count, asked, generator(contract, seed, "records"), variation)
    return (making.record() for _ in range(count))


def _check_count(contract: Contract, count: int, *, enough: bool) -> None:
    least = contract.limits.min_records if enough else 1
    if not least <= count <= MOST_RECORDS:
        raise refuse(
            "X-USAGE",
            f"{contract.id} {contract.version}",
            f"So many records are made: {least} (the schema asks for them) to {MOST_RECORDS}",
            f"{count} were asked for",
            "choose another -n",
        )


def identifying(contract: Contract) -> frozenset[str]:
    """Give the fields that are never missing, required or not: the keys."""
    return frozenset((*contract.primary_key, contract.patient_key))


def most_missing(contract: Contract, field: ContractField, count: int) -> int:
    """Give how many of so many values of a field are missing at most; fewer than the contract allows, and never all."""
    if field.required or field.name in identifying(contract) or not contract.missing_marks(field.name):
        return 0
    return min(int(field.missing.max_fraction * MISSING_LIMIT * count), count - 1)


class PatientsRecords:
    """What holds between the records of one patient, of those that are there."""

    def __init__(self, contract: Contract) -> None:
        """Take the contract's ``longitudinal``; no record is there yet."""
        self._patient = contract.patient_key
        self._constant = contract.longitudinal.constant
        self._stay = contract.longitudinal.no_overlap
        self._values: dict[tuple[rules.Cell, str], rules.Cell] = {}
        self._stays: dict[rules.Cell, list[Record]] = {}

    def constant(self, name: str, record: Record) -> rules.Cell:
        """Give the value that a record's patient has in a field; None when it has none, or the field changes."""
        return self._values.get((record.get(self._patient), name)) if name in self._constant else None

    def contradicts(self, name: str, record: Record) -> bool:
        """Say whether a record, with the field that it got last, contradicts the others of its patient."""
        if name in (*self._constant, self._patient):
            known = {each: self.constant(each, record) for each in self._constant}
            if any(value is not None and record.get(each, value) not in (None, value) for each, value in known.items()):
                return True
        if self._stay is None or name not in (*self._stay, self._patient):
            return False
        return any(overlap(self._stay, record, each) for each in self._stays.get(record.get(self._patient), ()))

    def take(self, record: Record) -> None:
        """Take one more record."""
        patient = record[self._patient]
        for name in self._constant:
            if record[name] is not None:
                self._values.setdefault((patient, name), record[name])
        if self._stay is not None:
            self._stays.setdefault(patient, []).append(record)


def overlap(stay: tuple[str, str], one: Record, other: Record) -> bool:
    """Say whether two stays overlap; one may begin on the day on which the other ends, and one without a day is not judged."""
    start, end = stay
    days = [record.get(name) for record in (one, other) for name in (start, end)]
    if not all(isinstance(day, date) for day in days):
        return False
    first, last, other_first, other_last = (day for day in days if isinstance(day, date))
    return first <= last and other_first <= other_last and first < other_last and other_first < last


class _Making:
    """Records under way: what was used already, and what may still be missing."""

    def __init__(self, contract: Contract, count: int, asked: Sequence[Asked], random: Random, variation: Variation) -> None:
        self.contract = contract
        self.names = contract.names
        self.random = random.random
        self.prevalence = variation.prevalence
        self.values = {field.name: FieldValues(contract, field, variation) for field in contract.fields}
        order = {name: at for at, name in enumerate(contract.names)}
        self.due: dict[str, list[Asked]] = {name: [] for name in contract.names}
        for each in asked:
            self.due[max(rules.fields(each.expression), key=order.__getitem__)].append(each)
        self.last_of_key = max(contract.primary_key, key=order.__getitem__)
        self.left = count
        self.missing_left = {field.name: most_missing(contract, field, count) for field in contract.fields}
        self.missing_share = {
            field.name: variation.missing * min(MISSING_SHARE, field.missing.max_fraction / 2) for field in contract.fields
        }
        self.unique: dict[str, set[rules.Cell]] = {field.name: set() for field in contract.fields if field.constraints.unique}
        self.keys: set[tuple[rules.Cell, ...]] = set()
        self.patients: dict[str, None] = {}
        self.list_of_patients: list[str] = []
        self.between = PatientsRecords(contract)
        self.several = contract.primary_key != (contract.patient_key,) and contract.patient_key not in self.unique

    def record(self) -> Record:
        """Make one more record."""
        failures: Counter[str] = Counter()
        for _ in range(RECORD_TRIES):
            record = self._with_share(failures)
            if record is not None:
                self._take(record)
                return record
        raise self._refused(failures.most_common(1)[0][0])

    def _with_share(self, failures: Counter[str]) -> Record | None:
        """Make a record that has the value of its field whose share is asked for, or has it not.

        Others are begun anew with another score, so that the other fields tell as much of that one as they always do.
        """
        prevalence = self.prevalence
        if prevalence is None:
            return self._try(failures)
        positive = self.random() < prevalence.share
        for _ in range(PREVALENCE_TRIES):
            record = self._try(failures)
            if record is None or prevalence.allows(record, positive=positive):
                return record
        failures[f"the share of {prevalence.field}"] += PREVALENCE_TRIES * FIELD_TRIES
        return None

    def _try(self, failures: Counter[str]) -> Record | None:
        record: Record = {}
        score = self.random()
        for name in self.names:
            for tries in range(FIELD_TRIES):
                record[name] = self._draw(name, record, score, tries)
                objection = self._objection(name, record)
                if objection is None:
                    break
                failures[objection] += 1
            else:
                return None
        return record

    def _draw(self, name: str, record: Record, score: float, tries: int) -> rules.Cell:
        constant = self.between.constant(name, record)
        if constant is not None:
            return constant
        if self.missing_left[name] > 0 and self.random() < (MISSING_AGAIN if tries else self.missing_share[name]):
            return None
        if name == self.contract.patient_key and self._may_repeat() and self.random() < SAME_PATIENT:
            return str(pick(self.list_of_patients, self.random))
        return self.values[name].draw(self.random, score, freely=tries >= LEANING_TRIES, ties=self._ties(name, record))

    def _may_repeat(self) -> bool:
        """Say whether a further record of a known patient leaves room for as many patients as the contract wants."""
        wanted = self.contract.limits.min_patients - len(self.patients)
        return self.several and bool(self.patients) and self.left - 1 >= wanted

    def _ties(self, name: str, record: Record) -> Iterator[tuple[str, rules.Cell]]:
        for each in self.due[name]:
            yield from ties_to(name, each.expression, record)

    def _objection(self, name: str, record: Record) -> str | None:
        """Say what a record breaks with its last value; None when it keeps everything so far."""
        value = record[name]
        if value is None and self.missing_left[name] <= 0:
            tied = ", ".join(each.name for each in self.due[name])
            return f"field {name}, by {tied}" if tied else f"field {name}: no value was found"
        if value is not None and value in self.unique.get(name, ()):
            return f"field {name}: unique"
        if name == self.last_of_key and self._key(record) in self.keys:
            return "the primary key"
        if self.between.contradicts(name, record):
            return f"field {name}: longitudinal"
        return next((each.name for each in self.due[name] if not each.holds(record)), None)

    def _key(self, record: Record) -> tuple[rules.Cell, ...]:
        return tuple(record[name] for name in self.contract.primary_key)

    def _take(self, record: Record) -> None:
        self.left -= 1
        self.between.take(record)
        self.keys.add(self._key(record))
        patient = str(record[self.contract.patient_key])
        if patient not in self.patients:
            self.patients[patient] = None
            self.list_of_patients.append(patient)
        for name, value in record.items():
            if value is None:
                self.missing_left[name] -= 1
            elif name in self.unique:
                self.unique[name].add(value)

    def _refused(self, what: str) -> Refused:
        return refuse(
            "S-SYNTH",
            f"{self.contract.id} {self.contract.version}",
            "Made-up records keep every rule, key and limit of the schema",
            f"after {RECORD_TRIES} tries no further record kept this one: {what}",
            "make fewer records, or use records of your own for this schema",
        )
