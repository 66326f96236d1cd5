"""The records that a study may use: mapped, checked, selected, and split into training, validation and test.

    file ──> mapping ──> check ──> quarantine ──> cohort rule ──> target present ──> split by patient ──> canonical order
    images ──> index ──> judgement ──┘   (``silo_node.imaging.records``: records whose image is not fit are set aside, too)

The split is HMAC-SHA-256 of the patient key under the study's hash: it depends on neither the order of rows nor the
other records, and all records of a patient are on one side. The order within a side is that of the primary key's HMAC,
so that a re-export in another order trains the same model.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from silo_node.configuration import Site
from silo_node.validation.check import CheckFailed, CheckResult, check
from silo_node.validation.explained import explained
from silo_node.validation.expressions import RuleCompiler
from silo_node.validation.findings import Finding
from silo_node.validation.leakage import leaks, leaks_of_number
from silo_node.validation.result import late_finding, said_to_be_synthetic, with_findings
from wardround.canonical import canonical_bytes
from wardround.contract import rules
from wardround.contract.model import Contract
from wardround.contract.severities import setting_for
from wardround.errors import raise_all
from wardround.messages.data_report import DataReport
from wardround.study.check import problems
from wardround.study.model import Split, Study, TargetKind

if TYPE_CHECKING:
    from silo_node.imaging.records import ImageSet
    from wardround.contract.imaging import ImagingContract

FRACTION_BITS = 64
"""A patient's place in the split is the first 64 bits of the HMAC, as a fraction of 2**64."""

MOST_WITHOUT_TARGET = 0.5
"""Share of the selected records that may lack the target before it is told, unless the contract has another."""

_ONE_CLASS: Final = ("all selected records are of one class", "a hospital with one class cannot take part")
_SAME: Final[Mapping[TargetKind, tuple[str, str, str]]] = MappingProxyType(
    {
        "binary": ("The target has both classes", *_ONE_CLASS),
        "classes": ("The target has two classes or more", *_ONE_CLASS),
        "labels": (
            "A label has both classes at least",
            "all selected records are of one class, of each label",
            "a hospital with one class of each cannot take part",
        ),
        "number": (
            "The target has two values or more",
            "all selected records have the same",
            "a hospital with one value cannot take part",
        ),
    }
)
"""What is said of a target that is the same in all records, by what is predicted."""

_ORDER = "canonical order"
_SIDE = "side of the patient"  # with blanks, as no field of a contract has


@dataclass(frozen=True)
class Counts:
    """How many records were left after each step; local, never sent as they are.

    Attributes:
        found: in the table.
        quarantined: set aside by the check.
        not_selected: left out by the cohort rule, or unknown to it.
        without_target: left out because the target is missing; of several labels all, or in an evaluation one that few lack.
        train: for training.
        validation: for choosing the model.
        test: for the final figures.
    """

    found: int
    quarantined: int
    not_selected: int
    without_target: int
    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Cohort:
    """A study's records at one hospital; holds patient data.

    Attributes:
        train: the study's fields in schema form, in canonical order; ``(n_records, n_fields)``.
        validation: as ``train``.
        test: as ``train``.
        counts: how many records came this far.
        report: the check's result.
        fingerprint: SHA-256 over the content of the three parts, and of their images; for comparison inside the hospital only.
        images: of the records, where the study reads some.
    """

    train: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame
    counts: Counts
    report: CheckResult
    fingerprint: str
    images: ImageSet | None = None

    @property
    def outgoing(self) -> DataReport:
        """The check's report that may leave."""
        return self.report.outgoing


def study_fields(contract: Contract, study: Study, imaging: ImagingContract | None = None) -> tuple[str, ...]:
    """Give the fields that a study declares: keys, features, target and those of its cohort rule, in the contract's order.

    Of a study of images, those that name the images and their masks, too.
    """
    named = {*study.features, *study.target.fields, *contract.primary_key, contract.patient_key}
    if study.cohort.where is not None:
        named |= rules.fields(rules.parse(study.cohort.where, "cohort.where", "P-RULE"))
    if imaging is not None and imaging.table is not None:
        named |= set(imaging.table.keys.values())
        paths = (imaging.table.path, imaging.label.path if study.target.mask else None)
        named |= {name for name in paths if name is not None}
    return tuple(name for name in contract.names if name in named)


