"""What a check of a folder of images found, worst first: the one source of the table, the page and the JSON report.

It holds codes, counts and the contract's words. Names of files stand beside them for the hospital's own eyes, on the terminal and
the page, and never in the JSON; values of elements stand nowhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from silo_node.dicom.basic_profile import profile
from silo_node.dicom.traces import Summary, summed
from silo_node.imaging import rules
from silo_node.imaging.file_judge import FileExample, FileJudgement
from silo_node.imaging.judge import FIRST, Example, Joined, Judgement
from wardround.canonical import model_json
from wardround.contract.imaging import ImagingContract

if TYPE_CHECKING:
    from wardround.canonical import Json

FORMAT: Final = 1
"""Of the JSON report."""

Standing: TypeAlias = Literal["sets examples aside", "damaged", "fails the check in consequence", "warning", "no fault"]
STANDINGS: Final[tuple[Standing, ...]] = get_args(Standing)
"""What a finding does, worst first."""

HARMLESS: Final = "D-NOTDICOM"
"""Of what cannot be read, what no one expects to be an image."""


@dataclass(frozen=True)
class Finding:
    """One code.

    Attributes:
        count: of how many examples, or files, it is said.
        of: how many there are.
        unit: ``examples``, ``files``, ``rows`` of the table.
        where: the first files.
        rule: what should hold.
        next_step: what to do.
    """

    code: str
    standing: Standing
    count: int
    of: int
    unit: Literal["examples", "files", "rows"]
    where: tuple[str, ...]
    rule: str
    next_step: str


@dataclass(frozen=True)
class Tried:
    """How many images were decoded to see whether they do, of how many."""

    images: int
    of: int


@dataclass(frozen=True)
class Broken:
    """An element that the contract requires or forbids, and how many images it is lacking in, or stands in."""

    keyword: str
    required: bool
    images: int


@dataclass(frozen=True)
class Report:
    """What became of every file and example.

    Attributes:
        contract: that the folder was held against.
        source: the folder's key in the site file.
        judgement: every file and example.
        findings: worst first.
        skipped: links and the like, which are no files and were not followed.
        tried: of the images of the contract's kind.
        max_fraction: the most that may be set aside.
        passed: whether the folder is in order.
        not_looked_at: what the contract asks for and this check does not look at.
        privacy: what a de-identifier must still remove from the images of the contract's kind, by tag; ``None`` of files that
            are no DICOM, whose metadata is D-METADATA.
        tags: what breaks the contract's ``tags``, the most frequent first.
        kept: attributes of the profile's list that the policy lets stand, as the contract requires them.
    """

    contract: ImagingContract
    source: str
    judgement: Judgement | FileJudgement
    findings: tuple[Finding, ...]
    skipped: int
    tried: Tried
    max_fraction: float
    passed: bool
    not_looked_at: tuple[str, ...]
    privacy: Summary | None
    tags: tuple[Broken, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def damaged(self) -> int:
        """Files that are DICOM, or cannot be opened, and cannot be read."""
        if isinstance(self.judgement, FileJudgement):
            return 0
        return sum(self.judgement.unreadable.values()) - self.judgement.unreadable.get(HARMLESS, 0)


def make_report(
    contract: ImagingContract,
    source: str,
    judgement: Judgement,
    skipped: int,
    tried: Tried,
    max_fraction: float,
    kept: tuple[str, ...] = (),
) -> Report:
    """Put a judgement in words, and say whether the folder is in order.

    It is when no more examples are set aside, and no more files are damaged, than the share that is allowed, and enough are fit.
    A row without an image is an example that is set aside, for there should be one.
    """
    rows = judgement.rows
    missing = 0 if rows is None else rows.without + rows.refused
    found, aside, fit = len(judgement.examples) + missing, len(judgement.aside) + missing, len(judgement.fit)
    unreadable = judgement.unreadable
    damaged = sum(unreadable.values()) - unreadable.get(HARMLESS, 0)
    files = judgement.files - unreadable.get(HARMLESS, 0)
    findings = [*_of_examples(judgement.examples, contract), *_of_files(judgement, contract), *_of_rows(rows, contract)]
    consequence = _limits(found, aside, fit, contract, max_fraction)
    if rows is not None and not rows.in_order:
        words = rules.rule("D-TABLE", contract), rules.NEXT["D-TABLE"]
        consequence.append(Finding("D-TABLE", "fails the check in consequence", rows.refused, rows.found, "rows", (), *words))
    most = f"{100 * max_fraction:g} %"
    if damaged > max_fraction * files:
        rule, step = (
            f"At most {most} of the DICOM files are damaged",
            "export the damaged files again, or take them out of the folder",
        )
        consequence.append(Finding("D-QUARANTINE", "fails the check in consequence", damaged, files, "files", (), rule, step))
    return Report(
        contract,
        source,
        judgement,
        _worst_first([*findings, *consequence]),
        skipped,
        tried,
        max_fraction,
        not consequence,
        rules.not_looked_at(contract, joined=rows is not None),
        summed(judgement.traces.values(), profile(contract.privacy.profile)),
        _broken(judgement, contract),
        kept,
    )


def make_file_report(
    contract: ImagingContract, source: str, judgement: FileJudgement, skipped: int, tried: Tried, max_fraction: float
) -> Report:
    """Put a judgement of files that a table names in words; in order as in ``make_report``, and only if the table is."""
    found, aside, fit = len(judgement.examples), len(judgement.aside), len(judgement.fit)
    findings = _of_examples(judgement.examples, contract)
    consequence = _limits(found, aside, fit, contract, max_fraction)
    if not judgement.in_order:
        code, refused = "D-TABLE", sum("D-ROW" in example.codes for example in judgement.examples)
        words = rules.rule(code, contract), rules.NEXT[code]
        consequence.append(Finding(code, "fails the check in consequence", refused, found, "examples", (), *words))
    if judgement.unnamed:
        code = "D-UNNAMED"
        words = rules.rule(code, contract), rules.NEXT[code]
        first = judgement.first.get(code, ())
        findings.append(Finding(code, "no fault", judgement.unnamed, judgement.files, "files", first, *words))
    return Report(
        contract,
        source,
        judgement,
        _worst_first([*findings, *consequence]),
        skipped,
        tried,
        max_fraction,
        not consequence,
        (),
        None,
    )


def _limits(found: int, aside: int, fit: int, contract: ImagingContract, max_fraction: float) -> list[Finding]:
    """Say which limits of examples are passed."""
    consequence: list[Finding] = []
    if aside > max_fraction * found:
        rule = f"At most {100 * max_fraction:g} % of the examples are set aside"
        step = "mend what sets them aside, the most frequent first"
        consequence.append(Finding("D-QUARANTINE", "fails the check in consequence", aside, found, "examples", (), rule, step))
    if fit < max(contract.minimum_examples, 1):
        rule = f"{max(contract.minimum_examples, 1)} or more examples are fit"
        step = "see whether the export ran, and whether the folder is of this contract's images"
        consequence.append(Finding("D-FEW", "fails the check in consequence", fit, found, "examples", (), rule, step))
    return consequence


def _worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda each: (STANDINGS.index(each.standing), -each.count, each.code)))


def _of_examples(examples: Sequence[Example] | Sequence[FileExample], contract: ImagingContract) -> list[Finding]:
    counts = Counter[tuple[str, Standing]]()
    where: dict[tuple[str, Standing], tuple[str, ...]] = {}
    for example in examples:
        told: list[tuple[str, Standing]] = [(code, "sets examples aside") for code in example.codes]
        told += [(code, "warning") for code in example.warnings]
        counts.update(told)
        for each in told:
            if example.at[each[0]]:
                where[each] = (*where.get(each, ()), example.at[each[0]])[:FIRST]
    found = len(examples)
    return [
        Finding(
            code,
            standing,
            count,
            found,
            "examples",
            where.get((code, standing), ()),
            rules.rule(code, contract),
            rules.NEXT[code],
        )
        for (code, standing), count in counts.items()
    ]


def _of_files(judgement: Judgement, contract: ImagingContract) -> list[Finding]:
    counts: list[tuple[str, int, Standing]] = [
        (code, count, "no fault" if code == HARMLESS else "damaged") for code, count in judgement.unreadable.items()
    ]
    if judgement.objects:
        counts.append(("D-OBJECT", judgement.objects, "no fault"))
    if judgement.strays:
        counts.append(("D-MASKSTRAY", judgement.strays, "warning"))
    counts += [(code, count, "no fault") for code, count in judgement.other.items()]
    return [
        Finding(
            code, standing, count, judgement.files, "files", judgement.first[code], rules.rule(code, contract), rules.NEXT[code]
        )
        for code, count, standing in counts
    ]


def _of_rows(rows: Joined | None, contract: ImagingContract) -> list[Finding]:
    if rows is None:
        return []
    counts = (("D-NOIMAGE", rows.without), ("D-ROW", rows.refused))
    return [
        Finding(code, "sets examples aside", count, rows.found, "rows", (), rules.rule(code, contract), rules.NEXT[code])
        for code, count in counts
        if count
    ]


def _broken(judgement: Judgement, contract: ImagingContract) -> tuple[Broken, ...]:
    counts = Counter(keyword for keywords in judgement.tags.values() for keyword in keywords)
    return tuple(Broken(keyword, keyword in contract.tags.required, count) for keyword, count in counts.most_common())


def as_json(report: Report) -> dict[str, Json]:
    """Give the report as plain JSON, without any name of a file."""
    judgement, contract = report.judgement, report.contract
    return {
        "kind": "local-image-check-report",
        "format": FORMAT,
        "schema": {"id": contract.id, "version": contract.version, "hash": contract.contract_hash()},
        "source": report.source,
        "passed": report.passed,
        "max_fraction": report.max_fraction,
        "files": {**_files_json(judgement), "skipped": report.skipped},
        "examples": {
            "are": contract.example,
            "found": len(judgement.examples),
            "fit": len(judgement.fit),
            "set_aside": len(judgement.aside),
        },
        "decoded": {"images": report.tried.images, "of": report.tried.of},
        "findings": [
            {
                "code": each.code,
                "standing": each.standing,
                "count": each.count,
                "of": each.of,
                "unit": each.unit,
                "rule": each.rule,
                "next_step": each.next_step,
            }
            for each in report.findings
        ],
        "privacy": None if report.privacy is None else model_json(report.privacy),
        "tags": [{"keyword": each.keyword, "required": each.required, "images": each.images} for each in report.tags],
        "kept": list(report.kept),
        "rows": None if isinstance(judgement, FileJudgement) or judgement.rows is None else _rows_json(judgement.rows),
        "not_looked_at": list(report.not_looked_at),
    }


def _rows_json(rows: Joined) -> dict[str, Json]:
    return {
        "found": rows.found,
        "refused": rows.refused,
        "without_image": rows.without,
        "with_several": rows.with_several,
        "used": rows.used,
    }


def _files_json(judgement: Judgement | FileJudgement) -> dict[str, Json]:
    if isinstance(judgement, FileJudgement):
        return {"found": judgement.files, "unnamed": judgement.unnamed}
    return {
        "found": judgement.files,
        "unreadable": dict(sorted(judgement.unreadable.items())),
        "no_images": judgement.objects,
        "of_another_kind": dict(sorted(judgement.other.items())),
        "images": judgement.images,
        "segmentations": judgement.masks,
    }
