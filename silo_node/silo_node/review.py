"""What a person looks at before a study is approved: who asks, which records, what is computed, what leaves, what changed.

Nothing here changes anything. Counts of the hospital's own records are shown as they would be to the outside: a small one
is withheld.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from silo_node.data_key import keyed_fingerprint
from silo_node.example import Example, lines
from silo_node.joining import load_joined
from silo_node.policy import DISTRIBUTIONS_TOLD, SHOWN_TO_OTHERS, DistributionsFor
from silo_node.porter.approvals import INBOX, given_approval, given_approvals
from silo_node.porter.manifest import EgressManifest, Figure, egress_manifest
from silo_node.porter.policy_check import schema_differences
from wardround.canonical import Json, model_json
from wardround.errors import Refused
from wardround.identity.approval import AnyApproval, Approval
from wardround.messages.round import FiguresFor
from wardround.study.author_commands import author_json
from wardround.study.bundle import SUFFIX, Bundle, read_bundle
from wardround.study.difference import Difference, differences
from wardround.study.networks import words_of

if TYPE_CHECKING:
    from silo_node.changed.picture import Taken
    from silo_node.configuration import Site
    from wardround.identity.roster import Member

MOST_SHOWN = 12
USUAL_DAYS = 180
"""How long an approval holds where nothing else is said."""
LONGEST_VALUE = 60
NARROWEST = 40
"""Columns beside the labels below which nothing is folded."""


@dataclass(frozen=True)
class Records:
    """How many of the hospital's records would take part now; None for a small count. ``codes`` say why there are none.

    ``data``: their keyed fingerprint; ``picture``: what is kept of them for an approval.
    """

    found: int | None = None
    valid: int | None = None
    train: int | None = None
    validation: int | None = None
    test: int | None = None
    data: str | None = None
    withheld_below: int = 0
    codes: tuple[str, ...] = ()
    synthetic: bool = False
    picture: Taken | None = None

    def as_json(self) -> dict[str, Json]:
        """Give the counts for programs; null is withheld."""
        if self.codes:
            return {"codes": list(self.codes)}
        parts: dict[str, Json] = {"train": self.train, "validation": self.validation, "test": self.test}
        rest: dict[str, Json] = {"withheld_below": self.withheld_below, "synthetic": self.synthetic}
        return {"found": self.found, "valid": self.valid, **parts, **rest, "fingerprint": self.data}

    def words(self) -> str:
        """Say the counts."""
        if self.codes:
            return f"cannot take part now: {', '.join(self.codes)} (wardround silo check says more)"
        train, validation, test = (self._count(each) for each in (self.train, self.validation, self.test))
        made_up = "SYNTHETIC, NO PATIENTS: " if self.synthetic else ""
        return (
            f"{made_up}{self._count(self.found)} found, {self._count(self.valid)} valid; of them {train} for training, "
            f"{validation} for validation, {test} for the test"
        )

    def _count(self, count: int | None) -> str:
        return f"fewer than {self.withheld_below}" if count is None else str(count)


@dataclass(frozen=True)
class Ending:
    """An exception of the site file that the study needs, and that ends while an approval still holds.

    Attributes:
        code: of the finding that it explains.
        about: the shared field, or the schema's rule.
        until: its last day.
        approval: the last day of the approval, the one that stands or the usual one from today.
    """

    code: str
    about: str
    until: str
    approval: str


@dataclass(frozen=True)
class Changes:
    """What is not as in the version of the study that was approved last."""

    since: AnyApproval
    found: list[Difference]


@dataclass(frozen=True)
class Review:
    """Everything that a person decides about.

    Attributes:
        known_centre: whether the centre is the one that was joined; None: none was.
        share_metrics: whom the hospital's policy of now lets see its own figures.
        share_distributions: whom that policy lets see how its fields are distributed.
        other_schema: where the schema differs from the installed one of its name and version; None: none is installed.
        approved: the approval of exactly this study that stands here now, if there is one.
        ending: the hospital's exceptions that end before an approval does.
    """

    bundle: Bundle
    manifest: EgressManifest
    known_centre: bool | None
    share_metrics: FiguresFor
    share_distributions: DistributionsFor
    records: Records | None
    changes: Changes | None
    other_schema: list[Difference] | None
    approved: Approval | None
    ending: tuple[Ending, ...] = ()
    example: Example | None = None

    @property
    def same_records(self) -> bool | None:
        """Whether the records are those of the study's approval here; None where nobody can tell."""
        approved = None if self.approved is None else self.approved.data.fingerprint
        now = None if self.records is None else self.records.data
        return None if approved is None or now is None else approved == now

    def as_json(self) -> dict[str, Json]:
        """Give it for programs."""
        bundle = self.bundle
        coordinator = bundle.roster.coordinator
        return {
            "study_hash": bundle.study_hash,
            "study": model_json(bundle.study),
            "roster": model_json(bundle.roster),
            "contract_hash": bundle.schema.contract_hash(),
            "installed_schema_differs": None if self.other_schema is None else [each.as_json() for each in self.other_schema],
            "signatures": {
                "author": author_json(bundle),
                "coordinator": None
                if bundle.submission is None
                else {"name": coordinator.name, "fingerprint": coordinator.fingerprint, "joined": self.known_centre},
            },
            "weights": bundle.manifest.size,
            "bytes_each_round": bundle.manifest.byte_count,
            "packages": dict(bundle.versions.packages),
            "joined_centre_asks": self.known_centre,
            "leaves": model_json(self.manifest),
            "egress_digest": self.manifest.egress_digest(),
            "share_metrics": self.share_metrics,
            "share_distributions": self.share_distributions,
            "records": None if self.records is None else self.records.as_json(),
            "example": None if self.example is None else model_json(self.example),
            "records_as_approved": self.same_records,
            "exceptions_ending": [asdict(each) for each in self.ending],
            "changes": None
            if self.changes is None
            else {
                "since_study_hash": self.changes.since.study_hash,
                "since": self.changes.since.approved_at,
                "differences": [each.as_json() for each in self.changes.found],
            },
        }


