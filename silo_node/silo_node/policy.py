"""The hospital's own policy, ``policy.yaml`` beside ``site.yaml``: what no study may overstep, whoever approves it.

The file has one name and one place, so that whoever installs, backs up or audits a hospital knows where it is, and no
other setting can point past it. It is read again whenever it is needed: a change holds from the next task on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, TypeVar, get_args

from pydantic import Field as Setting
from pydantic import StringConstraints

from silo_node.confinement import Confinement
from wardround.canonical import digest, model_json
from wardround.confinement import Measure, Measures
from wardround.contract import dicom_dictionary
from wardround.contract.imaging import Keyword
from wardround.directory import KEYS
from wardround.errors import Problem, raise_all, refuse
from wardround.files import write_atomic
from wardround.messages.round import FiguresFor
from wardround.strict_yaml import Document, nearest, parse, parse_text, read_text
from wardround.study.model import PositiveCount, Strategy, Study
from wardround.study.networks import NETWORKS
from wardround.values import FieldName, SchemaId, Sha256, Value

POLICY_FILE = "policy.yaml"

DEFAULT_SMALL_CELL = 11
"""Counts from 1 to 10 are withheld, as CMS and PCORnet do."""

Threshold = Annotated[int, Setting(ge=1, le=1_000_000)]
"""A number of records."""

Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9]{5}( [0-9]{5}){5}$")]
"""A centre's or an author's fingerprint as the commands print it: six groups of five digits."""

SHOWN_TO_OTHERS: dict[FiguresFor, str] = {
    "coordinator": "no: the coordinator sees this hospital's own figures, the release withholds them",
    "consortium": "yes: this hospital's own figures stand in the release under its name, for everybody who gets it",
}
"""What ``share_metrics`` means for the hospital's records, metrics, losses and report of the check."""

DistributionsFor: TypeAlias = Literal["nobody", "coordinator", "consortium"]
"""Whom a hospital lets see how the values of its fields are distributed; the first is the strictest."""

DISTRIBUTIONS_TOLD: dict[DistributionsFor, str] = {
    "nobody": "never: studies that ask for distributions get none of this hospital's, and show it as withheld",
    "coordinator": "to the coordinator alone, and only for studies that ask for them; the release withholds them",
    "consortium": "to everybody who gets the release, under this hospital's name, for studies that ask for them",
}
"""What ``share_distributions`` means for histograms, counts of categories and of missing values, and prevalence."""

_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
Why = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""Why something may stand, in the hospital's words."""

Size = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,6} (KiB|MiB|GiB)$")]
"""An amount of data: a whole number, a space, KiB (2**10 bytes), MiB (2**20) or GiB (2**30)."""


class NetworkLimit(Value):
    """How large an allowed network may be; ``null`` is no limit."""

    maximum_weights: PositiveCount | None = None


class DifferentialPrivacy(Value):
    """The weakest differential privacy that is enough: at most this ε at at most this δ."""

    epsilon: Annotated[float, Setting(gt=0)]
    delta: Annotated[float, Setting(gt=0, lt=1)]


class RequiredPrivacy(Value):
    """What must protect this hospital's changes of weights.

    Attributes:
        secure_sum: the centre learns the sum over hospitals, never this hospital's own change.
        differential_privacy: noise with an accounted guarantee, at least this strong.
    """

    secure_sum: bool = False
    differential_privacy: DifferentialPrivacy | None = None


class SafePrivate(Value):
    """A private attribute that the hospital knows to identify nobody (PS3.15 E.3.10, Retain Safe Private).

    Attributes:
        creator: who defined it, as the private creator stands in the file.
        element: its group, and its last two digits; the two before them are its block's, and differ from file to file.
        reason: why it is safe.
    """

    creator: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    element: Annotated[str, StringConstraints(pattern=r"^[0-9A-F]{3}[13579BDF],xx[0-9A-F]{2}$")]
    reason: Why


class ImagesPolicy(Value):
    """What may stand in the headers of images, and whether a suspicion is enough. A contract's own privacy is never loosened.

    Attributes:
        safe_private: private attributes that identify nobody. All others are D-PRIVATE.
        kept: attributes of the profile's list that may hold a value, by keyword, and why: only those that the contract of the
            images requires (``tags.required``); what no contract needs is no reason to keep.
        burned_in: what is done with images that may show text: what the contract says, or none is used whatever makes it likely.
    """

    safe_private: tuple[SafePrivate, ...] = ()
    kept: dict[Keyword, Why] = Setting(default_factory=dict)
    burned_in: Literal["contract", "refuse"] = "contract"


