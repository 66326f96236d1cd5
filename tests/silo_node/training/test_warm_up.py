"""What a first round would pay for is paid before it: nothing is imported in it."""

import subprocess
import sys

from paper_records import done, real_paper, rows, work, write_site

from silo_node.training.trainer import Trainer
from wardround.study.bundle import SUFFIX

PROGRAM = """
import pathlib, sys
import torch
import silo_node.training.serve
from silo_node.configuration import load_site
from silo_node.training.trainer import Trainer
from silo_node.training.warm_up import warm_up
from silo_node.work import Work
from wardround.messages.round import ORDER
from wardround.study.bundle import read_bundle
folder = pathlib.Path(sys.argv[1])
state = torch.random.get_rng_state()
warm_up()
assert torch.equal(torch.random.get_rng_state(), state)
bundle = read_bundle(folder / "b.wardround")
trainer = Trainer(load_site(folder / "site.yaml"))
loaded = set(sys.modules)
for name in ("statistics", "round"):
    task = ORDER.validate_json((folder / name).read_bytes())
    outcome = trainer.perform(Work(bundle, task, None if name == "statistics" else bundle.weights))
    assert type(outcome).__name__ == "Done", outcome
print(sorted(set(sys.modules) - loaded))
"""


def test_the_first_round_imports_nothing(tmp_path):
    """After the warm-up, reading, checking, encoding, evaluating and training with Adam load no module; no random state moves."""
    study = real_paper(training={"optimiser": {"learning_rate": 0.01, "name": "adam"}, "batch_size": 16})
    site = write_site(tmp_path, rows(200))
    count = done(Trainer(site).perform(work(study, "statistics"))).records
    study.bundle.write(site.folder / f"b{SUFFIX}")
    for name in ("statistics", "round"):
        (site.folder / name).write_text(work(study, name, records=count).task.model_dump_json(by_alias=True))
    answer = subprocess.run([sys.executable, "-c", PROGRAM, str(site.folder)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "[]"
