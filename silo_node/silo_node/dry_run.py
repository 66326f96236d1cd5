"""``python -m silo_node.dry_run``: a study's statistics and first round on synthetic records, with everything thrown away.

It begins as the trainer does: the network is cut before any library is loaded, then the memory limit is set, and a clock
runs, at whose end the kernel ends the process. In a folder that its caller throws away it makes a hospital with keys of
its own, a centre, synthetic records of the study's schema and an approval of the same study between the two, and visits it
as a centre would. The hospital's policy holds but for who may ask, and for how the
trainer is confined, which is asked of it where there are records; this hospital's are not opened.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from silo_node.configuration import Site, load_site
from silo_node.example import FIRST, Example, ExampleTensor, ExampleVisit
from silo_node.training.network import cut_network
from wardround.canonical import model_json, sha256
from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Contract
from wardround.contract.synthetic.records import Record, synthesise
from wardround.contract.synthetic.sheet import sheet_of
from wardround.errors import Problem, Refused
from wardround.identity.approval import Approver
from wardround.identity.roster import Member, Roster
from wardround.messages.envelope import Envelope, in_memory
from wardround.messages.pretended_centre import Order, PretendedCentre
from wardround.messages.round import Reply, SiloRefusal, TaskCore
from wardround.study.bundle import Bundle, read_bundle
from wardround.study.encoding import Encoding, bounds, encoding_by, numeric_features
from wardround.study.model import Study
from wardround.weights.fixed_point import plan_sum
from wardround.weights.packing import Manifest, from_bytes, to_bytes

if TYPE_CHECKING:
    from silo_node.node import Node
    from silo_node.policy import Policy

SEED: Final = 0
USUAL_RECORDS: Final = 400
MOST_RECORDS: Final = 20_000
FEWEST_IMAGES: Final = 12
"""How many images are made up: so few that a review does not wait for them."""
USUAL_MEMORY: Final = 4 * 2**30
"""The limit where the site file gives the trainer none: a study that nobody has approved yet gets no more."""
ROOM: Final = 1.5
"""How many more records there are than the limits ask for: shares of patients are not exact."""
DEVIATIONS: Final = 6.0
"""A plausible range is taken for so many standard deviations, in place of all hospitals' sums."""


@dataclass(frozen=True)
class _Pretended:
    """A hospital and a centre that exist for one dry run."""

    bundle: Bundle
    site: Site
    member: Member
    centre: PretendedCentre


def dry_run(site: Site, bundle: Bundle, folder: Path) -> Example:
    """Make the first visits of a study to a hospital that is made up in a folder.

    Gives the visits that were made, and the codes of what does not let it go on.
    """
    from silo_node.node import open_node  # noqa: PLC0415  (heavy, with threads of its own: after the cut)
    from silo_node.training.trainer import Trainer  # noqa: PLC0415  (as above)

    visits: list[ExampleVisit] = []
    count, of_images = 0, bundle.imaging is not None
    try:
        asked_elsewhere = {"coordinators": None, "authors": None, "required_confinement": ()}  # before; and of the real trainer
        policy = site.policy().model_copy(update=asked_elsewhere)
        if of_images:
            policy = policy.model_copy(update={"small_cell": 1, "minimum_records": None, "metrics_minimum": None})
        count = how_many(bundle, policy)
        pretended = _pretend(folder, site, bundle, policy, count)
        node = open_node(pretended.site, Trainer)
        try:
            for visit in _visits(pretended, node):
                visits.append(visit)  # noqa: PERF402  (those before a refusal are kept)
        finally:
            node.close()
    except Refused as refused:
        return Example(records=count, visits=tuple(visits), codes=tuple(dict.fromkeys(refused.codes)), of_images=of_images)
    return Example(records=count, visits=tuple(visits), of_images=of_images)


