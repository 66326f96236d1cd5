"""The doctors beside what runs: a whole centre and a hospital, joined and up, seen from both sides and not disturbed."""

from __future__ import annotations

from wardround.supervision.house import read_state


def named(answer) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for line in answer.json()["lines"]:
        found.setdefault(line["name"], []).append(line)
    return found


def states(lines) -> set[str]:
    return {line["state"] for line in lines}


def test_the_doctors_see_what_runs(ward, wardround):
    """A joined hospital beside a centre that is down, then up, then with its own node up; each time its line says so."""
    hospital = ward.hospitals[0]
    site = ("silo", "doctor", "--site", hospital.site, "--format", "json")
    centre = ("coordinator", "doctor", ward.centre, "--format", "json")
    bundle = ward.build(silos={"minimum": 1})
    ward.command("silo", "approve", bundle, "--site", hospital.site, "--approver", "Dr A", "--role", "DPO")
    down = wardround(*site)
    assert down.status == 1
    assert states(named(down)["centre"]) == {"fail"}
    ward.start_centre().up()
    up = wardround(*site)
    assert up.status == 0, up.out
    found = named(up)
    for name in ("name", "centre", "proxy", "certificate", "certificates end", "clock", "enrolled", "studies", "records"):
        assert states(found[name]) == {"ok"}, found[name]
    assert "running trainer" not in found
    ward.start_hospital(hospital).up()
    before = read_state(hospital.folder / "run")
    found = named(ward.command(*site, "--deep"))
    assert found["service"][0]["finding"].startswith("the node runs: trainer ready")
    log = (hospital.folder / "logs" / "trainer.log").read_text()
    assert states(found["running trainer"]) == {"ok" if "cut by kernel" in log else "warn"}
    assert states(found["network cut"]) == states(found["running trainer"])
    assert len(found["privileges"]) == len(found["running privileges"]) == 1
    assert states(found["enrolled"]) == {"ok"}
    assert states(found["local step"]) == {"ok"}
    assert read_state(hospital.folder / "run") == before
    seen = named(ward.command(*centre))
    assert states(seen["port"]) == {"ok"}
    assert "answers" in seen["port"][0]["finding"]
    assert states(seen["public address"]) == {"ok"}
    assert "3 enrolled" in seen["hospitals"][0]["finding"]
    assert seen["service"][0]["finding"].startswith("the centre runs: superlink ready")