@dataclass(frozen=True)
class Checked:
    """The check of a study's records, and their images where it reads some."""

    result: CheckResult
    images: ImageSet | None = None


def check_for_study(
    site: Site, contract: Contract, study: Study, imaging: ImagingContract | None = None, *, profiled: bool = False
) -> Checked:
    """Check the records that a study declares, by the study's own limit of quarantine; ``profiled`` for the local report.

    Raises:
        Refused: P- codes when study and contract do not fit, M- codes when site file and contract do not, and of images
            D-FOLDER when their folder cannot be read.
    """
    raise_all(problems(study, contract, imaging))
    fields, limit = study_fields(contract, study, imaging), study.quarantine.max_fraction
    if imaging is None or study.images is None:
        result = check(site, contract, fields=fields, max_fraction=limit, profiled=profiled)
        return Checked(said_to_be_synthetic(result, site.policy().small_cell))
    from silo_node.imaging.records import check_with_images  # noqa: PLC0415  (pydicom, only where images are read)

    masks = study.target.mask
    result, images = check_with_images(site, contract, imaging, study.images, masks, fields, limit, profiled=profiled)
    return Checked(said_to_be_synthetic(result, site.policy().small_cell), images)


def assemble(site: Site, contract: Contract, study: Study, study_hash: str, imaging: ImagingContract | None = None) -> Cohort:
    """Read, check, select and split a hospital's records for a study.

    Args:
        site: the hospital.
        contract: the schema of records that the study's bundle brings.
        study: what is asked.
        study_hash: the bundle's hash, 64 hexadecimal digits; keys the split.
        imaging: the schema of images that the bundle brings, if it does.

    Raises:
        CheckFailed: the records do not pass (T- codes); T-QUARANTINE, T-LABELMISS, T-LABEL, T-FEW and T-LEAK among them.
        Refused: P- and M- codes.
    """
    return cohort_of(site, contract, study, study_hash, check_for_study(site, contract, study, imaging))


def cohort_of(site: Site, contract: Contract, study: Study, study_hash: str, checked: Checked) -> Cohort:
    """Select and split the records of a check that was just made for this study; see ``assemble``.

    Raises:
        CheckFailed: T- codes.
    """
    result = checked.result
    if not result.passed:
        raise CheckFailed(result)
    selected = _select(result.valid, contract, study)
    labelled = _labelled(selected, study.target.fields)
    empty = labelled.is_empty()
    missing = [each for name in study.target.fields for each in _missing_labels(result, contract, name, selected, empty=empty)]
    if missing:
        result = _with_late(site, result, contract, missing)
    train, validation, test = split(labelled, contract, study.split, study_hash)
    small_cell = site.policy().small_cell
    parts = train, _few_missing_left_out(validation, study, small_cell), _few_missing_left_out(test, study, small_cell)
    _enough(site, result, study, labelled, parts[0])
    late = [*_one_sided(result, study, labelled)]
    if study.features:
        late += [each for name in study.target.fields for each in _leaks(result, contract, study, name, labelled)]
    result = _with_late(site, result, contract, late)
    counts = Counts(
        found=result.found,
        quarantined=result.quarantined,
        not_selected=result.valid.height - selected.height,
        without_target=selected.height - sum(part.height for part in parts),
        train=parts[0].height,
        validation=parts[1].height,
        test=parts[2].height,
    )
    images = checked.images
    found = fingerprint(parts) if images is None else images.fingerprint(fingerprint(parts), parts)
    return Cohort(*parts, counts, result, found, images)


def _select(valid: pl.DataFrame, contract: Contract, study: Study) -> pl.DataFrame:
    """Keep the records for which the cohort rule is true; unknown is not true."""
    if study.cohort.where is None:
        return valid
    expression = rules.parse(study.cohort.where, "cohort.where", "P-RULE")
    return valid.filter(RuleCompiler(contract).truth(expression).fill_null(value=False))


