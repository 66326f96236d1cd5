"""The trainer: does the porter's work on real files, and lets out counts that nothing small follows from."""

import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from paper_records import done, planned, real_paper, rows, work, write_site

from silo_node.identity import create_identity
from silo_node.policy import POLICY_FILE, Policy
from silo_node.training.trainer import Trainer
from silo_node.work import NotDone
from wardround.canonical import sha256
from wardround.messages.data_report import ShownCell
from wardround.messages.round import EvaluationResult, RoundResult, StatisticsResult
from wardround.weights.fixed_point import needed_exponents
from wardround.weights.norm import l2_norm
from wardround.weights.packing import to_bytes

PAPER = real_paper()
RECORDS = rows(200)


@pytest.fixture
def trainer(tmp_path):
    """Give a function that makes a trainer over some records."""

    def make(content: str = RECORDS, small_cell: int = 3) -> Trainer:
        return Trainer(write_site(tmp_path, content, small_cell))

    return make


def test_statistics_count_the_records(trainer):
    """Training, validation and test records, and the sums of the training records, add up to what the check found."""
    found = done(trainer().perform(work(PAPER, "statistics")))
    result = found.result
    assert isinstance(result, StatisticsResult)
    assert found.change is None
    assert found.records + result.validation + result.test == 200 == result.report.valid.count
    assert {each.field: each.records for each in result.sums} == {"age": found.records, "pressure": found.records}


def test_a_visit_evaluates_then_trains(trainer):
    """The evaluation is of the weights that came, the change is not zero, and the record count is the signed one."""
    one = trainer()
    count = done(one.perform(work(PAPER, "statistics"))).records
    trained = done(one.perform(work(PAPER, "round", records=count)))
    closing = done(one.perform(work(PAPER, "closing", records=count)))
    assert isinstance(trained.result, RoundResult)
    assert isinstance(closing.result, EvaluationResult)
    assert trained.result.evaluation == closing.result.evaluation
    assert trained.records == closing.records == count
    assert trained.change is not None
    assert np.abs(trained.change).max() > 0
    assert closing.change is None
    assert trained.result.training_loss_units > 0


def test_the_test_is_on_the_test_records(trainer):
    """Validation and test figures are of different records, as many as the statistics said."""
    one = trainer()
    statistics = done(one.perform(work(PAPER, "statistics")))
    tested = done(one.perform(work(PAPER, "test", records=statistics.records))).result
    closing = done(one.perform(work(PAPER, "closing", records=statistics.records))).result
    assert tested.evaluation.counts.records == statistics.result.test
    assert closing.evaluation.counts.records == statistics.result.validation
    assert tested.evaluation != closing.evaluation


@pytest.mark.parametrize("optimiser", [{"learning_rate": 0.1, "momentum": 0.9}, {"learning_rate": 0.01, "name": "adam"}])
def test_a_used_trainer_and_a_fresh_one_give_the_same_bytes(trainer, optimiser):
    """Rounds done before leave no trace: momentum, dropout and order are those of the round alone."""
    study = real_paper(
        training={"optimiser": optimiser, "batch_size": 16, "local_epochs": 2},
        network={"name": "FullyConnectedNet", "arguments": {"hidden_channels": (4,), "dropout": 0.3}},
    )
    used, fresh = trainer(), trainer()
    count = done(used.perform(work(study, "statistics"))).records
    weights = study.bundle.weights
    for number in (1, 2):
        weights = weights + done(used.perform(work(study, "round", number, weights, records=count))).change
    used.perform(work(study, "closing", 2, weights, records=count))
    again = done(used.perform(work(study, "round", 3, weights, records=count)))
    first = done(fresh.perform(work(study, "round", 3, weights, records=count)))
    assert to_bytes(again.change) == to_bytes(first.change)
    assert again.result == first.result