def review_study(
    site: Site, bundle: Bundle, identity: Member, *, count: bool, days: int | None = None, picture: bool = False
) -> Review:
    """Look at a study for a hospital.

    Args:
        site: the hospital.
        bundle: the study.
        identity: the hospital's.
        count: whether its records are read and checked as for training.
        days: how long the approval that is asked for will hold; the one that stands, or else the usual one, when not given.
        picture: whether what the records look like is taken down, for an approval.
    """
    approved = given_approval(site.folder, identity, bundle.study_hash)
    return Review(
        bundle=bundle,
        manifest=egress_manifest(bundle),
        known_centre=_is_joined(site.folder, bundle),
        share_metrics=site.policy().share_metrics,
        share_distributions=site.policy().share_distributions,
        records=_records(site, bundle, picture=picture) if count else None,
        changes=_changes(site.folder, bundle, identity),
        other_schema=schema_differences(bundle.schema),
        approved=approved,
        ending=tuple(_ending(site, bundle, approved, days)),
    )


def _is_joined(folder: Path, bundle: Bundle) -> bool | None:
    try:
        joined = load_joined(folder)
    except Refused:
        return None
    return joined.coordinator.signing_key == bundle.roster.coordinator.signing_key


def _ending(site: Site, bundle: Bundle, approved: Approval | None, days: int | None) -> Iterator[Ending]:
    """Find the exceptions that count today and no longer at the approval's end; a node that starts after that refuses."""
    contract, today = bundle.contract, datetime.now().astimezone().date()
    mapping = site.file.schemas.get(contract.id)
    end = today + timedelta(days=USUAL_DAYS if days is None else days)
    if approved is not None and days is None:
        end = datetime.fromisoformat(approved.expires_at).astimezone().date()
    found = [each for each in (mapping.exceptions if mapping else ()) if today <= date.fromisoformat(each.until) < end]
    if not found:
        return
    from silo_node.cohort import study_fields  # noqa: PLC0415  (polars)

    known = {*study_fields(contract, bundle.study, bundle.imaging), *(rule.id for rule in contract.rules)}
    for each in found:
        about = each.rule if each.field is None else each.field
        if about in known:
            yield Ending(each.code, about, each.until, end.isoformat())