def how_many(bundle: Bundle, policy: Policy) -> int:
    """Give how many synthetic records let the study take place under a policy, if that is not beyond all measure."""
    split = bundle.study.split
    wanted = max(
        USUAL_RECORDS if bundle.imaging is None else max(FEWEST_IMAGES, bundle.imaging.minimum_examples),
        bundle.contract.limits.min_records,
        ROOM * policy.least_records / split.train,
        ROOM * policy.smallest_metrics / split.validation,
    )
    return min(math.ceil(wanted), MOST_RECORDS)


def _pretend(folder: Path, site: Site, bundle: Bundle, policy: Policy, count: int) -> _Pretended:
    """Make the hospital, the centre and the approval."""
    from silo_node.identity import approval_key, create_identity  # noqa: PLC0415  (as open_node)
    from silo_node.porter.approvals import approve  # noqa: PLC0415  (as above)

    records: list[Record] | None
    sources: Parts = {}
    schemas: Parts = {}
    if bundle.imaging is None:
        records = synthesise(bundle.contract, count, SEED, where=bundle.study.cohort.where)
    else:
        records, sources, schemas = _images(folder / "images", bundle, bundle.imaging, count)
    if records is not None:
        (folder / "records.csv").write_bytes(sheet_of(bundle.contract, records).encoded())
        sources["synthetic"] = {"format": "csv", "path": "records.csv"}
        schemas[bundle.contract.id] = {"source": "synthetic", "columns": {name: name for name in bundle.contract.names}}
    (folder / "policy.yaml").write_text(json.dumps(model_json(policy)))
    (folder / "site.yaml").write_text(json.dumps(_site_file(site, sources, schemas)))
    made = load_site(folder / "site.yaml")
    member = create_identity(folder, made.file.site, made.file.name)
    centre = PretendedCentre(bundle.roster.coordinator.name)
    others = [each for each in bundle.roster.silos if each.site != member.site]
    silos = tuple(sorted([*others, member], key=lambda each: each.site))
    roster = Roster(coordinator=centre.coordinator, silos=silos)
    same = replace(bundle, roster=roster, authorship=None, submission=None)  # nobody signed this one
    approve(folder, same, member, approval_key(folder), Approver(name="nobody", role="dry run"), timedelta(hours=1))
    return _Pretended(same, made, member, centre)


Parts = dict[str, object]
"""Of a site file: sources, or schemas."""


def _images(folder: Path, bundle: Bundle, imaging: ImagingContract, count: int) -> tuple[list[Record] | None, Parts, Parts]:
    """Make up images; gives the records of their table, if they have one, and what the site file says of the images."""
    from silo_node.imaging.synthetic import make_images  # noqa: PLC0415  (a hospital without images has no pydicom)

    made = make_images(folder, imaging, bundle.contract, count, SEED, where=bundle.study.cohort.where)
    source: Parts = {"format": "images", "path": folder.name}
    if made.pseudonym is not None:
        source = {"format": "dicom", "path": folder.name, "pseudonym": made.pseudonym}
    return made.records, {"images": source}, {imaging.id: {"source": "images"}}


def _site_file(site: Site, sources: Parts, schemas: Parts) -> Parts:
    return {
        "site": site.file.site,
        "name": site.file.name,
        "sources": sources,
        "schemas": schemas,
        "resources": model_json(site.file.resources),
    }


def _visits(pretended: _Pretended, node: Node) -> Iterator[ExampleVisit]:
    """Visit the hospital for its statistics, then for its first round."""
    bundle, study = pretended.bundle, pretended.bundle.study
    deadline = study.rounds.deadline_seconds
    statistics = TaskCore(study_hash=bundle.study_hash, purpose="statistics", round=0)
    first = _ask(pretended, node, Order(statistics, deadline))
    yield first
    weights, encoding = to_bytes(bundle.weights), ranges_as_encoding(study, bundle.contract)
    core = TaskCore(
        study_hash=bundle.study_hash,
        purpose="round",
        round=1,
        weights=sha256(weights),
        encoding=encoding.encoding_digest(),
        plan=plan_sum(bundle.weights, bundle.manifest, first.records),
    )
    yield _ask(pretended, node, Order(core, deadline, encoding, first.records, weights))


