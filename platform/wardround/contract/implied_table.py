"""The table contract of images that need no table: one row an image or series, with whose it is and nothing else.

It is made of the contract of images alone, the same everywhere, and its records are made of the images themselves. So what holds
of records (keys, split by patient, quarantine, the report that leaves) holds of such images too.
"""

from __future__ import annotations

from typing import Final

from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Constraints, Contract, ContractField, Limits

PATIENT: Final = "patient"
"""The field that holds Patient ID."""

_TITLES: Final = {"series": "Series Instance UID", "image": "SOP Instance UID"}


def implied_table(contract: ImagingContract) -> Contract:
    """Give the table contract that a contract of images without a table implies."""
    return Contract(
        kind="table",
        id=f"{contract.id}.examples",
        version=contract.version,
        status=contract.status,
        title=contract.title,
        row_grain=f"one row per {contract.example}",
        primary_key=(contract.example,),
        patient_key=PATIENT,
        fields=(_key(contract.example, _TITLES[contract.example]), _key(PATIENT, "Patient ID")),
        limits=Limits(min_records=contract.minimum_examples),
    )


def _key(name: str, title: str) -> ContractField:
    return ContractField(name=name, title=title, type="string", constraints=Constraints(required=True), privacy="pseudonym")