class Policy(Value):
    """What the hospital never does or lets out, whatever a study asks. ``null`` is no limit; an empty list allows nothing.

    Attributes:
        coordinators: fingerprints of the centres whose studies may run here.
        authors: fingerprints of the authors whose studies may run here: of the keys that signed them, never of names.
        other_schemas: hashes of contracts that may be used here although another one of the same name and version is installed.
        networks: the networks that may be trained here, and how large each may be.
        strategies: the strategies that may combine this hospital's changes with those of others.
        never_fields: fields of each schema that no study may use, be it as feature, target or in its cohort rule.
        required_privacy: protection that a study must bring.
        minimum_records: the fewest training records to take part with (never fewer than ``small_cell``).
        small_cell: counts of records from 1 to one below this are withheld.
        share_metrics: whom this hospital lets see its own figures under its name: the coordinator alone, or everybody who
            gets the release.
        share_distributions: whom this hospital lets see how the values of its fields are distributed, where a study asks.
        metrics_minimum: the fewest validation or test records whose metrics may leave (``small_cell`` when not given).
        maximum_rounds: the most rounds of a study.
        maximum_bytes: the most bytes of changes of weights that may leave for a study, over all its rounds.
        maximum_update_norm: the largest L2 norm of a change of weights that may leave.
        images: what may stand in the headers of images, beyond what a contract of images says.
        required_confinement: what the trainer's process must have found of itself at its start, or no record is opened.
        logs: what of this hospital's logs others may read. Nothing: there is no way out for a log.
    """

    coordinators: tuple[Fingerprint, ...] | None = None
    authors: tuple[Fingerprint, ...] | None = None
    other_schemas: tuple[Sha256, ...] = ()
    networks: dict[str, NetworkLimit] | None = None
    strategies: tuple[Strategy, ...] | None = None
    never_fields: dict[SchemaId, tuple[FieldName, ...]] = Setting(default_factory=dict)
    required_privacy: RequiredPrivacy = RequiredPrivacy()
    minimum_records: Threshold | None = None
    small_cell: Threshold = DEFAULT_SMALL_CELL
    metrics_minimum: Threshold | None = None
    share_metrics: FiguresFor = "coordinator"
    share_distributions: DistributionsFor = "coordinator"
    maximum_rounds: PositiveCount | None = None
    maximum_bytes: Size | None = None
    maximum_update_norm: Annotated[float, Setting(gt=0)] | None = None
    images: ImagesPolicy = ImagesPolicy()
    required_confinement: Measures = ()
    logs: Literal["none"] = "none"

    def lacking(self, found: Confinement | None) -> tuple[Measure, ...]:
        """Give what is required of the trainer's confinement and does not hold; what nobody tried does not."""
        return tuple(name for name in self.required_confinement if found is None or name not in found.holds)

    def confines(self, found: Confinement | None) -> bool:
        """Say whether a process that found this of its confinement may open records."""
        return not self.lacking(found)

    @property
    def least_records(self) -> int:
        """The fewest training records to take part with."""
        return max(self.small_cell, self.minimum_records or 0)

    @property
    def smallest_metrics(self) -> int:
        """The fewest validation or test records whose metrics may leave."""
        return self.small_cell if self.metrics_minimum is None else self.metrics_minimum

    @property
    def most_bytes(self) -> int | None:
        """``maximum_bytes`` as a number."""
        if self.maximum_bytes is None:
            return None
        number, unit = self.maximum_bytes.split()
        return int(number) * _UNITS[unit]

    def policy_digest(self) -> Sha256:
        """Give the digest under which the ledger names this policy; comments and order of the file do not matter."""
        return digest("policy", 1, model_json(self))


def largest_norm(study: Study, policy: Policy) -> float | None:
    """Give the largest L2 norm of a change of weights that may leave: the study's limit or the hospital's, if there are any."""
    limits = [limit for limit in (study.rounds.maximum_change_norm, policy.maximum_update_norm) if limit is not None]
    return min(limits, default=None)


_Limit = TypeVar("_Limit", int, float)
_Item = TypeVar("_Item")


def stricter(one: Policy, other: Policy) -> Policy:
    """Give the policy that allows only what both allow; one of the two, where it is the stricter one in everything."""
    both = _both(one, other)
    return next((each for each in (one, other) if _plain(each) == _plain(both)), both)


def _plain(policy: Policy) -> Policy:
    """Give a policy with the thresholds written out that follow from others."""
    written = {"minimum_records": policy.least_records, "metrics_minimum": policy.smallest_metrics}
    return policy.model_copy(update={**written, "maximum_bytes": policy.most_bytes})