def _labelled(records: pl.DataFrame, fields: tuple[str, ...]) -> pl.DataFrame:
    """Keep the records that have something to predict: a target, or one of several labels at least."""
    return records.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in fields)) if fields else records


def _few_missing_left_out(part: pl.DataFrame, study: Study, small_cell: int) -> pl.DataFrame:
    """Leave the records out of an evaluation in which one of several labels is missing that fewer than a small cell lack.

    How many records stand behind a label is told. So each is missing in none of those that are evaluated, or in many.
    """
    while few := [label.field for label in study.target.labels if 0 < part[label.field].null_count() < small_cell]:
        part = part.filter(pl.all_horizontal(pl.col(name).is_not_null() for name in few))
    return part


def _enough(site: Site, result: CheckResult, study: Study, labelled: pl.DataFrame, train: pl.DataFrame) -> None:
    policy = site.policy()
    least = policy.least_records
    if train.height < least:
        raise CheckFailed(
            with_findings(
                result,
                [
                    late_finding(
                        "T-FEW",
                        result,
                        train.height,
                        (
                            f"A hospital trains on at least {least} records (minimum_records and small_cell of its policy)",
                            f"{train.height} are left for training",
                            "export more records, or do not take part",
                        ),
                    )
                ],
                policy.small_cell,
            )
        )
    if study.target.fields and not _told_apart(study, labelled):
        rule, finding, step = _SAME[study.target.kind]
        raise CheckFailed(
            with_findings(
                result,
                [
                    late_finding(
                        "T-LABEL",
                        result,
                        labelled.height,
                        (rule, finding, f"check the mapping of the target and the cohort rule; {step}"),
                        field=study.target.field,
                    )
                ],
                policy.small_cell,
            )
        )


def _told_apart(study: Study, labelled: pl.DataFrame) -> tuple[str, ...]:
    """Name the fields of the target in which records differ: there is something to learn."""
    found = []
    for name in study.target.fields:
        positive, values = study.target.looked_for(name), labelled[name].drop_nulls()
        sides = values if positive is None else values == positive
        if sides.n_unique() > 1:
            found.append(name)
    return tuple(found)


def _one_sided(result: CheckResult, study: Study, labelled: pl.DataFrame) -> Iterator[Finding]:
    """Of several labels, one that is the same in all records is a warning: the others are learned here, and it elsewhere."""
    for label in study.target.labels:
        if label.field not in _told_apart(study, labelled) and labelled[label.field].count():
            yield late_finding(
                "T-LABEL",
                result,
                labelled[label.field].count(),
                (
                    "Each label has both classes",
                    "all selected records of which it is known are of one class",
                    "check the mapping of the label and the cohort rule; if it is right, other hospitals teach it",
                ),
                field=label.field,
                severity="warning",
            )


def _with_late(site: Site, result: CheckResult, contract: Contract, late: Iterable[Finding]) -> CheckResult:
    """Give the check with findings on the selected records; they are weighed and explained as all others.

    Raises:
        CheckFailed: one of them is an error.
    """
    found = explained(late, site, contract)
    if not found:
        return result
    result = with_findings(result, found, site.policy().small_cell)
    if not result.passed:
        raise CheckFailed(result)
    return result


def _missing_labels(
    result: CheckResult, contract: Contract, name: str, selected: pl.DataFrame, *, empty: bool
) -> Iterator[Finding]:
    """A target that most records lack is a warning; where all do, an error: there is nothing to learn from (``empty``)."""
    missing = selected[name].null_count()
    setting = setting_for(contract, "T-LABELMISS", (name,))
    most = MOST_WITHOUT_TARGET if setting is None or setting.max_fraction is None else setting.max_fraction
    if missing <= most * selected.height:
        return
    severity = "warning" if setting is None or setting.severity is None else setting.severity
    yield late_finding(
        "T-LABELMISS",
        result,
        missing,
        (
            f"At most {most:.2%} of the selected records lack the target",
            f"{missing} of {selected.height} do",
            "check the mapping of the target, its marks for missing and the cohort rule",
        ),
        field=name,
        severity="error" if empty else severity,
    )