def _records(site: Site, bundle: Bundle, *, picture: bool) -> Records:
    from silo_node.changed.picture import take  # noqa: PLC0415  (polars, only where records are read)
    from silo_node.cohort import assemble  # noqa: PLC0415
    from silo_node.validation.result import CheckFailed  # noqa: PLC0415

    try:
        cohort = assemble(site, bundle.contract, bundle.study, bundle.study_hash, bundle.imaging)
        data = keyed_fingerprint(site.folder, cohort.fingerprint)
    except CheckFailed as failure:
        return Records(codes=tuple(sorted(set(failure.codes))))
    except Refused as refused:
        return Records(codes=tuple(sorted(set(refused.codes))))
    counts, least = cohort.counts, site.policy().small_cell
    valid = counts.found - counts.quarantined

    def shown(number: int) -> int | None:
        return None if 0 < number < least else number

    return Records(
        found=shown(counts.found),
        valid=shown(valid),
        train=shown(counts.train),
        validation=shown(counts.validation),
        test=shown(counts.test),
        data=data,
        withheld_below=least,
        synthetic=cohort.report.synthetic,
        picture=take(site.folder, cohort, bundle.contract, bundle.study, bundle.study_hash, data) if picture and data else None,
    )


def _changes(folder: Path, bundle: Bundle, identity: Member) -> Changes | None:
    """Compare with the study of the same name that was approved last and whose bundle is still in the inbox."""
    for approval in reversed(given_approvals(folder, identity)):
        if approval.study_hash == bundle.study_hash:
            continue
        try:
            before = read_bundle(folder / INBOX / f"{approval.study_hash}{SUFFIX}")
        except Refused:
            continue
        if before.study.name == bundle.study.name:
            return Changes(approval, differences(before, bundle))
    return None


def summary(review: Review, columns: int | None = None) -> str:
    """Say in plain words what an approval of a study allows; lines are folded for a terminal of so many columns."""
    lines = list(_lines(review))
    width = max(len(name) for name, _ in lines)
    return "\n".join([review.bundle.study.title, *(_folded(f"  {name.ljust(width)}  ", text, columns) for name, text in lines)])


def _folded(label: str, text: str, columns: int | None) -> str:
    """Put what is said beside its label, and go on below itself where the terminal ends."""
    if columns is None or columns < len(label) + NARROWEST:
        return label + text
    return textwrap.fill(
        text, columns, initial_indent=label, subsequent_indent=" " * len(label), break_long_words=False, break_on_hyphens=False
    )


def _lines(review: Review) -> Iterator[tuple[str, str]]:
    bundle = review.bundle
    study, contract = bundle.study, bundle.contract
    yield from _who_asks(review)
    yield "study hash", bundle.study_hash
    yield "question", study.question
    for number, member in enumerate(bundle.roster.silos):
        yield "" if number else "hospitals", f"{member.site}: {member.name} (fingerprint {member.fingerprint})"
    which = f"where {study.cohort.where}" if study.cohort.where else "all that are valid"
    yield "records", f"{contract.title} ({contract.id} {contract.version}), {which}"
    yield from _images(bundle)
    yield "schema", _schema_words(review)
    if review.records is not None:
        yield "of yours", review.records.words()
    if review.same_records is not None and review.approved is not None:
        words = "are those" if review.same_records else "are NOT those"
        yield "", f"they {words} of the approval of {review.approved.approved_at}"
        if not review.same_records:
            yield "", f"how they have changed: wardround silo changed {study.name}-{study.version} --site site.yaml"
    for each in review.ending:
        yield "ends before", f"the approval ({each.approval}): your exception of {each.code} of {each.about}, on {each.until}"
    if review.ending:
        yield "", "a node that starts after that day refuses this study: lengthen 'until' in site.yaml, or mend the records"
    yield "fields read", ", ".join((*study.target.fields, *study.features)) or "none but keys, which say which image is whose"
    if (study.target.number or study.target.labels) and bundle.imaging is None:
        yield "predicts", study.target.words
    yield "network", f"{words_of(study.network)}, {bundle.manifest.size} weights"
    training = study.training
    batches = "all records at once" if training.batch_size is None else f"batches of {training.batch_size}"
    steps = f"{training.local_epochs} epoch(s) by {training.optimiser.name}, learning rate {training.optimiser.learning_rate}"
    steps += ", in mixed precision" * (training.precision == "mixed")
    yield "each round", f"evaluate, then train {steps}, {batches}"
    most = study.rounds.maximum_change_norm
    held = "no limit but the range of the exact sum" if most is None else f"an L2 norm of {most}, for every hospital"
    yield "a change at most", held
    yield from _leaving(review.manifest)
    yield "shown to others", SHOWN_TO_OTHERS[review.share_metrics]
    if study.statistics.distributions:
        yield "distributions", f"told {DISTRIBUTIONS_TOLD[review.share_distributions]}"
    if review.example is not None:
        yield from lines(review.example)
    yield "no protection by", "differential privacy or secure aggregation: the centre sees this hospital's own change of weights"
    yield "protected by", "encryption to the centre, your policy's smallest counts, the gate, and the ledger of all that leaves"
    yield "privacy budget", "none: no noise is added, and nothing is accounted"
    yield "made with", ", ".join(f"{name} {version}" for name, version in sorted(bundle.versions.packages.items()))
    yield from _changed(review.changes)