def _both(one: Policy, other: Policy) -> Policy:
    metrics = (one.metrics_minimum, other.metrics_minimum)
    return Policy(
        coordinators=_in_both(one.coordinators, other.coordinators),
        authors=_in_both(one.authors, other.authors),
        other_schemas=tuple(schema for schema in one.other_schemas if schema in other.other_schemas),
        networks=_networks(one.networks, other.networks),
        strategies=_in_both(one.strategies, other.strategies),
        never_fields=_never(one.never_fields, other.never_fields),
        required_privacy=_privacy(one.required_privacy, other.required_privacy),
        minimum_records=_of_those(max, one.minimum_records, other.minimum_records),
        small_cell=max(one.small_cell, other.small_cell),
        metrics_minimum=None if metrics == (None, None) else max(one.smallest_metrics, other.smallest_metrics),
        share_metrics="coordinator" if "coordinator" in (one.share_metrics, other.share_metrics) else "consortium",
        share_distributions=min(one.share_distributions, other.share_distributions, key=get_args(DistributionsFor).index),
        images=_images(one.images, other.images),
        required_confinement=tuple(dict.fromkeys((*one.required_confinement, *other.required_confinement))),
        maximum_rounds=_of_those(min, one.maximum_rounds, other.maximum_rounds),
        maximum_bytes=_smaller(one, other),
        maximum_update_norm=_of_those(min, one.maximum_update_norm, other.maximum_update_norm),
        logs="none",
    )


def _of_those(choose: Callable[[Iterable[_Limit]], _Limit], one: _Limit | None, other: _Limit | None) -> _Limit | None:
    """Choose between two limits; ``None`` is none."""
    given = [limit for limit in (one, other) if limit is not None]
    return choose(given) if given else None


