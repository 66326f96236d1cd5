"""``policy.yaml``: read strictly, read anew, written by init, and never looser by accident."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from clinic_on_disk import CLINIC, load_contract, make_site, rows
from hospitals_on_disk import Command, write_hospital

from silo_node.identity import create_identity
from silo_node.policy import DEFAULT_TEXT, POLICY_FILE, Policy, PolicyFile, parse_policy, stricter
from silo_node.validation.check import check
from wardround.errors import Refused
from wardround.messages.data_report import ShownCell, WithheldCell

WHOLE = """
coordinators: ["12345 12345 12345 12345 12345 12345"]
authors: ["12345 12345 12345 12345 12345 12345"]
other_schemas: []
networks: {FullyConnectedNet: {maximum_weights: 1000}}
strategies: [fedavg]
never_fields: {test.clinic: [note]}
required_privacy: {secure_sum: true, differential_privacy: {epsilon: 3.0, delta: 0.00001}}
minimum_records: 50
small_cell: 7
metrics_minimum: 40
share_metrics: coordinator
share_distributions: nobody
maximum_rounds: 200
maximum_bytes: 3 KiB
maximum_update_norm: 2.5
images: {safe_private: [], kept: {}, burned_in: refuse}
required_confinement: [network-kernel, not-root]
logs: none
"""
KEEPS = "images: {safe_private: [{creator: MAKER, element: '0019,xx0C', reason: b-value}], kept: {PatientAge: in years}}"


def codes(text: str) -> tuple[str, ...]:
    with pytest.raises(Refused) as refused:
        parse_policy(text)
    return refused.value.codes


def test_a_whole_policy_is_read():
    """What stands in the file is what holds."""
    policy = parse_policy(WHOLE)
    assert policy.networks is not None
    assert policy.networks["FullyConnectedNet"].maximum_weights == 1000
    assert (policy.small_cell, policy.least_records, policy.smallest_metrics, policy.most_bytes) == (7, 50, 40, 3072)
    assert set(yaml.safe_load(WHOLE)) == set(Policy.model_fields), "every setting stands in this file"


def test_what_is_left_out_has_its_default():
    """Small cells are those below 11; metrics and training follow; nothing else is limited, and no log leaves."""
    policy = parse_policy("")
    assert policy == Policy()
    assert (policy.small_cell, policy.least_records, policy.smallest_metrics, policy.most_bytes) == (11, 11, 11, None)
    assert policy.logs == "none"
    assert policy.share_metrics == "coordinator", "showing figures to others is a permission"
    assert policy.share_distributions == "coordinator", "so is showing how fields are distributed"
    assert policy.confines(None), "nothing is required of the trainer's confinement"
    assert parse_policy("minimum_records: 5").least_records == 11, "a small cell is never trained on"


@pytest.mark.parametrize("key", sorted(Policy.model_fields))
def test_the_stricter_of_two_policies_holds_setting_by_setting(key: str) -> None:
    """Whichever came first: a setting that is stricter in one is as strict in both together."""
    strict = Policy.model_validate({key: getattr(parse_policy(WHOLE), key)})
    looser = {"share_metrics": "consortium", "share_distributions": "consortium", "other_schemas": ("0" * 64,)}
    looser["images"] = parse_policy(KEEPS).images
    plain = Policy.model_validate({"small_cell": 5, **{name: value for name, value in looser.items() if name == key}})
    for both in (stricter(strict, plain), stricter(plain, strict)):
        assert getattr(both, key) == getattr(strict, key)
    assert stricter(strict, strict) is strict


def test_of_two_policies_the_one_that_is_stricter_in_everything_is_the_policy():
    """So the ledger names the digest that `silo policy` shows, as long as nothing was loosened."""
    loose, tight = parse_policy("small_cell: 11\nmetrics_minimum: 11"), parse_policy("small_cell: 12\nmaximum_rounds: 9")
    assert stricter(loose, tight) is tight
    assert stricter(tight, loose) is tight


def test_of_two_policies_for_images_only_what_both_let_stand_stands():
    """By creator and element, whatever the reasons; a suspicion that is enough for one is enough."""
    private = "{{creator: {}, element: '{},xx0C', reason: {}}}".format
    one = parse_policy(
        f"images:\n  safe_private: [{private('A', '0019', 'x')}, {private('B', '0019', 'x')}]\n"
        "  kept: {PatientAge: x, PatientSex: x}"
    )
    other = parse_policy(
        f"images:\n  safe_private: [{private('B', '0019', 'why')}, {private('A', '0021', 'why')}]\n"
        "  kept: {PatientSex: why, StudyDate: why}\n  burned_in: refuse"
    )
    both = f"images:\n  safe_private: [{private('B', '0019', 'x')}]\n  kept: {{PatientSex: x}}\n  burned_in: refuse"
    expected = parse_policy(both)
    assert stricter(one, other) == expected
    assert stricter(one, Policy()) is not one


A, B, C = (f"{digit}2345 12345 12345 12345 12345 12345" for digit in "123")


def test_two_policies_of_which_neither_is_the_stricter_hold_together():
    """Limits are the smaller ones, thresholds the larger ones, lists what both have, prohibitions what either has."""
    one = parse_policy(
        f"authors: [{A}, {B}]\nnetworks: {{FullyConnectedNet: {{maximum_weights: 9}}}}\nmaximum_bytes: 2 MiB\nmaximum_rounds: 5\n"
        "never_fields: {test.clinic: [a]}\nrequired_privacy: {differential_privacy: {epsilon: 3.0, delta: 0.1}}\nsmall_cell: 20"
    )
    other = parse_policy(
        f"authors: [{B}, {C}]\nnetworks: {{FullyConnectedNet: {{}}}}\nmaximum_bytes: 5 KiB\nmaximum_rounds: 7\n"
        "metrics_minimum: 15\n"
        "never_fields: {test.clinic: [b], test.ward: [c]}\nminimum_records: 30\nmaximum_update_norm: 2.0\n"
        "required_privacy: {secure_sum: true, differential_privacy: {epsilon: 9.0, delta: 0.01}}"
    )
    expected = parse_policy(
        f"authors: [{B}]\nnetworks: {{FullyConnectedNet: {{maximum_weights: 9}}}}\nmaximum_bytes: 5 KiB\nmaximum_rounds: 5\n"
        "never_fields: {test.clinic: [a, b], test.ward: [c]}\nsmall_cell: 20\nmetrics_minimum: 20\nminimum_records: 30\n"
        "maximum_update_norm: 2.0\nrequired_privacy: {secure_sum: true, differential_privacy: {epsilon: 3.0, delta: 0.01}}"
    )
    assert stricter(one, other) == expected


@pytest.mark.parametrize(
    ("text", "code", "line", "hint"),
    [
        ("small_sell: 5", "Y-KEY", 1, "'small_cell'"),
        ("logs: none\nsmall_cell: 0", "Y-VALUE", 2, ""),
        ("small_cell: '11'", "Y-VALUE", 1, ""),
        ("coordinators: [12345]", "Y-VALUE", 1, ""),
        ("networks: {FullyConectedNet: {}}", "P-NETWORK", 1, "'FullyConnectedNet'"),
        ("networks:\n  FullyConnectedNet: {maximum_weight: 5}", "Y-KEY", 2, "'maximum_weights'"),
        ("strategies: [fedavgg]", "Y-VALUE", 1, "'fedavg'"),
        ("maximum_bytes: 500", "Y-VALUE", 1, ""),
        ("maximum_bytes: 500 MB", "Y-VALUE", 1, ""),
        ("maximum_update_norm: 0", "Y-VALUE", 1, ""),
        ("required_privacy: {differential_privacy: {epsilon: 1.0}}", "Y-MISSING", 1, "delta"),
        ("required_confinement: [network-kernl]", "Y-VALUE", 1, "network-kernel"),
        ("logs: all", "Y-VALUE", 1, "none"),
        ("small_cell: 5\nsmall_cell: 6", "Y-DUPKEY", 2, ""),
        ("images: {keep: {}}", "Y-KEY", 1, "'kept'"),
        ("images:\n  kept: {PatientsAge: x}", "S-DICOM", 2, "'PatientAge'"),
        ("images:\n  kept: {PixelData: x}", "S-DICOM", 2, "leave it out"),
        ("images:\n  kept: {PatientID: x}", "Y-VALUE", 2, "pseudonym"),
        ("images:\n  kept: {OperatorsName: x}", "Y-VALUE", 2, "Names of people"),
        ("images:\n  kept: {PatientAge: ''}", "Y-VALUE", 2, ""),
        ("images: {burned_in: warn}", "Y-VALUE", 1, "refuse"),
        ("images: {safe_private: [{creator: A, element: '0018,xx0C', reason: x}]}", "Y-VALUE", 1, ""),
        ("images: {safe_private: [{creator: A, element: '0019,100C', reason: x}]}", "Y-VALUE", 1, ""),
        ("images: {safe_private: [{creator: A, element: '0019,xx0C'}]}", "Y-MISSING", 1, "reason"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(text: str, code: str, line: int, hint: str) -> None:
    """A mistake is named by code and line, and the nearest right word is given where there is one."""
    with pytest.raises(Refused) as refused:
        parse_policy(text)
    problem = refused.value.problems[0]
    assert (problem.code, problem.place) == (code, f"policy.yaml, line {line}")
    assert hint in f"{problem.next_step} {problem.rule}"
    assert refused.value.exit_status == 2


def test_all_mistakes_come_at_once():
    """Nobody mends a policy one error at a time."""
    assert codes("small_sell: 5\nmaximum_rounds: 0\nmaximum_bytes: 1") == ("Y-VALUE", "Y-VALUE", "Y-KEY")


def test_the_default_file_says_the_defaults():
    """What init writes is the default, with every setting in it."""
    assert parse_policy(DEFAULT_TEXT) == Policy()
    assert set(yaml.safe_load(DEFAULT_TEXT)) == set(Policy.model_fields)
    assert max(map(len, DEFAULT_TEXT.splitlines())) <= 130


def test_a_change_holds_at_the_next_look(tmp_path: Path) -> None:
    """The file is read again whenever it is asked for, whatever its time and size say."""
    file = PolicyFile(tmp_path)
    for number in (11, 12, 13):
        file.path.write_text(f"small_cell: {number}\n")
        assert file.read().small_cell == number
    file.path.write_text("small_cell: none\n")
    with pytest.raises(Refused):
        file.read()
    file.path.write_text("small_cell: 14\n")
    assert file.read().small_cell == 14


def test_a_policy_that_was_lost_loosens_nothing(tmp_path: Path) -> None:
    """Without keys nothing can leave, and the defaults hold; with keys a missing policy is refused."""
    file = PolicyFile(tmp_path)
    assert file.read() == Policy()
    create_identity(tmp_path, "alpha", "Hospital")
    assert file.path.read_text() == DEFAULT_TEXT
    assert file.path.stat().st_mode & 0o077 == 0
    file.path.unlink()
    with pytest.raises(Refused) as refused:
        file.read()
    assert refused.value.codes == ("Y-FILE",)
    assert "--write-default" in refused.value.problems[0].next_step
    assert file.write_default()
    assert file.read() == Policy()


def test_making_keys_keeps_a_policy(tmp_path: Path) -> None:
    """What the hospital decided before is not overwritten."""
    (tmp_path / POLICY_FILE).write_text("small_cell: 20\n")
    create_identity(tmp_path, "alpha", "Hospital")
    assert not PolicyFile(tmp_path).write_default()
    assert PolicyFile(tmp_path).read().small_cell == 20


def test_the_digest_is_of_what_holds():
    """Comments, order and defaults written out do not matter; one other setting does."""
    assert parse_policy("# ours\nsmall_cell: 11\nlogs: none").policy_digest() == Policy().policy_digest()
    assert parse_policy("small_cell: 12").policy_digest() != Policy().policy_digest()


def test_init_refuses_a_policy_that_cannot_be_read(tmp_path: Path, wardround: Command) -> None:
    """A policy that is there is in order before keys are made."""
    hospital = write_hospital(tmp_path / "alpha", "alpha", range(20))
    (hospital.folder / POLICY_FILE).write_text("small_sell: 20\n")
    answer = wardround("silo", "init", "--site", hospital.site)
    assert (answer.status, "Y-KEY policy.yaml, line 1" in answer.err) == (2, True)
    assert not (hospital.folder / "keys").exists()


def test_the_policy_is_shown_and_written_once(tmp_path: Path, wardround: Command) -> None:
    """A hospital of an older release, with keys and no policy, is told the command that writes one; it never overwrites."""
    hospital = write_hospital(tmp_path / "alpha", "alpha", range(20))
    assert "policy.yaml" in wardround("silo", "init", "--site", hospital.site).out
    policy, show = hospital.folder / POLICY_FILE, ("silo", "policy", "--site", hospital.site)
    policy.unlink()
    assert "Y-FILE policy.yaml" in wardround(*show).err
    assert "Wrote" in wardround(*show, "--write-default").out
    policy.write_text("small_cell: 20\n")
    answer = wardround(*show, "--write-default", "--format", "json")
    assert (answer.json()["policy"]["small_cell"], answer.json()["written"]) == (20, False)  # type: ignore[index]
    shown = wardround(*show).out
    assert parse_policy("small_cell: 20").policy_digest() in shown
    assert all(name in shown for name in Policy.model_fields)
    assert "Figures shown to others? No" in shown
    policy.write_text("share_metrics: consortium\n")
    assert "Figures shown to others? Yes" in wardround(*show).out


def test_a_schema_that_is_not_installed_is_said(tmp_path: Path, wardround: Command) -> None:
    """Fields under a misspelt schema are shut to no study that there is: the command says so, of tables and of images."""
    hospital = write_hospital(tmp_path / "alpha", "alpha", range(20))
    show = ("silo", "policy", "--site", hospital.site)
    assert wardround("silo", "init", "--site", hospital.site).status == 0
    policy = hospital.folder / POLICY_FILE
    policy.write_text("never_fields: {breast.cytologie: [diagnosis], chest.radiograph: [age], our.own: [age]}\n")
    said = wardround(*show).out.replace("\n", " ")
    assert "no schema breast.cytologie" in said
    assert "Did you mean breast.cytology?" in said
    assert "no schema our.own" in said
    assert "no schema chest.radiograph" not in said
    found = wardround(*show, "--format", "json").json()
    assert found["unknown_schemas"] == ["breast.cytologie", "our.own"]  # type: ignore[index]


def test_a_mistake_in_the_policy_hides_nothing_and_starts_nothing(tmp_path: Path, wardround: Command) -> None:
    """What only looks works on; what would run or decide names the line."""
    hospital = write_hospital(tmp_path / "alpha", "alpha", range(20))
    assert wardround("silo", "init", "--site", hospital.site).status == 0
    (hospital.folder / POLICY_FILE).write_text("small_cell: few\n")
    assert "policy.yaml" not in wardround("silo", "status", "--site", hospital.site).err
    assert wardround("silo", "ledger", "show", "--site", hospital.site).status == 0
    for words in (("start",), ("check", "--schema", "breast.cytology"), ("policy",)):
        answer = wardround("silo", *words, "--site", hospital.site)
        assert (answer.status, "Y-VALUE policy.yaml, line 1" in answer.err) == (2, True), words


def test_a_check_uses_the_policy(tmp_path: Path) -> None:
    """The outgoing report of a check withholds what the policy of that moment calls small."""
    site, contract = make_site(tmp_path, rows(height=12)), load_contract(CLINIC, tmp_path)
    assert check(site, contract).outgoing.found == ShownCell(count=12)
    site.policy_file.path.write_text("small_cell: 13\n")
    assert check(site, contract).outgoing.found == WithheldCell()
