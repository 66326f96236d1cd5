"""What a check is asked: a schema, or what a study declares of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from silo_node.cohort import check_for_study, cohort_of, study_fields
from silo_node.configuration import Site
from silo_node.validation.check import check
from silo_node.validation.result import CheckFailed, CheckResult, said_to_be_synthetic
from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Contract
from wardround.study.model import Study


@dataclass(frozen=True)
class Question:
    """A schema, and the study if it is asked for one.

    Attributes:
        study_hash: divides the patients; 64 hexadecimal digits.
        imaging: the contract of the images, where the study reads some.
    """

    contract: Contract
    study: Study | None = None
    study_hash: str = "0" * 64
    imaging: ImagingContract | None = None

    @property
    def study_name(self) -> str | None:
        """The study's name, if there is one."""
        return None if self.study is None else self.study.name

    @property
    def fields(self) -> Sequence[str] | None:
        """The fields that are needed; nothing where all are."""
        return None if self.study is None else study_fields(self.contract, self.study, self.imaging)

    def answer(self, site: Site, *, profiled: bool = False) -> CheckResult:
        """Check a hospital's records, up to the study's own limits of what is left of them.

        Raises:
            Refused: P- and M- codes.
        """
        if self.study is None:
            return said_to_be_synthetic(check(site, self.contract, profiled=profiled), site.policy().small_cell)
        checked = check_for_study(site, self.contract, self.study, self.imaging, profiled=profiled)
        if not checked.result.passed:
            return checked.result
        try:
            return cohort_of(site, self.contract, self.study, self.study_hash, checked).report
        except CheckFailed as failure:
            return failure.result
