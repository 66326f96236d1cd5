"""What was asked, what fixes it, and what the result does not say: for report and model card alike."""

from __future__ import annotations

from coordinator.release.figures import listing, percent, plural
from coordinator.rounds.outcome import Outcome
from wardround.canonical import sha256
from wardround.contract.imaging_words import summary
from wardround.metrics.pooled import BINS, LOGIT_LIMIT
from wardround.study.bundle import Bundle
from wardround.study.kind import predicted
from wardround.study.model import Study
from wardround.study.networks import words_of
from wardround.study.transforms import times
from wardround.weights.packing import as_wire

_NO_PRIVACY = (
    "No privacy is accounted: differential privacy was not used, and no ε is claimed. Records did not move, but a model can "
    "hold traces of the records it learned from, and the coordinator saw each hospital’s change of weights."
)
_RESOLUTION = (
    f"AUROC, average precision and calibration are computed from score histograms of {BINS} bins over log-odds of "
    f"±{LOGIT_LIMIT:g}. The ± beside an AUROC or average precision is that resolution, not a confidence interval."
)
_MASKS = (
    "Dice is the mean over the examples in which truth or prediction has the class; where one of them has none it is 0. Surface "
    "distances are of the other examples alone: how many have none stands beside them."
)

_LABELS = (
    "Figures of a label are of the records of which it is known, and of the hospitals that do not withhold it, as they do where "
    "few have it, few have it not, or it is missing in few. Means are over the labels that are shown, each weighing the same: of "
    "hospitals that withhold different labels they are of different labels. A hospital whose records changed after its first "
    "figures left shows none from then on."
)
_NUMBERS = (
    "RMSE, mean absolute error and mean error (prediction less value) are in the schema’s unit, in three digits. R² is one "
    "less the share that squared errors have of the squared distances from the mean of the same records. Of all hospitals "
    "together these are also the distances between hospitals: there it may be higher than at any of them. A hospital whose "
    "records changed after its first figures left shows none from then on."
)
_HOW = {"binary": _RESOLUTION, "classes": _RESOLUTION, "labels": f"{_LABELS} {_RESOLUTION}", "number": _NUMBERS, "mask": _MASKS}
_METRICS = {"auroc": "AUROC", "dice": "Dice", "loss": "loss", "mae": "mean absolute error", "rmse": "RMSE", "r2": "R²"}

_INTERVALS = "Intervals are 95 % score intervals (Wilson) of independent records, though patients of one hospital are alike."
_WITHHELD = (
    "Withheld means that a hospital’s policy does not let the figure or count out, or does not share it, or that one which is "
    "not shared would follow from it. It does not mean zero."
)
_STOPPED = {
    "converged": "since the validation metric no longer improved",
    "maximum": "the most that the study allows",
    "failed": "by failure",
}

Pairs = tuple[tuple[str, str], ...]


def settings_of(bundle: Bundle) -> Pairs:
    """Give the study's settings as (name, words)."""
    study, contract = bundle.study, bundle.contract
    training, optimiser, silos = study.training, study.training.optimiser, study.silos
    arguments = ", ".join(f"{name} = {_plain(value)}" for name, value in sorted(study.network.arguments.items()))
    batch = "one batch of all records" if training.batch_size is None else f"batches of {training.batch_size}"
    extras = [f"momentum {optimiser.momentum:g}"] * (optimiser.momentum > 0)
    extras += [f"weight decay {optimiser.weight_decay:g}"] * (optimiser.weight_decay > 0)
    computed = ", in mixed precision" * (training.precision == "mixed")
    stop = study.convergence
    required = f", {listing(study.silos.required)} required" if silos.required else ""
    return (
        *_schemas(bundle),
        ("One row is", contract.row_grain),
        ("Cohort", study.cohort.where or "all valid records"),
        ("Target", study.target.words),
        *((("Features", f"{len(study.features)}: {', '.join(study.features)}"),) if study.features else ()),
        *_preparation(study),
        (
            "Network",
            f"{words_of(study.network)}{f' ({arguments})' if arguments else ''}, {plural(bundle.manifest.size, 'parameter')}",
        ),
        (
            "Training",
            f"{plural(training.local_epochs, 'local epoch')} a round, {batch}, {training.loss.replace('_', ' ')}{computed}",
        ),
        ("Optimiser", ", ".join([optimiser.name, f"learning rate {optimiser.learning_rate:g}", *extras])),
        ("Strategy", f"{study.strategy}: changes of weights are averaged by training records, in exact integers"),
        (
            "Rounds",
            f"at most {study.rounds.maximum}, {study.rounds.deadline_seconds:g} s each, {plural(study.rounds.retries, 'repeat')}",
        ),
        (
            "Stops",
            f"when validation {stop.metric} has not improved by {stop.minimum_change:g} for {plural(stop.patience, 'round')}",
        ),
        (
            "Hospitals",
            f"at least {silos.minimum}{required}, holding {plural(silos.minimum_records, 'training record')} or more together",
        ),
        (
            "Validation",
            f"a hospital’s figures are used if it has at least {plural(silos.minimum_validation, 'validation record')}",
        ),
        ("Quarantine", f"at most {percent(study.quarantine.max_fraction)} of a hospital’s records may be set aside"),
        (
            "Split",
            f"{study.split.train:g} / {study.split.validation:g} / {study.split.test:g} (training, validation, test), by patient",
        ),
        ("Seed", str(study.seed)),
    )


