"""What the shape of a contract of images cannot say: words that DICOM has, ranges that can be, a table that fits.

All problems, with lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from wardround.contract import dicom_dictionary, units
from wardround.contract.imaging import ImagingContract, Range, TableLink
from wardround.contract.model import Contract, ContractField
from wardround.errors import Problem
from wardround.strict_yaml import Document, Location, nearest

GRAINS: Final = ("patient", "study", "series", "image")
"""What there is one of, from the coarsest to the finest."""

_MOST_PIXELS: Final = 65535
"""Rows and columns are numbers of 16 bits (PS3.3 C.7.6.3)."""
_MOST_BITS: Final = 64
_TWO: Final = 2


def problems(contract: ImagingContract, document: Document, table: Contract | None) -> list[Problem]:
    """Give everything that is wrong with a well-formed contract of images; ``document`` gives the lines.

    ``table`` is the table contract that it names; None when it names none, or one that is not there (which is said elsewhere).
    """
    return list(_Check(contract, document, table).all())


class _Check:
    """One look at one contract; each method looks at one kind of promise."""

    def __init__(self, contract: ImagingContract, document: Document, table: Contract | None) -> None:
        self.contract = contract
        self.document = document
        self.table = table

    def all(self) -> Iterator[Problem]:
        yield from self._words()
        yield from self._ranges()
        yield from self._units()
        link = self.contract.table
        if link is not None and self.table is not None:
            yield from self._link(link, self.table)
            yield from self._labels(self.table)
            yield from self._patients(link, self.table)

    def _problem(self, code: str, location: Location, rule: str, finding: str, next_step: str) -> Problem:
        return Problem(code, self.document.place(location), rule, finding, next_step)

    # -------------------------------------------------------------------------------------------------- words of DICOM

    def _words(self) -> Iterator[Problem]:
        """Keywords and identifiers are those of the data dictionary."""
        found: list[Problem | None] = []
        for key in ("required", "forbidden"):
            for index, keyword in enumerate(getattr(self.contract.tags, key)):
                found.append(dicom_dictionary.unlooked_keyword(keyword, self.document.place(("tags", key, index))))
        for key, kind in (("sop_classes", dicom_dictionary.CLASS), ("transfer_syntaxes", dicom_dictionary.SYNTAX)):
            for index, uid in enumerate(getattr(self.contract.protocol, key, ())):
                found.append(dicom_dictionary.unknown_uid(uid, kind, self.document.place(("protocol", key, index))))
        yield from (problem for problem in found if problem is not None)

    # ----------------------------------------------------------------------------------------------------------- ranges

    def _ranges(self) -> Iterator[Problem]:
        protocol, geometry = self.contract.protocol, self.contract.geometry
        yield from self._whole(("protocol", "bits_stored"), None if protocol is None else protocol.bits_stored, 1, _MOST_BITS)
        for key in ("rows", "columns"):
            yield from self._whole(("geometry", key), getattr(geometry, key), 1, _MOST_PIXELS)
        yield from self._whole(("geometry", "slices"), geometry.slices, _TWO, None)
        for key in ("pixel_spacing", "slice_step", "slice_thickness"):
            lengths = getattr(geometry, key)
            if lengths is not None and lengths.low <= 0:
                rule, finding = "Lengths are more than 0 mm", f"{key} begins at {lengths.low}"
                yield self._problem("S-RANGE", ("geometry", key), rule, finding, "give the smallest length that is allowed")
        possible = self.contract.intensity.possible
        if possible is not None and possible.low == possible.high:
            rule, finding = "Images have lighter and darker places", "low and high are equal"
            yield self._problem("S-RANGE", ("intensity", "possible"), rule, finding, "widen the range")

    def _whole(self, location: Location, numbers: Range | None, low: int, high: int | None) -> Iterator[Problem]:
        """Counts are whole numbers that there can be."""
        if numbers is None:
            return
        name = location[-1]
        if not (float(numbers.low).is_integer() and float(numbers.high).is_integer()):
            yield self._problem("S-RANGE", location, "Counts are whole", f"{name} has a fraction", "round it outwards")
        if numbers.low < min(low, 1) or numbers.high < low or (high is not None and numbers.high > high):
            rule = f"{name} is at least {low}" + ("" if high is None else f" and at most {high}")
            finding = f"the range is {numbers.low} to {numbers.high}"
            yield self._problem("S-RANGE", location, rule, finding, "correct the range")

    def _units(self) -> Iterator[Problem]:
        protocol = self.contract.protocol
        if self.contract.intensity.unit == "HU" and protocol is not None and set(protocol.modalities) != {"CT"}:
            others = ", ".join(sorted(set(protocol.modalities) - {"CT"}))
            rule = "Only images of modality CT are in Hounsfield units"
            next_step = "write unit: stored, or name CT alone"
            yield self._problem("S-RANGE", ("intensity", "unit"), rule, f"the protocol allows {others}", next_step)

    # -------------------------------------------------------------------------------------------------------- the table

    def _link(self, link: TableLink, table: Contract) -> Iterator[Problem]:
        """Images and rows find each other by pseudonyms that are never missing; a row stands once for each."""
        if table.status == "draft" and self.contract.status != "draft":
            rule, finding = "A contract that is no draft rests on none", f"{table.id} {table.version} is a draft"
            yield self._problem("S-VERSION", ("table", "version"), rule, finding, "publish the table contract first")
        named: list[tuple[Location, str]] = [(("table", "keys", grain), name) for grain, name in link.keys.items()]
        if link.path is not None:
            named.append((("table", "path"), link.path))
        for location, name in named:
            yield from self._must(location, table, name, "keys and paths", _is_key, "a required text of privacy pseudonym")
        own = link.path or link.keys[link.grain]
        if own in table.names and table.primary_key != (own,) and not table.field(own).constraints.unique:
            rule = f"One row of the table is of one {link.grain}"
            finding = f"{own!r} may stand in several rows of {table.id}"
            next_step = f"name the table's primary key ({', '.join(table.primary_key)}), or another grain"
            yield self._problem("S-FIELD", ("table", "grain"), rule, finding, next_step)
        if GRAINS.index(link.grain) > GRAINS.index(self.contract.example):
            rule = "A row is of an example, or of what holds it: an example has one row"
            finding = f"a row is of one {link.grain}, and an example is a {self.contract.example}"
            yield self._problem("S-FIELD", ("table", "grain"), rule, finding, "take a coarser grain, or a finer example")

    def _labels(self, table: Contract) -> Iterator[Problem]:
        label = self.contract.label
        if label.path is not None:
            what = "a required text of privacy pseudonym"
            yield from self._must(("label", "path"), table, label.path, "keys and paths", _is_key, what)
        wanted: dict[str, list[tuple[Callable[[ContractField], bool], str]]] = {
            "class": [(_is_class, "one of two categories or more")],
            "multi_label": [(_is_yes_or_no, "one of two categories")] * len(label.fields),
            "regression": [(_is_number, "a number")],
            "survival": [(_is_time, "a number in a unit of time"), (_is_yes_or_no, "one of two categories")],
            "mask": [],
        }
        for index, (name, (fits, what)) in enumerate(zip(label.fields, wanted[label.kind], strict=True)):
            yield from self._must(("label", "fields", index), table, name, f"labels of kind {label.kind}", fits, what)
            if name in table.names and table.field(name).privacy != "none":
                rule, finding = "What identifies people is no label", f"{name!r} has privacy {table.field(name).privacy}"
                yield self._problem("S-FIELD", ("label", "fields", index), rule, finding, "name a field of privacy none")

    def _patients(self, link: TableLink, table: Contract) -> Iterator[Problem]:
        """Both contracts tell patients apart by the same pseudonym."""
        own, location = self.contract.patient_key, ("patientKey",)
        if own not in ("PatientID", table.patient_key):
            rule = "Patients are told apart as in the table"
            finding = f"patientKey is {own!r}, and that of {table.id} is {table.patient_key!r}"
            yield self._problem("S-FIELD", location, rule, finding, f"write patientKey: {table.patient_key}")
        patient = link.keys.get("patient")
        if patient is not None and patient in table.names and patient != table.patient_key:
            rule = "The key of a patient is the table's patientKey"
            finding = f"{patient!r} is another field of {table.id}"
            yield self._problem("S-FIELD", ("table", "keys", "patient"), rule, finding, f"name {table.patient_key!r}")

    def _must(
        self, location: Location, table: Contract, name: str, who: str, fits: Callable[[ContractField], bool], what: str
    ) -> Iterator[Problem]:
        """A field is there and is what it has to be."""
        if name not in table.names:
            guess = nearest(name, table.names)
            next_step = f"did you mean {guess!r}?" if guess else f"name one of: {', '.join(table.names)}"
            finding = f"{table.id} {table.version} has no field {name!r}"
            yield self._problem("S-FIELD", location, "Images name fields of their table contract", finding, next_step)
        elif not fits(table.field(name)):
            field = table.field(name)
            kind = f"{len(field.values)} categories" if field.values else field.type
            finding = f"{name!r} is of {kind}, {'required' if field.required else 'not required'}, privacy {field.privacy}"
            yield self._problem("S-FIELD", location, f"Fields for {who} are {what}", finding, "name another field")


def _is_key(field: ContractField) -> bool:
    return field.type == "string" and not field.values and field.required and field.privacy == "pseudonym"


def _is_class(field: ContractField) -> bool:
    return len(field.values) >= _TWO


def _is_yes_or_no(field: ContractField) -> bool:
    return len(field.values) == _TWO


def _is_number(field: ContractField) -> bool:
    return field.type in ("integer", "number")


def _is_time(field: ContractField) -> bool:
    unit = units.table().get(field.unit or "")
    return unit is not None and unit.dimension == "time"
