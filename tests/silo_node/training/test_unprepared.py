"""An image of which only the pixels tell that it cannot be prepared: said as what it is, and of how many."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from paper_records import work
from studies_on_paper import Paper, paper

from silo_node.configuration import load_site
from silo_node.imaging import preparable
from silo_node.training.trainer import Trainer
from silo_node.work import NotDone
from wardround.models.commands import make_bundle
from wardround.study.check import load_study
from wardround.study.encoding import encoding_by
from wardround.study.model import Study
from wardround_lab.phantoms.hospital import PSEUDONYM, Department, write_export
from wardround_lab.phantoms.series import Scanner
from wardround_lab.phantoms.volume import Grid

DEMO = Path(str(files("wardround_lab.demo")))
PLAIN = Department("north", 7, Scanner(Grid(48, 1.7, 12, 3.0, 3.0), 8.0), ((-60.0, -40.0),))
LONG = Department("long", 2, Scanner(Grid(48, 1.7, 24, 3.0, 3.0), 8.0), ((-60.0, -40.0),), first_patient=2001)


def cropping_paper() -> Paper:
    """A study that cuts out the foreground before its spacing, so that no header says how large an image becomes."""
    study, contract, imaging = load_study(DEMO / "phantom-lesions.yaml", (DEMO / "schemas",))
    first, *others = [each.model_dump() for each in study.images.preparation]
    crop = {"name": "CropForeground", "threshold": -5000.0}
    told = study.images.model_dump() | {"preparation": (first, crop, *others)}
    made = paper(("alpha", "beta", "north"))
    cropping = Study.model_validate(study.model_dump() | {"images": told})
    return Paper(make_bundle(cropping, contract, made.bundle.roster, imaging), made.key, made.parties)


def test_what_only_the_pixels_tell_is_no_change_of_the_files(tmp_path, monkeypatch, caplog):
    """The centre is told H-DATA with the code and no count; the hospital's log, of how many images, and what to do."""
    monkeypatch.setattr(preparable, "MOST_VOXELS", 45_000)  # a series of 12 slices has 30,000 at 2 mm
    write_export(tmp_path / "scans", PLAIN, 1)
    write_export(tmp_path / "scans" / "long", LONG, 1)
    source = f'{{format: dicom, path: scans, pseudonym: "{PSEUDONYM}"}}'
    text = f"site: north\nname: North\nsources:\n  scans: {source}\nschemas:\n  phantom.lesion: {{source: scans}}\n"
    (tmp_path / "site.yaml").write_text(text)
    (tmp_path / "policy.yaml").write_text("small_cell: 1\nminimum_records: 1\n")
    made = cropping_paper()
    trainer = Trainer(load_site(tmp_path / "site.yaml"))
    records = trainer.perform(work(made, "statistics")).records
    asked = work(made, "round", records=records)
    encoding = encoding_by(made.bundle.contract, made.bundle.study, {})
    outcome = trainer.perform(replace(asked, task=asked.task.model_copy(update={"encoding": encoding})))
    assert isinstance(outcome, NotDone)
    assert outcome.code == "H-DATA"
    assert not outcome.report.passed
    (finding,) = outcome.report.findings
    assert (finding.code, hasattr(finding.records, "count")) == ("D-PREPARE", False)
    assert "2 of the records' images cannot be prepared, the first because it would be too large" in caplog.text
    assert "2001" not in caplog.text