def _schemas(bundle: Bundle) -> Pairs:
    """Name the schema; of images theirs, and that of the table that belongs to them."""
    contract, imaging = bundle.contract, bundle.imaging
    table = f"{contract.title} ({contract.id} {contract.version})"
    if imaging is None:
        return (("Schema", table),)
    unit = {"HU": "in Hounsfield units", "stored": "as they are stored"}[imaging.intensity.unit]
    return (
        ("Schema of the images", f"{imaging.title} ({imaging.id} {imaging.version}), {summary(imaging)}, numbers {unit}"),
        ("Schema of the table", table if imaging.table is not None else f"{table}, which follows from that of the images"),
    )


def _preparation(study: Study) -> Pairs:
    """Say what becomes of an image before the network sees it: who uses the model has to do the same."""
    images = study.images
    if images is None:
        return ()
    steps = "; ".join(each.describe() for each in images.preparation)
    random = "; ".join(each.describe() for each in images.augmentation)
    slides = f", which slides over the whole image, neighbours overlapping by {percent(images.overlap)}"
    window = f"{times(images.window)}, {'grey' if images.channels == 1 else 'colour'}"
    return (
        ("Preparation", steps or "none"),
        ("In training, at random", random or "nothing"),
        ("The network sees", f"{window}{slides if study.target.kind == 'mask' else ''}"),
    )


def _plain(value: object) -> str:
    return f"[{', '.join(str(each) for each in value)}]" if isinstance(value, tuple) else str(value)


def author_of(bundle: Bundle) -> str:
    """Say whose signature as the author was verified when the bundle was read, if anybody's."""
    author = bundle.author
    if author is None:
        return "signed by nobody: the author’s name is only what somebody typed"
    return f"signed by {author.stated}, fingerprint {author.fingerprint} (the signature was verified)"


def course_of(study: Study, outcome: Outcome) -> str:
    """Say why training stopped, and which weights are released."""
    trained = f"Training stopped after {plural(outcome.rounds, 'round')}, {_STOPPED[outcome.stopped]}."
    if outcome.status == "failed":
        return f"{plural(outcome.rounds, 'round')} of training closed before the study failed."
    if outcome.best_metrics is None:
        return f"{trained} The last weights are released, since no validation figures could be used to choose."
    metric = _METRICS[study.convergence.metric]
    return (
        f"{trained} The weights after round {outcome.best_round} are released: they have the best pooled validation {metric} "
        "of all rounds that the same hospitals evaluated."
    )


def digests_of(bundle: Bundle, outcome: Outcome) -> Pairs:
    """Give what fixes the study and its result, as (name, digest or fingerprint)."""
    found = [
        ("study", bundle.study_hash),
        ("schema", bundle.contract.contract_hash()),
        *([] if bundle.imaging is None else [("schema of the images", bundle.imaging.contract_hash())]),
        ("initial weights", sha256(as_wire(bundle.weights))),
    ]
    if outcome.encoding is not None:
        found.append(("encoding", outcome.encoding.encoding_digest()))
    if outcome.status != "failed":
        found += [
            (name, sha256(as_wire(weights)))
            for name, weights in (("released weights", outcome.best), ("last weights", outcome.last))
            if weights is not None
        ]
    if bundle.author is not None:
        found.append((f"key of {bundle.author.stated}", bundle.author.fingerprint))
    found.append((f"key of {bundle.roster.coordinator.name}", bundle.roster.coordinator.fingerprint))
    found += [(f"keys of {member.name}", member.fingerprint) for member in bundle.roster.silos]
    return tuple(found)


def withheld_of(bundle: Bundle, outcome: Outcome) -> tuple[str, ...]:
    """Say whose figures are not shown, and why."""
    names = {member.site: member.name for member in bundle.roster.silos}
    own = [names[site] for site, why in (outcome.withheld or {}).items() if why == "own policy"]
    others = [names[site] for site, why in (outcome.withheld or {}).items() if why != "own policy"]
    found = []
    if own:
        found.append(f"Figures that are not shared with others, only with the coordinator: those of {listing(own)}.")
    if others:
        found.append(f"Withheld as well, since those would follow from them: the figures of {listing(others)}.")
    return tuple(found)


def synthetic_of(bundle: Bundle, outcome: Outcome) -> tuple[str, ...]:
    """Name the hospitals whose records were made up, of those whose reports are here."""
    made_up = {site for site, report in outcome.reports.items() if report.synthetic}
    names = [member.name for member in bundle.roster.silos if member.site in made_up]
    return (f"SYNTHETIC records, not of patients: those of {listing(names)}. No figure on them says anything.",) if names else ()


def limits_of(bundle: Bundle, outcome: Outcome) -> tuple[str, ...]:
    """Say what the result does not say."""
    kind = predicted(bundle.study, bundle.contract).kind
    found = [*synthetic_of(bundle, outcome), _NO_PRIVACY, _HOW[kind], _WITHHELD, *withheld_of(bundle, outcome)]
    if bundle.study.silos.minimum_validation > 1:
        least = plural(bundle.study.silos.minimum_validation, "validation record")
        found.append(f"Validation figures of hospitals with fewer than {least} are not used.")
    if outcome.status == "failed":
        return tuple(found)
    if outcome.best_metrics is None:
        found.append(
            "No validation figures could be used to choose weights: the last ones are released, which need not be the best."
        )
    hospitals = plural(len(bundle.roster.silos), "hospital")
    found += [
        *(() if kind == "number" else (_INTERVALS,)),
        f"The figures are about the patients of {hospitals}. They do not say how the model does elsewhere, or in later years.",
        "It is the result of a study, not a medical device, and comes with no approval for the care of patients.",
    ]
    return tuple(found)
