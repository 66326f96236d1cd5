"""Hold a study against the hospital's policy: every reason why it may not run here, at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from silo_node.policy import POLICY_FILE, Policy
from wardround.contract import library, rules
from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Contract
from wardround.errors import Problem
from wardround.strict_yaml import nearest
from wardround.study.bundle import Bundle
from wardround.study.difference import Difference, contract_differences
from wardround.study.model import Study

MOST_PLACES = 5
"""Places named at which a schema differs from the installed one; `silo review --format json` has them all."""
NEXT_STEP = "reject the study, or change the policy if the hospital wants this"


def policy_problems(bundle: Bundle, policy: Policy) -> list[Problem]:
    """Say in what a study breaks a policy; no problem if in nothing. Records are not looked at."""
    study = bundle.study
    return [
        *_who(bundle, policy),
        *_schemas(bundle, policy),
        *_network(bundle, policy),
        *_strategy(study, policy),
        *_fields(bundle, policy),
        *_privacy(policy),
        *_rounds(study, policy),
        *_bytes(bundle, policy),
    ]


def _problem(code: str, key: str, rule: str, finding: str, next_step: str = NEXT_STEP) -> Problem:
    return Problem(code, f"{POLICY_FILE}, {key}", rule, finding, next_step)


def _who(bundle: Bundle, policy: Policy) -> Iterator[Problem]:
    coordinator, author = bundle.roster.coordinator, bundle.author
    if policy.coordinators is not None and coordinator.fingerprint not in policy.coordinators:
        finding = f"this one is asked by {coordinator.name} (fingerprint {coordinator.fingerprint})"
        yield _problem("G-COORDINATOR", "coordinators", "Only studies of listed coordinators run here", finding)
    if policy.authors is not None and (author is None or author.fingerprint not in policy.authors):
        finding = "this one is signed by nobody as its author"
        if author is not None:
            finding = f"this one is signed by {author.stated} (fingerprint {author.fingerprint})"
        yield _problem("G-AUTHOR", "authors", "Only studies that a listed author has signed run here", finding)


def _schemas(bundle: Bundle, policy: Policy) -> Iterator[Problem]:
    yield from _schema(bundle.contract, policy)
    if bundle.imaging is not None:
        yield from _schema(bundle.imaging, policy)


def _schema(contract: Contract | ImagingContract, policy: Policy) -> Iterator[Problem]:
    """Find a schema that is not the one that this hospital knows: narrow ranges in it would make finer questions."""
    found = schema_differences(contract)
    if found and contract.contract_hash() not in policy.other_schemas:
        places = ", ".join(each.place for each in found[:MOST_PLACES])
        more = f" and {len(found) - MOST_PLACES} more" if len(found) > MOST_PLACES else ""
        yield _problem(
            "G-SCHEMA",
            "other_schemas",
            f"{contract.id} {contract.version} is the schema that is installed here, with that content",
            f"the study brings another one, which differs at {places}{more}",
            f"ask the author for a study with the published one; if the hospital wants this, list '{contract.contract_hash()}'",
        )


def schema_differences(contract: Contract | ImagingContract) -> list[Difference] | None:
    """Say where a contract differs from the installed one of its name and version; None when none is installed.

    Raises:
        Refused: S- and Y- codes when the installed schema itself is damaged.
    """
    installed = _installed(contract.id, contract.version)
    if installed is None:
        return None
    return [] if installed.contract_hash() == contract.contract_hash() else contract_differences(installed, contract)


@lru_cache(maxsize=64)
def _installed(schema: str, version: str) -> Contract | ImagingContract | None:
    """Give the installed schema of a name and version. Read once: it is part of the code that an approval names."""
    listings = (listing for listing in library.available_any() if (listing.id, listing.version) == (schema, version))
    return next((library.open_any(listing) for listing in listings), None)


def _network(bundle: Bundle, policy: Policy) -> Iterator[Problem]:
    name, size = bundle.study.network.name, bundle.manifest.size
    if policy.networks is None:
        return
    if name not in policy.networks:
        yield _problem("G-NETWORK", "networks", "Only listed networks are trained here", f"the study trains a {name}")
        return
    most = policy.networks[name].maximum_weights
    if most is not None and size > most:
        yield _problem("G-SIZE", f"networks.{name}", f"A {name} has at most {most} weights here", f"the study's has {size}")


def _strategy(study: Study, policy: Policy) -> Iterator[Problem]:
    if policy.strategies is not None and study.strategy not in policy.strategies:
        finding = f"the study's is {study.strategy}"
        yield _problem("G-STRATEGY", "strategies", "Only listed strategies combine this hospital's changes", finding)


def _fields(bundle: Bundle, policy: Policy) -> Iterator[Problem]:
    """Find the fields that are never used, and those that stand in the policy and in no schema: they would protect nothing.

    The fields of a study of images are those of the table that its schema names; a policy may list them under either.
    """
    study, contract = bundle.study, bundle.contract
    used = {*study.target.fields, *study.features}
    if study.cohort.where is not None:
        used |= rules.fields(rules.parse(study.cohort.where, "cohort.where", "P-RULE"))
    for schema in (contract.id, *(() if bundle.imaging is None else (bundle.imaging.id,))):
        key, never = f"never_fields.{schema}", policy.never_fields.get(schema, ())
        for name in sorted(used & set(never)):
            yield _problem("G-FIELD", key, "These fields are never used", f"the study uses {name}")
        for name in never:
            if name not in contract.names and not _known_elsewhere(name, contract.id):
                guess = nearest(name, contract.names)
                next_step = f"did you mean {guess!r}?" if guess else "correct the field's name in the policy"
                yield _problem("G-FIELD", key, "The policy names fields of the schema", f"it has no field {name}", next_step)


def _known_elsewhere(name: str, schema: str) -> bool:
    """Say whether another version of a schema that is installed here has a field."""
    versions = (listing.name for listing in library.available() if listing.id == schema)
    return any(name in library.find(version).names for version in versions)


def _privacy(policy: Policy) -> Iterator[Problem]:
    wanted = policy.required_privacy
    if wanted.secure_sum:
        finding = "no study of this release has one: the centre sees this hospital's own changes"
        yield _problem("G-PRIVACY", "required_privacy.secure_sum", "Only studies with a secure sum run here", finding)
    if wanted.differential_privacy is not None:
        floor = wanted.differential_privacy
        rule = f"Only studies with differential privacy of ε ≤ {floor.epsilon} at δ ≤ {floor.delta} run here"
        finding = "no study of this release has any: changes leave without noise"
        yield _problem("G-PRIVACY", "required_privacy.differential_privacy", rule, finding)


def _rounds(study: Study, policy: Policy) -> Iterator[Problem]:
    most = policy.maximum_rounds
    if most is not None and study.rounds.maximum > most:
        finding = f"the study may take {study.rounds.maximum}"
        yield _problem("G-ROUNDS", "maximum_rounds", f"A study has at most {most} rounds here", finding)


def _bytes(bundle: Bundle, policy: Policy) -> Iterator[Problem]:
    each, rounds = bundle.manifest.byte_count, bundle.study.rounds.maximum
    if policy.most_bytes is not None and each * rounds > policy.most_bytes:
        rule = f"At most {policy.most_bytes} bytes of changes leave for a study"
        finding = f"the study may send {rounds} changes of {each} bytes, {each * rounds} in all"
        yield _problem("G-BYTES", "maximum_bytes", rule, finding)
