"""Records and their images: which valid records have an image that is fit, and how it is read for training.

    table ──check──> valid records ──┐
    images ──index, judgement──> fit, or set aside by code ──┴──by key──> records with an image; the others are set aside, too

Where the imaging contract names no table, the table that it implies is made of the images themselves.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from silo_node.configuration import Site
from silo_node.imaging import rules
from silo_node.imaging.join import NO_IMAGE
from silo_node.imaging.keyed import Keyed, dicom_by_key, files_by_key, with_rows, without_unpreparable
from silo_node.imaging.loaded import Loaded
from silo_node.imaging.preparable import UNPREPARABLE
from silo_node.mapping.cells import LOCAL
from silo_node.sources.rows import held
from silo_node.validation.check import check
from silo_node.validation.findings import Finding
from silo_node.validation.records import Records, Typed
from silo_node.validation.result import CheckResult, Valid, late_finding, outgoing_report
from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Contract
from wardround.errors import Refused, refuse
from wardround.study.images import Images
from wardround.study.transforms import times


@dataclass(frozen=True)
class ImageSet:
    """The images of a hospital's records; holds patient data.

    Attributes:
        contract: that they obey.
        key: the field of a record that names its image.
        keyed: every image by that key, fit or not.
    """

    contract: ImagingContract
    key: str
    keyed: Keyed

    def loaders(self, records: pl.DataFrame) -> list[Callable[[], Loaded]]:
        """Give how the image of each record is read, in their order."""
        return [self.keyed.fit[key].read for key in records[self.key]]

    def fingerprint(self, records: str, parts: Iterable[pl.DataFrame]) -> str:
        """Give the SHA-256 over the records' own fingerprint, and the bytes of each record's files.

        Raises:
            Refused: D-FOLDER when a file is not what it was when it was looked at.
        """
        found = hashlib.sha256(f"wardround/images/1\0{records}".encode())
        for part in parts:
            for key in part[self.key]:
                fit = self.keyed.fit[key]
                for path in fit.files:
                    found.update(_digest(path))
                if not fit.unchanged:
                    raise changed()
        return found.hexdigest()


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:  # it was there when it was looked at
        raise changed() from None


def changed() -> Refused:
    """Give what is said where an image is not what it was when it was looked at."""
    return refuse(
        "D-FOLDER",
        "images",
        "The folder of images stays as it is while it is checked",
        "an image that was fit is missing now, is another, or cannot be read",
        "let the export end, then check again",
    )


def check_with_images(
    site: Site,
    contract: Contract,
    imaging: ImagingContract,
    preparation: Images,
    masks: Sequence[str],
    fields: Sequence[str],
    limit: float,
    *,
    profiled: bool = False,
) -> tuple[CheckResult, ImageSet]:
    """Check a study's records and their images; records without an image that is fit are set aside.

    Args:
        site: the hospital.
        contract: of the records: the one that ``imaging`` names, or implies.
        imaging: of the images.
        preparation: what the study asks of them; one that it will refuse is not fit.
        masks: classes that are wanted of masks, in order; none where no mask is read.
        fields: of the records that are needed.
        limit: the share of records that may be set aside.
        profiled: whether to describe each field's values too.

    Raises:
        Refused: M- codes, D-FOLDER, X-USAGE.
    """
    link = imaging.table
    if link is None:
        (field,) = contract.primary_key
        keyed = dicom_by_key(site, imaging, imaging.example, field, masks)
        result = _implied(contract, keyed, site.policy().small_cell)
    else:
        result = check(site, contract, fields=fields, max_fraction=limit, profiled=profiled)
        if link.path is not None:
            keyed = files_by_key(site, imaging, link.path, result.valid, masks)
        else:
            keyed = dicom_by_key(site, imaging, link.grain, link.keys[link.grain], masks)
            keyed = with_rows(keyed, link, result.valid, contract.patient_key)
    keyed = without_unpreparable(keyed, preparation, imaging.geometry.dimensions)
    images = ImageSet(imaging, keyed.field, keyed)
    return _with_images(result, images, limit, site.policy().small_cell), images


def _implied(contract: Contract, keyed: Keyed, small_cell: int) -> CheckResult:
    """Make the records of the images themselves: all of them, fit or not."""
    keys = sorted({*keyed.fit, *keyed.aside})
    frame = pl.DataFrame(
        {contract.patient_key: [keyed.patients[key] for key in keys], keyed.field: keys},
        schema={contract.patient_key: pl.String, keyed.field: pl.String},
    ).select(contract.names)
    records = Records(held(frame), {name: pl.col(LOCAL + name) for name in contract.names})
    everything = pl.Series([True]).new_from_index(0, len(keys)) if keys else pl.Series([], dtype=pl.Boolean)
    return CheckResult(
        contract=contract,
        findings=(),
        found=len(keys),
        quarantined=0,
        quarantined_by_code={},
        quarantined_places=(),
        unit="row",
        records=Valid(Typed(contract.names, records), everything),
        passed=True,
        outgoing=outgoing_report(contract, (), found=len(keys), quarantined=0, passed=True, small_cell=small_cell),
    )


def _with_images(result: CheckResult, images: ImageSet, limit: float, small_cell: int) -> CheckResult:
    """Set aside the records without an image that is fit, each under every code that speaks against it."""
    keys = list(result.valid[images.key])
    fit = pl.Series([key in images.keyed.fit for key in keys], dtype=pl.Boolean)
    counts = Counter(code for key in keys if key not in images.keyed.fit for code in images.keyed.aside.get(key, (NO_IMAGE,)))
    aside = len(keys) - int(fit.sum())
    if not aside and len(keys) >= images.contract.minimum_examples:
        return result
    quarantined = result.quarantined + aside
    findings = [_finding(result, code, count, images) for code, count in sorted(counts.items())]
    if quarantined > limit * result.found and all(each.code != "T-QUARANTINE" for each in result.findings):
        most = f"At most {limit:.2%} of the records are set aside" if limit else "No record is set aside"
        step = "see which images are set aside, and why: wardround silo check --schema with the contract of the images"
        words = (most, f"{quarantined} of {result.found} are", step)
        findings.append(late_finding("T-QUARANTINE", result, quarantined, words, level="share"))
    left = len(keys) - aside
    if left < images.contract.minimum_examples:
        least = f"At least {images.contract.minimum_examples} valid records with an image are needed"
        step = "export more images, or do not take part"
        findings.append(late_finding("T-FEW", result, left, (least, f"{left} are there", step)))
    return _counted(result, findings, _kept(result, fit), quarantined, counts, small_cell)


def _kept(result: CheckResult, fit: pl.Series) -> Valid:
    """Give the valid records for which ``fit`` holds."""
    chosen = result.records.chosen
    places = chosen.arg_true().filter(fit)
    kept = pl.Series([False]).new_from_index(0, len(chosen)) if len(chosen) else chosen
    return Valid(result.records.typed, kept.scatter(places, values=True) if len(places) else kept)


def _counted(
    result: CheckResult,
    later: Sequence[Finding],
    records: Valid,
    quarantined: int,
    counts: Mapping[str, int],
    small_cell: int,
) -> CheckResult:
    findings = tuple(sorted((*result.findings, *later), key=lambda finding: finding.severity))  # errors before warnings
    passed = result.passed and all(each.severity != "error" or each.level == "record" for each in later)
    report = outgoing_report(
        result.contract, findings, found=result.found, quarantined=quarantined, passed=passed, small_cell=small_cell
    )
    return replace(
        result,
        findings=findings,
        quarantined=quarantined,
        quarantined_by_code={**result.quarantined_by_code, **counts},
        records=records,
        passed=passed,
        outgoing=report,
    )


def _finding(result: CheckResult, code: str, count: int, images: ImageSet) -> Finding:
    """Say of how many records the image has a fault; which files have it, the check of images says at the hospital.

    That check knows no study: of what a study's preparation refuses the largest is told by its size, by which it can be found.
    """
    finding = f"the images of {count} of {result.found} records break this"
    if code == UNPREPARABLE:
        finding += f", the largest of {times(max(images.keyed.unpreparable, key=math.prod))}"
    words = (rules.rule(code, images.contract), finding, rules.NEXT[code])
    return late_finding(code, result, count, words, level="record")
