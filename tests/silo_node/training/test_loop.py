"""Plain torch loops: the same numbers as one would write by hand, nothing left behind."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.training.encode import TableExamples
from silo_node.training.evaluation import EVALUATION_BATCH, evaluate
from silo_node.training.loop import NotFinite, train
from silo_node.training.losses import BinaryCrossEntropy
from wardround.metrics.pooled import LOSS_UNIT, measure
from wardround.models.build import build_network, initial_weights, read_weights, write_weights
from wardround.study.model import Network, Optimiser, Training
from wardround.study.shape import Shape
from wardround.weights.fixed_point import ExactSum, plan_sum
from wardround.weights.packing import Vector, to_bytes

WIDTH = 5
LOSS = BinaryCrossEntropy()


def network(**arguments) -> Network:
    return Network(name="FullyConnectedNet", arguments={"hidden_channels": (6, 3), **arguments})


def settings_of(**changes) -> Training:
    optimiser = Optimiser(**{"learning_rate": 0.1, **changes.pop("optimiser", {})})
    return Training(optimiser=optimiser, **{"batch_size": 8, **changes})


def examples(count: int, seed: int = 0) -> TableExamples:
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(count, WIDTH)).astype(np.float32)
    return TableExamples(inputs, random.random(count) < 1 / (1 + np.exp(-inputs[:, 0].astype(np.float64))))


def part(whole: TableExamples, chosen) -> TableExamples:
    return TableExamples(whole.inputs[chosen], whole.labels[chosen])


def trained(records: TableExamples, how: Training, net: Network | None = None, seed: int = 1, used=None) -> Vector:
    """Give the weights after a round from the same initial weights, in a fresh network or a used one."""
    net = net or network()
    vector, manifest = initial_weights(net, Shape.of_table(WIDTH), seed=3)
    built = used or build_network(net, Shape.of_table(WIDTH))
    write_weights(built, vector, manifest)
    train(built, records, how, LOSS, seed)
    return read_weights(built)[0]


WHOLE = examples(60)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 3), min_size=60, max_size=60),
    st.sampled_from([0.0, 0.01]),
    st.sampled_from([0.0, 0.9]),
    st.sampled_from([0.05, 0.5]),
)
def test_one_full_batch_step_for_any_split_is_the_centralised_step(owners, decay, momentum, rate):
    """One full-batch SGD step at each hospital, summed exactly by records, equals one step on all records to 1e-6."""
    how = settings_of(batch_size=None, optimiser={"learning_rate": rate, "weight_decay": decay, "momentum": momentum})
    before, manifest = initial_weights(network(), Shape.of_table(WIDTH), seed=3)
    total = ExactSum(manifest, plan_sum(before, manifest, len(owners)))
    for hospital in sorted(set(owners)):
        chosen = np.array(owners) == hospital
        total.add(trained(part(WHOLE, chosen), how) - before, int(chosen.sum()))
    assert total.records == WHOLE.size
    np.testing.assert_allclose(total.step(before), trained(WHOLE, how), rtol=0, atol=1e-6)


def test_the_step_is_the_gradient_step():
    """One full-batch SGD step is w - rate × gradient of the mean loss, by the derivative of logistic regression itself."""
    net = network(hidden_channels=())
    before, manifest = initial_weights(net, Shape.of_table(WIDTH), seed=3)
    after = trained(WHOLE, settings_of(batch_size=None), net)
    parts = {tensor.name.rsplit(".", 1)[-1]: place for tensor, place in manifest.slices()}
    weight, bias = before[parts["weight"]].astype(np.float64), before[parts["bias"]].astype(np.float64)
    error = 1 / (1 + np.exp(-(WHOLE.inputs @ weight + bias))) - WHOLE.labels
    np.testing.assert_allclose(after[parts["weight"]], weight - 0.1 * (error @ WHOLE.inputs) / WHOLE.size, atol=1e-6)
    np.testing.assert_allclose(after[parts["bias"]], bias - 0.1 * error.mean(), atol=1e-6)


@pytest.mark.parametrize("optimiser", [{"momentum": 0.9}, {"name": "adam"}])
def test_nothing_leaks_from_round_to_round(optimiser):
    """A network that trained other rounds before gives the same bytes as a fresh one: no momentum, no random state is kept."""
    how = settings_of(optimiser=optimiser, local_epochs=2)
    net = network(dropout=0.3)
    used = build_network(net, Shape.of_table(WIDTH))
    for seed in (5, 6):
        train(used, examples(40, seed), how, LOSS, seed)
    evaluate(used, WHOLE)
    assert to_bytes(trained(WHOLE, how, net, used=used)) == to_bytes(trained(WHOLE, how, net))


def test_no_gradient_is_held_after_a_training():
    """Gradients are as large as the weights; between two trainings they are nobody's."""
    built = build_network(network(), Shape.of_table(WIDTH))
    trained(WHOLE, settings_of(), used=built)
    assert all(parameter.grad is None for parameter in built.parameters())