def _in_both(one: tuple[_Item, ...] | None, other: tuple[_Item, ...] | None) -> tuple[_Item, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(item for item in one if item in other)


def _networks(one: Mapping[str, NetworkLimit] | None, other: Mapping[str, NetworkLimit] | None) -> dict[str, NetworkLimit] | None:
    if one is None or other is None:
        known = other if one is None else one
        return None if known is None else dict(known)
    return {
        name: NetworkLimit(maximum_weights=_of_those(min, one[name].maximum_weights, other[name].maximum_weights))
        for name in one
        if name in other
    }


def _never(
    one: Mapping[SchemaId, tuple[FieldName, ...]], other: Mapping[SchemaId, tuple[FieldName, ...]]
) -> dict[SchemaId, tuple[FieldName, ...]]:
    return {schema: tuple(dict.fromkeys((*one.get(schema, ()), *other.get(schema, ())))) for schema in (*one, *other)}


def _privacy(one: RequiredPrivacy, other: RequiredPrivacy) -> RequiredPrivacy:
    asked = [each.differential_privacy for each in (one, other) if each.differential_privacy is not None]
    return RequiredPrivacy(
        secure_sum=one.secure_sum or other.secure_sum,
        differential_privacy=DifferentialPrivacy(
            epsilon=min(each.epsilon for each in asked), delta=min(each.delta for each in asked)
        )
        if asked
        else None,
    )


def _images(one: ImagesPolicy, other: ImagesPolicy) -> ImagesPolicy:
    """Only what both let stand, each under the first one's reason."""
    safe = {(each.creator, each.element) for each in other.safe_private}
    return ImagesPolicy(
        safe_private=tuple(each for each in one.safe_private if (each.creator, each.element) in safe),
        kept={keyword: reason for keyword, reason in one.kept.items() if keyword in other.kept},
        burned_in="refuse" if "refuse" in (one.burned_in, other.burned_in) else "contract",
    )


def _smaller(one: Policy, other: Policy) -> Size | None:
    """Give the amount of data that is less, as it was written."""
    least = _of_those(min, one.most_bytes, other.most_bytes)
    return one.maximum_bytes if one.most_bytes == least else other.maximum_bytes


class PolicyFile:
    """One hospital's ``policy.yaml``, as it stands at each moment."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of ``site.yaml``; nothing is read yet."""
        self._folder = folder
        self._known: tuple[str, Policy] | None = None

    @property
    def folder(self) -> Path:
        """The hospital's directory."""
        return self._folder

    @property
    def path(self) -> Path:
        """The file."""
        return self._folder / POLICY_FILE

    def read(self) -> Policy:
        """Give the policy that holds now.

        Without a file the defaults hold, but only as long as the hospital has no keys: then nothing can be approved or
        leave. Later a missing file is an accident, and may not loosen anything.

        Raises:
            Refused: Y- codes, P-NETWORK, all of them at once.
        """
        if not self.path.exists():
            if (self._folder / KEYS).exists():
                raise refuse(
                    "Y-FILE",
                    POLICY_FILE,
                    "A hospital with keys has a policy beside its site file",
                    "there is no such file",
                    "restore it, or run: wardround silo policy --site site.yaml --write-default",
                )
            return Policy()
        text = read_text(self.path)
        if self._known is None or self._known[0] != text:
            self._known = (text, parse_policy(text))
        return self._known[1]

    def write_default(self) -> bool:
        """Write the default policy with its explanations, unless there is a file; says whether it was written.

        Raises:
            Refused: O-WRITE.
        """
        if self.path.exists():
            return False
        write_atomic(self.path, DEFAULT_TEXT.encode(), mode=0o600)
        return True


def parse_policy(text: str) -> Policy:
    """Read a policy from its text.

    Raises:
        Refused: Y- codes, P-NETWORK, all of them at once.
    """
    document = parse_text(text, POLICY_FILE)
    policy = parse(Policy, document)
    raise_all(_problems(policy, document))
    return policy


def _problems(policy: Policy, document: Document) -> list[Problem]:
    problems = []
    for name in policy.networks or {}:
        if name not in NETWORKS:
            guess = nearest(name, NETWORKS)
            problems.append(
                Problem(
                    "P-NETWORK",
                    document.place(("networks", name)),
                    "Networks come from an allow-list",
                    f"the network {name!r} is not on it",
                    f"did you mean {guess!r}?" if guess else f"choose of: {', '.join(sorted(NETWORKS))}",
                )
            )
    return [*problems, *_kept_problems(policy.images.kept, document)]


def _kept_problems(kept: Iterable[str], document: Document) -> list[Problem]:
    """Say what cannot be kept: what is no element of headers, and who somebody is."""
    problems = []
    for keyword in kept:
        place = document.place(("images", "kept", keyword))
        problem = dicom_dictionary.unlooked_keyword(keyword, place)
        element = dicom_dictionary.elements().get(keyword)
        if problem is not None:
            problems.append(problem)
        elif element is not None and (element.representation == "PN" or keyword == "PatientID"):
            rule = "Names of people and the patient's number are never kept"
            step = "take it out; what pseudonyms look like stands in the source of site.yaml (pseudonym)"
            problems.append(Problem("Y-VALUE", place, rule, f"{keyword} is one of them", step))
    return problems


DEFAULT_TEXT = f"""\
# The policy of this hospital: what no study may overstep, whoever approves it. A study that breaks it is refused with
# every reason, before a person is asked. A change of this file holds from the next task on; nothing is restarted.
# null: no limit. An empty list allows nothing. Every key: docs/reference/policy.md

# Who may ask: fingerprints as `wardround silo review` shows them, compared with their owners on another way (by phone). Names
# are no settings, since anybody can type one: write whose a fingerprint is in a comment.
coordinators: null      # such as ["12345 12345 12345 12345 12345 12345"]
authors: null           # such as ["12345 12345 12345 12345 12345 12345"]; a study that nobody signed is refused then

# A study whose schema is not the installed one of the same name and version is refused, but for these (hashes of contracts).
other_schemas: []

# What may be trained.
networks: null          # such as {{FullyConnectedNet: {{maximum_weights: 1000000}}}}
strategies: null        # such as [fedavg]
never_fields: {{}}        # such as {{breast.cytology: [fractal_dimension_mean]}}

# What must protect this hospital's changes of weights. This release has neither: requiring one refuses every study.
required_privacy:
  secure_sum: false
  differential_privacy: null    # such as {{epsilon: 3.0, delta: 0.00001}}

# Records. Counts from 1 to one below small_cell never leave.
minimum_records: null   # the fewest training records to take part with; never fewer than small_cell
small_cell: {DEFAULT_SMALL_CELL}
metrics_minimum: null   # the fewest validation or test records whose metrics may leave; null: as small_cell

# Who may see this hospital's own figures (records, metrics, losses, report of the check) under its name. The coordinator
# gets them in any case, to add them up. Showing them to others is a permission: without one they are withheld.
share_metrics: coordinator    # or consortium: everybody who gets the release, other hospitals among them

# Who may see how the values of this hospital's fields are distributed (histograms, counts of categories, missing values, how
# often the target is positive), where a study asks for it. Small cells are hidden whatever stands here.
share_distributions: coordinator    # or nobody; or consortium: everybody who gets the release

# How much may leave for a study.
maximum_rounds: null        # such as 200
maximum_bytes: null         # of changes of weights, over all rounds; such as 500 MiB
maximum_update_norm: null   # L2 norm of a change of weights; such as 10.0

# Images: what may stand in their headers. Without a word, no private attribute and none that PS3.15 Annex E lists.
images:
  safe_private: []      # such as [{{creator: SIEMENS MR HEADER, element: "0019,xx0C", reason: b-value}}]
  kept: {{}}              # such as {{PatientAge: in years}}; only where the contract of the images requires it
  burned_in: contract   # or refuse: no image that may show text, even where the contract takes that for a warning

# How the process that opens the records must be confined, as it finds out itself at its start. Otherwise nothing is done.
required_confinement: []    # such as [network-kernel, not-root]; `wardround silo doctor` shows what holds here

# What of this hospital's logs others may read.
logs: none
"""