def _images(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Say which images are read, and what becomes of them before the network sees them."""
    imaging, images = bundle.imaging, bundle.study.images
    if imaging is None or images is None:
        return
    yield "images", f"{imaging.title} ({imaging.id} {imaging.version}), each with its record"
    for number, words in enumerate(images.describe()):
        yield "" if number else "prepared so", words
    yield "predicts", bundle.study.target.words


def _who_asks(review: Review) -> Iterator[tuple[str, str]]:
    """Say who asks, and which signatures were verified: a bundle with one that does not hold is not read at all."""
    bundle, author, coordinator = review.bundle, review.bundle.author, review.bundle.roster.coordinator
    yield "study", f"{bundle.study.name} {bundle.study.version}, by {bundle.study.author}"
    if author is None:
        yield "author", "signed by NOBODY: the author's name is only what somebody typed"
    else:
        yield "author", f"signed by {author.stated} (fingerprint {author.fingerprint}); the signature is verified"
    centre = {True: "the centre that you joined", False: "NOT the centre that you joined", None: "you have joined no centre"}
    signed = "its signature on this file is verified" if bundle.submission is not None else "it has NOT signed this file"
    yield "asked by", f"{coordinator.name} (fingerprint {coordinator.fingerprint}), {centre[review.known_centre]}; {signed}"
    yield "names", "are what their owners typed: compare fingerprints with them on another way, by phone"


def _schema_words(review: Review) -> str:
    contract, found = review.bundle.schema, review.other_schema
    if found is None:
        return "not installed here: there is nothing to compare it with"
    if not found:
        return "the one that is installed here"
    more = f" and {len(found) - MOST_SHOWN} more: --format json" if len(found) > MOST_SHOWN else ""
    places = ", ".join(each.place for each in found[:MOST_SHOWN])
    return f"NOT the installed {contract.id} {contract.version}: it differs at {places}{more}"


def _leaving(manifest: EgressManifest) -> Iterator[tuple[str, str]]:
    for visit in manifest.visits:
        once = {"statistics": "first, once", "closing": "then, once", "test": "at the end, once"}
        often = once.get(visit.purpose, "each round")
        parts = [_figure(figure) for figure in visit.figures]
        if visit.tensors:
            size = sum(tensor.bytes for tensor in visit.tensors)
            parts.insert(
                0,
                f"the change of {len(visit.tensors)} tensors of the network ({size} bytes, {visit.bytes_on_the_wire} encrypted)",
            )
        limit = "" if visit.purpose in once else f"{visit.times} times at most: "
        yield f"leaves {often}", limit + "; ".join(parts)
    yield (
        "leaves besides",
        "whether and how far the node works, codes of refusals, figures of a canary (no record is read for it)",
    )


def _figure(figure: Figure) -> str:
    about = f" ({', '.join(figure.fields)})" if figure.fields else ""
    withheld = ", withheld where few stand behind it" if figure.withheld_below else ""
    return f"{figure.name}{about}{withheld}"


def _changed(changes: Changes | None) -> Iterator[tuple[str, str]]:
    if changes is None:
        yield "changed", "no other version of this study was approved here"
        return
    last = changes.since
    what = f"{len(changes.found)} places since the version that {last.approver.name} approved at {last.approved_at}"
    yield "changed", what
    for each in changes.found[:MOST_SHOWN]:
        yield "", f"{each.place}: {_value(each.before)} -> {_value(each.after)}"
    if len(changes.found) > MOST_SHOWN:
        yield "", f"and {len(changes.found) - MOST_SHOWN} more: --format json"


def _value(value: Json) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