def test_torchs_generator_is_left_as_it_was():
    """Training and evaluating draw nothing from torch's global generator, and do not seed it."""
    torch.manual_seed(11)
    state = torch.random.get_rng_state()
    built = build_network(network(dropout=0.5), Shape.of_table(WIDTH))
    torch.random.set_rng_state(state)
    train(built, WHOLE, settings_of(), LOSS, seed=1)
    evaluate(built, WHOLE)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_was_drawn_before_does_not_matter():
    """Order and dropout come from the seed alone; another seed gives another order."""
    net = network(dropout=0.5)
    first = trained(WHOLE, settings_of(), net)
    torch.randn(17)
    assert to_bytes(trained(WHOLE, settings_of(), net)) == to_bytes(first)
    assert to_bytes(trained(WHOLE, settings_of(), net, seed=2)) != to_bytes(first)


def test_dropout_works_in_training_alone():
    """With dropout training differs from training without; evaluation is the same twice."""
    assert to_bytes(trained(WHOLE, settings_of(), network(dropout=0.5))) != to_bytes(trained(WHOLE, settings_of(), network()))
    built = build_network(network(dropout=0.5), Shape.of_table(WIDTH))
    train(built, WHOLE, settings_of(), LOSS, seed=1)
    assert evaluate(built, WHOLE) == evaluate(built, WHOLE)


def test_every_record_counts_once_in_an_epoch():
    """A linear model with gradients that add up: one epoch in batches of 1 visits each record once, the last small batch too."""
    seen: list[int] = []

    class Watched(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, inputs):
            seen.extend(inputs[:, 0].int().tolist())
            return inputs[:, :1] * self.weight

    inputs = np.zeros((10, WIDTH), np.float32)
    inputs[:, 0] = np.arange(10)
    train(Watched(), TableExamples(inputs, np.zeros(10, np.bool_)), settings_of(batch_size=4, local_epochs=2), LOSS, seed=1)
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:], "each epoch has its own order"


def test_the_loss_is_the_mean_over_the_records_of_the_last_epoch():
    """With a vanishing learning rate the training loss is the mean loss that evaluation finds, whatever the batches."""
    built = build_network(network(), Shape.of_table(WIDTH))
    loss = train(built, WHOLE, settings_of(batch_size=7, optimiser={"learning_rate": 1e-12}), LOSS, seed=1)
    assert loss == pytest.approx(measure(evaluate(built, WHOLE)).loss, abs=1e-5)


def test_evaluation_counts_every_record():
    """Scores and labels are counted as numpy counts them, and the weights stay as they are."""
    built = build_network(network(), Shape.of_table(WIDTH))
    before = to_bytes(read_weights(built)[0])
    counts = evaluate(built, WHOLE)
    assert to_bytes(read_weights(built)[0]) == before
    assert (counts.records, sum(counts.positives)) == (60, int(WHOLE.labels.sum()))
    with torch.no_grad():
        logits = built(torch.from_numpy(WHOLE.inputs)).reshape(-1).numpy().astype(np.float64)
    loss = np.logaddexp(0, np.where(WHOLE.labels, -logits, logits)).sum()
    assert counts.loss_units * LOSS_UNIT == pytest.approx(loss, abs=60 * 1e-6)


def test_evaluation_in_batches_changes_no_count(monkeypatch):
    """How many records are evaluated at once cannot be seen."""
    built = build_network(network(), Shape.of_table(WIDTH))
    whole = evaluate(built, WHOLE)
    assert WHOLE.size < EVALUATION_BATCH
    monkeypatch.setattr("silo_node.training.evaluation.EVALUATION_BATCH", 7)
    found = evaluate(built, WHOLE)
    assert (found.positives, found.negatives) == (whole.positives, whole.negatives)
    assert abs(found.loss_units - whole.loss_units) <= WHOLE.size


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_stop_the_round(bad):
    """Weights that explode, or were not numbers, raise NotFinite instead of giving figures."""
    built = build_network(network(), Shape.of_table(WIDTH))
    vector, manifest = read_weights(built)
    vector[:] = bad
    write_weights(built, vector, manifest)
    with pytest.raises(NotFinite):
        evaluate(built, WHOLE)
    with pytest.raises(NotFinite):
        train(built, WHOLE, settings_of(), LOSS, seed=1)


def test_an_exploding_round_is_noticed():
    """A learning rate that makes the weights overflow ends in NotFinite, or in weights that are refused as not finite."""
    huge = TableExamples(WHOLE.inputs * np.float32(1e30), WHOLE.labels)
    built = build_network(network(), Shape.of_table(WIDTH))
    try:
        train(built, huge, settings_of(local_epochs=3, optimiser={"learning_rate": 100.0}), LOSS, seed=1)
    except NotFinite:
        return
    assert not np.isfinite(read_weights(built)[0]).all()