def _ask(pretended: _Pretended, node: Node, order: Order) -> ExampleVisit:
    """Send one task as the centre does, and read the answer as the centre does."""
    envelope = node.visit(pretended.centre.task(order, pretended.member)).envelope
    answer, plain = pretended.centre.read(envelope)
    if isinstance(answer, SiloRefusal):
        found = () if answer.report is None else answer.report.findings
        raise _refused(answer.code, *(each.code for each in found if each.severity == "error"))
    if not isinstance(answer, Reply) or plain is None:
        raise _refused("H-FAILED")
    return ExampleVisit(
        purpose=order.core.purpose,
        bytes=envelope.byte_count,
        records=answer.records,
        result=answer.result,
        tensors=_tensors(plain, pretended.bundle.manifest),
    )


def _refused(*codes: str) -> Refused:
    rule, next_step = "A study can be tried on synthetic records", "see the code"
    return Refused(Problem(code, "dry run", rule, "the made-up hospital refused", next_step) for code in codes)


def _tensors(plain: Envelope, manifest: Manifest) -> tuple[ExampleTensor, ...]:
    change = from_bytes(in_memory(plain.arrays[0]), manifest) if plain.arrays else None
    if change is None:
        return ()
    return tuple(
        ExampleTensor(
            name=tensor.name,
            shape=tensor.shape,
            bytes=tensor.size * change.itemsize,
            first=tuple(float(number) for number in change[part][:FIRST]),
        )
        for tensor, part in manifest.slices()
    )


def ranges_as_encoding(study: Study, contract: Contract) -> Encoding:
    """Give an encoding from the fields' ranges alone: in a study it follows from the sums of all hospitals."""
    ranges = {name: bounds(contract, name) for name in numeric_features(contract, study)}
    moments = {name: (low + (high - low) / 2 + 0.0, (high - low) / DEVIATIONS) for name, (low, high) in ranges.items()}
    return encoding_by(contract, study, moments)


def main() -> int:
    """Run one dry run, and print its example as JSON."""
    parser = argparse.ArgumentParser(description="A study's first visits on synthetic records, for the review.")
    parser.add_argument("--site", required=True, type=Path)
    parser.add_argument("--bundle", required=True, type=Path)
    parser.add_argument("--folder", required=True, type=Path, help="an empty one, which the caller throws away")
    parser.add_argument("--seconds", required=True, type=float)
    arguments = parser.parse_args()
    cut_network()  # before any thread starts
    with os.fdopen(os.dup(1), "w") as out:
        _close_output()
        out.write(_limited(arguments).model_dump_json())
    return 0


def _close_output() -> None:
    """Let what libraries print go nowhere."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)


def _limited(arguments: argparse.Namespace) -> Example:
    """Try the study under the trainer's limits, and the clock's."""
    import silo_node.training.trainer  # noqa: F401, PLC0415  (loads what is heavy, before the limits)
    from silo_node.training.memory import NoRoom, is_out_of_memory, limit_memory  # noqa: PLC0415  (as above)

    limit: int | None = None
    try:
        site, bundle = load_site(arguments.site), read_bundle(arguments.bundle)
        limit = site.file.resources.memory_bytes or USUAL_MEMORY
        signal.setitimer(signal.ITIMER_REAL, arguments.seconds)  # nobody listens for the signal: the kernel ends the process
        limit_memory(limit)
        return dry_run(site, bundle, arguments.folder)
    except Refused as refused:
        return Example(codes=tuple(dict.fromkeys(refused.codes)))
    except NoRoom:
        return Example(codes=("H-MEMORY",))
    except Exception as error:  # noqa: BLE001  (only a code is told; the folder with the logs is gone)
        return Example(codes=("H-MEMORY" if is_out_of_memory(error, limit) else "H-FAILED",))


if __name__ == "__main__":
    sys.exit(main())