def test_the_policy_of_the_approval_holds_beside_the_one_of_now(trainer):
    """What was approved with stricter thresholds is withheld and refused by them, whatever the file says since."""
    one = trainer(small_cell=3)
    asked = work(PAPER, "statistics")
    found = done(one.perform(asked))
    strict = Policy(small_cell=3, metrics_minimum=found.result.validation + 1, maximum_update_norm=1e-6)
    closing = work(PAPER, "closing", records=found.records)
    assert done(one.perform(closing)).result.evaluation.counts is not None
    assert done(one.perform(replace(closing, policy=strict))).result.evaluation.counts is None
    trained = work(PAPER, "round", records=found.records)
    assert one.perform(replace(trained, policy=strict)) == NotDone("H-NORM")
    assert one.perform(replace(asked, policy=Policy(minimum_records=found.records + 1))).code == "H-FEW"
    assert done(one.perform(replace(asked, policy=Policy(small_cell=1)))).result == found.result, "a looser one loosens nothing"


def test_a_result_says_of_which_records_it_is(tmp_path):
    """A hospital with keys gives the same fingerprint for the same records, in any order, kept results too; not for others."""
    create_identity(tmp_path, "north", "Northern Infirmary")
    head, *lines = RECORDS.splitlines(keepends=True)

    def told(content: str) -> tuple[str | None, str | None]:
        one = Trainer(write_site(tmp_path, content))
        count = done(one.perform(work(PAPER, "statistics"))).records
        asked = work(PAPER, "round", records=count)
        return done(one.perform(asked)).data, done(one.perform(asked)).data

    first, kept = told(RECORDS)
    assert first is not None
    assert first == kept
    assert told("".join([head, *reversed(lines)])) == (first, first)
    assert first not in told("".join([head, *lines[:-1]]))


def test_each_round_has_its_own_order(trainer):
    """The same weights in another round are trained in another order."""
    study = real_paper(training={"optimiser": {"learning_rate": 0.1}, "batch_size": 16})
    one = trainer()
    count = done(one.perform(work(study, "statistics"))).records
    changes = [to_bytes(done(one.perform(work(study, "round", number, records=count))).change) for number in (1, 2, 1)]
    assert changes[0] == changes[2] != changes[1]


