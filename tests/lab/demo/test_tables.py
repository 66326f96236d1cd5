"""The last table compares models by the metric that their study has."""

from masks_on_paper import overlaps
from studies_on_paper import scores

from coordinator.release.comparison import Comparison, ModelRow, SiteRecords
from wardround.metrics.pooled import measure
from wardround_lab.demo.tables import models_table


def labels(counts, classes=()) -> list[str]:
    found = measure(counts, classes)
    records = SiteRecords(site="alpha", name="Alpha", found=30, quarantined=0, used=30, train=10, validation=10, test=10)
    model = ModelRow(name="federated", kind="federated", per_site={"alpha": found}, overall=found)
    table = models_table(Comparison(models=(model,), records=(records,)))
    return [cell for cell in table.columns[0].cells if cell]


def test_masks_are_compared_by_dice_and_scores_by_ranking():
    assert labels(overlaps(10, 0.5, 0.4), ("liver", "tumour")) == ["Dice"]
    assert labels(scores([150] * 5, [100] * 5)) == ["AUROC", "accuracy"]
