"""A whole study in which hospitals tell how their records are distributed: from tables to the release, and back to no record."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hospitals_on_disk import FEATURES, Answer, Command, Ready, deal, prepare
from ledgers import ledger_of
from studies_on_paper import study

from wardround.console import run
from wardround.messages.distribution import told_fields

PLANTED = "Zebra7471"
SHARED = "share_metrics: consortium\nshare_distributions: consortium\n"


def ready(wardround: Command, folder: Path, policies: dict[str, str], sizes=(170, 150, 120, 110), **changes: Any) -> Ready:
    """Prepare a study that asks for distributions, at hospitals with these policies."""
    hospitals = deal(folder, sizes)
    for hospital in hospitals:
        (hospital.folder / "policy.yaml").write_text(policies.get(hospital.folder.name, SHARED))
    return prepare(wardround, folder, hospitals, statistics={"distributions": True}, **changes)


def comparability(found: Ready) -> dict:
    return json.loads((found.release() / "comparability.json").read_text())


def at(report: dict, field: str) -> dict[str, dict]:
    return {site["site"]: site for each in report["fields"] if each["field"] == field for site in each["sites"]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """Conduct one study at four hospitals that share everything."""

    def command(*words: object) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run([str(word) for word in words])
        return Answer(status, out.getvalue(), err.getvalue())

    found = ready(command, tmp_path_factory.mktemp("shared"), {})
    answer = found.simulate(command)
    assert answer.status == 0, answer.err
    return found


def test_every_field_of_every_hospital_is_compared(shared: Ready) -> None:
    """Target and features, each cell once; the ledger names what left, and the sums of the release's files hold."""
    report = comparability(shared)
    assert [each["field"] for each in report["fields"]] == ["diagnosis", *FEATURES]
    assert set(at(report, "diagnosis")) == {"alpha", "beta", "gamma", "delta"}
    for field in report["fields"]:
        for site in field["sites"]:
            cells = sorted(cell for group in site["groups"] for cell in group["cells"])
            size = len(field["edges"]) + 2 if field["edges"] else len(field["values"]) + 1
            assert cells == (list(range(size)) if site["hidden"] is None else [])
            assert all(group["count"] == 0 or group["count"] >= 11 for group in site["groups"])
    left = [entry for entry in ledger_of(shared.hospitals[0].folder) if entry["event"] == "release"]
    assert ["distributions" in entry["figures"] for entry in left] == [True, *[False] * (len(left) - 1)]
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=shared.release(), check=True, capture_output=True)


def test_the_page_stands_alone(shared: Ready) -> None:
    """No script, nothing from outside, every hospital and field on it."""
    page = (shared.release() / "comparability.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert all(f"Hospital {name}" in page for name in ("alpha", "beta", "gamma", "delta"))
    assert page.count('<svg class="chart"') == 1 + len(FEATURES)


def test_the_coordinator_of_a_simulation_sees_its_own_report(tmp_path: Path, wardround: Command) -> None:
    """As `coordinator statistics` would write it: what the release withholds is there, for the owner's eyes only."""
    found = ready(wardround, tmp_path, dict.fromkeys(("alpha", "beta"), ""), sizes=(200, 190))
    answer = found.simulate(wardround)
    assert answer.status == 0, answer.err
    page = Path(str(answer.json()["comparability"]))
    report = json.loads(page.with_suffix(".json").read_text())
    assert report["for_whom"] == "coordinator"
    assert {site["hidden"] for site in at(report, "diagnosis").values()} == {None}
    assert {site["hidden"] for site in at(comparability(found), "diagnosis").values()} == {"policy"}
    assert page.stat().st_mode & 0o077 == 0
    assert "Field by field" in page.read_text()


def test_a_hospital_that_forbids_it_stays_in_the_study_and_is_withheld(tmp_path: Path, wardround: Command) -> None:
    """It trains and counts; nothing of its distributions leaves, and of no other hospital what would give it away."""
    found = ready(wardround, tmp_path, {"beta": "share_metrics: consortium\nshare_distributions: nobody\n"})
    answer = found.simulate(wardround)
    assert answer.status == 0, answer.err
    assert answer.json()["counted"] == ["alpha", "beta", "delta", "gamma"]
    hidden = {name: site["hidden"] for name, site in at(comparability(found), "radius_mean").items()}
    assert hidden["beta"] == "policy"
    assert sorted(why for why in hidden.values() if why) == ["others", "others", "policy"], "three together"
    beta = next(hospital for hospital in found.hospitals if hospital.folder.name == "beta")
    left = [entry for entry in ledger_of(beta.folder) if entry["event"] == "release"]
    assert not any("distributions" in entry["figures"] for entry in left)


def test_the_review_says_what_would_be_told(tmp_path: Path, wardround: Command) -> None:
    """Under what leaves, with the fields; and what the hospital's own policy makes of it."""
    found = ready(wardround, tmp_path, {"alpha": "share_distributions: nobody\n"}, sizes=(120, 90), approve=False)
    quickly = ("--no-records", "--no-example")
    words = [wardround("silo", "review", found.bundle, "--site", hospital.site, *quickly).out for hospital in found.hospitals]
    assert all("distribution of a field" in said for said in words)
    assert "told never" in words[0]
    assert "told to everybody who gets the release" in words[1]


def test_no_cell_of_a_table_is_in_what_was_told(tmp_path: Path, wardround: Command) -> None:
    """A name that stands in a hospital's table is in no byte of the release, and no value of a record is."""
    found = ready(wardround, tmp_path, {}, sizes=(120, 90), quarantine={"max_fraction": 0.5})
    table = found.hospitals[0].table
    header, first, *rows = table.read_text().splitlines()
    values = first.split(",")
    values[header.split(",").index("diagnosis")] = PLANTED
    table.write_text("\n".join([header, ",".join(values), *rows]) + "\n")
    assert found.simulate(wardround).status == 0
    written = b"".join(path.read_bytes() for path in found.release().iterdir())
    assert PLANTED.encode() not in written
    numbers: list[float] = []
    columns = [header.split(",").index(name) for name in FEATURES]
    cells = {float(cell) for row in rows for column in columns if len(cell := row.split(",")[column]) > 5}
    told = json.loads((found.release() / "comparability.json").read_text(), parse_float=lambda text: numbers.append(float(text)))
    assert told
    assert numbers
    assert cells.isdisjoint(numbers), "means and deviations are none of anybody"


def test_told_fields_are_target_and_features() -> None:
    """What a study asks of is what it reads."""
    assert told_fields(study()) == ("disease", "age", "pressure", "pain")


def test_by_default_the_release_shows_nobodys(tmp_path: Path, wardround: Command) -> None:
    """Without a word in the policies the coordinator alone sees distributions."""
    found = ready(wardround, tmp_path, dict.fromkeys(("alpha", "beta", "gamma"), ""), sizes=(120, 90, 80))
    assert found.simulate(wardround).status == 0
    report = comparability(found)
    assert report["for_whom"] == "consortium"
    assert {site["hidden"] for field in report["fields"] for site in field["sites"]} == {"policy"}
    assert "Nothing can be compared" in (found.release() / "comparability.html").read_text()