def test_torchs_generator_is_left_as_it_was(trainer):
    """A whole visit, building the network included, neither draws from nor seeds torch's global generator."""
    one = trainer()
    count = done(one.perform(work(PAPER, "statistics"))).records
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    one.perform(work(PAPER, "round", records=count))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_fresh_process_gives_the_same_bits(tmp_path):
    """The same task on the same records in another process gives the same change, bit by bit."""
    study = real_paper(training={"optimiser": {"learning_rate": 0.1}, "batch_size": 16})
    site = write_site(tmp_path, RECORDS)
    count = done(Trainer(site).perform(work(study, "statistics"))).records
    change = done(Trainer(site).perform(work(study, "round", records=count))).change
    study.bundle.write(site.folder / "b.wardround")
    program = (
        "import pathlib, sys\n"
        "from silo_node.configuration import load_site; from silo_node.training.trainer import Trainer\n"
        "from wardround.study.bundle import read_bundle; from wardround.messages.round import ORDER\n"
        "from wardround.canonical import sha256; from wardround.weights.packing import to_bytes\n"
        "from silo_node.work import Work\n"
        "folder = pathlib.Path(sys.argv[1]); bundle = read_bundle(folder / 'b.wardround')\n"
        "work = Work(bundle, ORDER.validate_json((folder / 'task').read_bytes()), bundle.weights)\n"
        "print(sha256(to_bytes(Trainer(load_site(folder / 'site.yaml')).perform(work).change)))\n"
    )
    (site.folder / "task").write_text(work(study, "round", records=count).task.model_dump_json(by_alias=True))
    answer = subprocess.run([sys.executable, "-c", program, str(site.folder)], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == sha256(to_bytes(change))


def test_another_record_count_is_noticed(trainer):
    """When the records are not as many as were signed, nothing is trained: H-CHANGED."""
    one = trainer()
    count = done(one.perform(work(PAPER, "statistics"))).records
    for records in (count - 1, count + 1):
        assert one.perform(work(PAPER, "round", records=records)) == NotDone("H-CHANGED")


def test_bad_records_are_told_by_codes(trainer):
    """Records that break the schema are H-DATA with the outgoing report, which holds no value."""
    found = trainer(RECORDS.replace(",present", ",Meyer")).perform(work(PAPER, "statistics"))
    assert isinstance(found, NotDone)
    assert found.code == "H-DATA"
    assert found.report is not None
    assert not found.report.passed
    assert "Meyer" not in found.report.model_dump_json()


def test_too_few_records_do_not_train(trainer):
    """Below the hospital's threshold nothing is trained, and the report says too few, not how few."""
    found = trainer(rows(20), small_cell=18).perform(work(PAPER, "statistics"))
    assert isinstance(found, NotDone)
    assert found.code in ("H-DATA", "H-FEW")
    shown = [cell.count for cell in (found.report.found, found.report.valid) if isinstance(cell, ShownCell)]
    assert not any(0 < count < 18 for count in shown)


def test_figures_of_few_records_are_withheld(trainer):
    """Below the policy's minimum an evaluation is withheld, not zero."""
    one = trainer(rows(60), small_cell=20)
    found = done(one.perform(work(PAPER, "statistics")))
    assert (found.result.validation, found.result.test) == (None, None)
    assert done(one.perform(work(PAPER, "round", records=found.records))).result.evaluation.counts is None


@pytest.fixture
def decides(tmp_path):
    """Give a function that writes the hospital's policy, under a trainer that goes on."""
    return (tmp_path / POLICY_FILE).write_text


def test_a_new_policy_holds_for_the_next_task(trainer, decides):
    """What is withheld and how many records are enough follow the policy of the moment, and the records are looked at anew."""
    one = trainer(rows(60))
    found = done(one.perform(work(PAPER, "statistics")))
    assert found.result.validation is not None
    first = done(one.perform(work(PAPER, "round", records=found.records)))
    assert first.result.evaluation.counts is not None
    decides("small_cell: 20\n")
    assert done(one.perform(work(PAPER, "statistics"))).result.validation is None
    assert done(one.perform(work(PAPER, "closing", records=found.records))).result.evaluation.counts is None
    decides(f"minimum_records: {found.records + 1}\n")
    for number, looked_at in ((1, False), (2, True)):  # the first was trained before
        refused = one.perform(work(PAPER, "round", number, records=found.records))
        assert isinstance(refused, NotDone)
        assert (refused.code, refused.report is not None) == ("H-FEW", looked_at)
    decides("small_cell: 3\n")
    again = done(one.perform(work(PAPER, "round", records=found.records)))
    assert to_bytes(again.change) == to_bytes(first.change)


def test_figures_that_were_made_before_are_withheld_too(trainer, decides):
    """A result that was computed under a looser policy leaves without the figures that the policy of now withholds."""
    one = trainer(rows(60))
    count = done(one.perform(work(PAPER, "statistics"))).records
    asked = work(PAPER, "round", records=count)
    produced = one.produce(asked)
    assert done(produced).result.evaluation.counts is not None
    decides("metrics_minimum: 50\n")
    answered = done(one.answer(asked, produced))
    assert answered.result.evaluation.counts is None
    assert to_bytes(answered.change) == to_bytes(done(produced).change)


@pytest.mark.parametrize("purpose", ["statistics", "closing"])
def test_counts_that_were_made_before_are_made_anew(trainer, decides, purpose):
    """The policy was tightened while the records were counted: no gate need keep that back, it is asked for again."""
    one = trainer(rows(60))
    count = done(one.perform(work(PAPER, "statistics"))).records
    asked = work(PAPER, purpose, records=None if purpose == "statistics" else count)
    produced = one.produce(asked)
    decides("small_cell: 20\n")
    again = one.answer(asked, produced)
    assert isinstance(again, NotDone)
    assert (again.code, again.report) == ("H-AGAIN", None)
    result = done(one.perform(asked)).result
    assert (result.validation if purpose == "statistics" else result.evaluation.counts) is None


def test_a_policy_that_cannot_be_read_stops_the_work(trainer, decides):
    """No record is read under a policy with a mistake, and nothing that was computed is given."""
    one = trainer()
    count = done(one.perform(work(PAPER, "statistics"))).records
    asked = work(PAPER, "round", records=count)
    produced = one.produce(asked)
    decides("small_cell: few\n")
    for outcome in (one.perform(work(PAPER, "statistics")), one.perform(asked), one.answer(asked, produced)):
        assert isinstance(outcome, NotDone)
        assert outcome.code == "H-POLICY"


def test_a_change_that_the_policy_never_lets_out_asks_for_no_wider_plan(trainer, decides):
    """Too large for the policy comes before too large for the sum: no exponents leave, and nobody's plan is widened."""
    one = trainer()
    count = done(one.perform(work(PAPER, "statistics"))).records
    asked = work(PAPER, "round", records=count)
    narrow = planned(asked, tuple(-60 for _ in PAPER.bundle.manifest.tensors))
    assert one.perform(narrow).code == "H-RANGE"
    norm = l2_norm(done(one.perform(asked)).change)
    decides(f"small_cell: 3\nmaximum_update_norm: {norm * 0.999}\n")
    refused = one.perform(narrow)
    assert isinstance(refused, NotDone)
    assert (refused.code, refused.exponents) == ("H-NORM", None)
    decides(f"small_cell: 3\nmaximum_update_norm: {norm * 1.001}\n")
    assert done(one.perform(asked)).change is not None


def test_a_change_that_the_study_does_not_admit_asks_for_no_wider_plan(trainer):
    """The study's own limit holds without any of the hospital's, and comes before the range of the sum too."""
    study = real_paper(rounds={"maximum": 3, "maximum_change_norm": 1e-6})
    one = trainer()
    asked = work(study, "round", records=done(one.perform(work(study, "statistics"))).records)
    for each in (asked, planned(asked, tuple(-60 for _ in study.bundle.manifest.tensors))):
        refused = one.perform(each)
        assert isinstance(refused, NotDone)
        assert (refused.code, refused.exponents) == ("H-NORM", None)


@pytest.mark.parametrize("small_cell", [3, 11])
@pytest.mark.parametrize(("count", "without_target"), list(itertools.product((40, 50, 64, 200), (0, 1, 5, 20))))
def test_nothing_small_follows_from_what_leaves(trainer, small_cell, count, without_target):
    """From all counts that a hospital sends in a study, no difference of sets of its records lies between 1 and the threshold."""
    study = real_paper(optional_target=True, quarantine={"max_fraction": 0.5})
    one = trainer(rows(count, without_target=without_target, missing=2), small_cell=small_cell)
    found = one.perform(work(study, "statistics"))
    if isinstance(found, NotDone):
        assert found.code in ("H-DATA", "H-FEW")
        return
    result, report = found.result, found.result.report
    wholes = [cell.count for cell in (report.valid, report.found) if isinstance(cell, ShownCell)]
    for purpose, size in (("closing", result.validation), ("test", result.test)):
        scored = done(one.perform(work(study, purpose, records=found.records))).result.evaluation.counts
        assert (0 if scored is None else scored.records) == (size or 0)
    parts = [found.records, *(size for size in (result.validation, result.test) if size)]
    sets = [sum(chosen) for number in range(len(parts) + 1) for chosen in itertools.combinations(parts, number)]
    assert not [whole - part for whole in wholes for part in sets if 0 < whole - part < small_cell]
    assert not [part for part in parts if 0 < part < small_cell]
    for sums in result.sums:
        assert sums.records == 0 or sums.records >= small_cell
        assert found.records - sums.records not in range(1, small_cell)


def test_an_exploding_round_is_a_code(trainer):
    """A change that leaves the plan's range is H-RANGE with what would hold it, one that leaves the numbers H-NONFINITE."""
    study = real_paper(training={"optimiser": {"learning_rate": 10.0}, "batch_size": None})
    one = trainer()
    count = done(one.perform(work(study, "statistics"))).records
    tiny, huge = study.bundle.weights * np.float32(2.0**-20), study.bundle.weights * np.float32(1e38)
    narrow = work(study, "round", 2, tiny, records=count, total=2**33 - 1)
    refused = one.perform(narrow)
    assert isinstance(refused, NotDone)
    assert (refused.code, refused.report) == ("H-RANGE", None)
    assert refused.exponents != narrow.task.core.plan.exponents
    given = done(one.perform(planned(narrow, refused.exponents)))
    assert needed_exponents(given.change, study.bundle.manifest, narrow.task.core.plan) == refused.exponents
    assert one.perform(work(study, "round", 2, huge, records=count)) == NotDone("H-NONFINITE")