def _leaks(result: CheckResult, contract: Contract, study: Study, target: str, selected: pl.DataFrame) -> Iterator[Finding]:
    labelled, sought = selected.filter(pl.col(target).is_not_null()), study.target.looked_for(target)
    if study.target.number:
        told = list(leaks_of_number(labelled, contract, study.features, target))
    else:
        sides = contract.field(target).values if sought is None else (sought,)
        told = [leak for side in sides for leak in leaks(labelled, contract, study.features, target, side)]
    tells = "number" if study.target.number else "class"
    for leak in {each.field: each for each in told}.values():  # of several classes, each is told from the others
        setting = setting_for(contract, "T-LEAK", (leak.field,))
        usual: Literal["error", "warning"] = "error" if leak.same and not contract.field(leak.field).investigative else "warning"
        yield late_finding(
            "T-LEAK",
            result,
            labelled.height,
            (
                f"{leak.field} does not give {target} away",
                "it is the target under another name" if leak.same else f"it tells the {tells} of each of the selected records",
                "check the mapping of both; if it is right, the feature is known only once the target is: ask the study's author",
            ),
            field=leak.field,
            severity=usual if setting is None or setting.severity is None else setting.severity,
        )


# --------------------------------------------------------------------------------------------------------------- split


def split(
    records: pl.DataFrame, contract: Contract, shares: Split, study_hash: str
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Give training, validation and test records, each in canonical order.

    Args:
        records: with the contract's keys, none of them missing.
        contract: names the patient key and the primary key.
        shares: of patients.
        study_hash: 64 hexadecimal digits.
    """
    key = bytes.fromhex(study_hash)
    patients = records[contract.patient_key].unique()
    places = [_place(key, str(patient)) for patient in patients]
    sides = pl.DataFrame({contract.patient_key: patients, _SIDE: [_side(place, shares) for place in places]})
    ordered = (
        records.with_columns(pl.Series(_ORDER, _order(key, records.select(contract.primary_key)), dtype=pl.String))
        .join(sides, on=contract.patient_key, how="left")
        .sort(_ORDER)
        .drop(_ORDER)
    )
    train, validation, test = (ordered.filter(pl.col(_SIDE) == side).drop(_SIDE) for side in ("train", "validation", "test"))
    return train, validation, test


def _place(key: bytes, patient: str) -> int:
    digest = hmac.digest(key, patient.encode(), "sha256")
    return int.from_bytes(digest[: FRACTION_BITS // 8], "big")


def _side(place: int, shares: Split) -> str:
    if place < round(shares.train * 2**FRACTION_BITS):
        return "train"
    # Without a test share every other patient validates, however the decimal shares round.
    if shares.test == 0 or place < round((shares.train + shares.validation) * 2**FRACTION_BITS):
        return "validation"
    return "test"


def _order(key: bytes, keys: pl.DataFrame) -> list[str]:
    """Give the HMAC of each record's primary key, in hexadecimal digits."""
    texts = keys.with_columns(pl.all().cast(pl.String))
    return [hmac.digest(key, canonical_bytes(list(row)), "sha256").hex() for row in texts.iter_rows()]


# --------------------------------------------------------------------------------------------------------- fingerprint


def fingerprint(parts: Iterable[pl.DataFrame]) -> str:
    """Give the SHA-256 over the content of tables: names, types, which values are missing, values."""
    found = hashlib.sha256(b"wardround/cohort/1\0")
    for part in parts:
        found.update(part.height.to_bytes(8, "big"))
        for column in part.iter_columns():
            found.update(f"{column.name}\0{column.dtype}\0".encode())
            found.update(np.packbits(column.is_null().to_numpy()).tobytes())
            found.update(_content(column))
    return found.hexdigest()


def _content(column: pl.Series) -> bytes:
    if column.dtype == pl.String:
        texts = [text.encode() for text in column.fill_null("")]
        return b"".join(len(text).to_bytes(8, "big") + text for text in texts)
    if column.dtype == pl.Float64:
        return (column.fill_null(0.0).to_numpy().astype("<f8") + 0.0).tobytes()  # one zero
    return column.cast(pl.Int64).fill_null(0).to_numpy().astype("<i8").tobytes()
