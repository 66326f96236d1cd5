"""`wardround schema new | diff | check FOLDER`: a draft is in order, nothing is replaced, and a folder is looked at whole."""

import json
import shutil
from pathlib import Path

import pytest

from wardround.contract import library
from wardround.contract.compatibility import compare

HEART = library.find("heart.disease@1.0.0")
SHIPPED = Path(str(library.shipped()))


@pytest.fixture
def at(tmp_path, monkeypatch):
    """Run commands in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _codes(answer):
    return [problem["code"] for problem in json.loads(answer.out)["problems"]]


# --------------------------------------------------------------------------------------------------------------- new


def test_a_new_draft_is_in_order_and_is_never_replaced(wardround, at):
    """What is written passes the check as it is; a second time nothing is written."""
    assert wardround("schema", "new", "diabetes.visits").status == 0
    file = at / "diabetes.visits" / "0.1.0.yaml"
    contract = library.load(file)
    assert (contract.id, contract.version, contract.status) == ("diabetes.visits", "0.1.0", "draft")
    assert wardround("schema", "check", "diabetes.visits/0.1.0.yaml").status == 0
    assert file.read_text().count("#") > 20
    file.write_text("mine\n")
    answer = wardround("schema", "new", "diabetes.visits", "--format", "json")
    assert (answer.status, _codes(answer)) == (2, ["O-EXISTS"])
    assert file.read_text() == "mine\n"


def test_what_is_commented_out_in_a_draft_is_in_order_too(wardround, at):
    """A reader who takes a comment's mark away gets a schema and no error."""
    wardround("schema", "new", "t.small")
    file = at / "t.small" / "0.1.0.yaml"
    lines = []
    for line in file.read_text().splitlines():
        bare = line.lstrip()
        key = bare.startswith(("# sources:", "# rules:", "# reference:", "#   "))
        lines.append(line.replace("# ", "", 1) if key and "wardround schema check" not in line else line)
    file.write_text("\n".join(lines))
    contract = library.load(file)
    assert (len(contract.sources), len(contract.rules), contract.field("systolic_pressure").reference.median) == (1, 1, 128)


def test_a_draft_from_another_keeps_its_comments(wardround, at):
    """The next version of a schema, or a schema of another name: id, version and status differ, and nothing else."""
    assert wardround("schema", "new", "heart.disease", "--from", "heart.disease@1.0.0", "--version", "1.1.0").status == 0
    assert wardround("schema", "new", "my.heart", "--from", "heart.disease@1.0.0").status == 0
    text = (at / "heart.disease" / "1.1.0.yaml").read_text()
    assert text.startswith("# The fourteen columns")
    following = library.load(at / "heart.disease" / "1.1.0.yaml")
    assert following == HEART.model_copy(update={"version": "1.1.0", "status": "draft"})
    assert library.load(at / "my.heart" / "0.1.0.yaml") == HEART.model_copy(
        update={"id": "my.heart", "version": "0.1.0", "status": "draft"}
    )


@pytest.mark.parametrize(
    "words",
    [
        ("Diabetes",),
        ("t.small", "--version", "1.0"),
        ("t.small", "--editor-schema", "a\nkind: x"),
        ("t.small", "--folder", "a\nkind: x"),
        ("heart.disease", "--from", "heart.disease"),
        ("heart.disease", "--from", "heart.disease", "--version", "1.0.0"),
        ("heart.disease", "--from", "heart.disease", "--version", "0.9.0"),
    ],
)
def test_a_draft_that_makes_no_sense_is_refused(words, wardround, at):
    """Bad names, and versions that are not later; nothing is written."""
    answer = wardround("schema", "new", *words, "--format", "json")
    assert (answer.status, _codes(answer)) == (2, ["X-USAGE"])
    assert list(at.iterdir()) == []


def test_a_file_that_cannot_be_copied_by_lines_is_refused(wardround, at):
    """Rather than a copy that says something else."""
    (at / "flow.yaml").write_text(
        json.dumps(json.loads(HEART.model_dump_json(by_alias=True, exclude_defaults=True)), indent=None)
    )
    answer = wardround("schema", "new", "my.heart", "--from", "flow.yaml", "--format", "json")
    assert (answer.status, _codes(answer)) == (2, ["X-USAGE"])
    assert not (at / "my.heart").exists()


def test_the_line_for_editors(wardround, at):
    """It stands first, and once, also in a copy of a copy."""
    wardround("schema", "new", "t.small", "--editor-schema", "../one.json")
    wardround("schema", "new", "t.small", "--from", "t.small/0.1.0.yaml", "--version", "0.2.0", "--editor-schema", "../two.json")
    lines = (at / "t.small" / "0.2.0.yaml").read_text().splitlines()
    assert [line for line in lines if "yaml-language-server" in line] == ["# yaml-language-server: $schema=../two.json"]
    assert lines[0].endswith("two.json")
    assert library.load(at / "t.small" / "0.2.0.yaml").version == "0.2.0"


# -------------------------------------------------------------------------------------------------------------- diff


def _next_version(at, version, *changes):
    text = (SHIPPED / "tables" / "heart.disease" / "1.1.0.yaml").read_text().replace("version: 1.1.0", f"version: {version}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file = at / "tables" / "heart.disease" / f"{version}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


CATEGORY = ("label: Reversible defect}", "label: Reversible defect}\n      - {value: other}")
WIDER = ("minimum: 40, maximum: 300", "minimum: 40, maximum: 320")


def test_a_difference_is_said_in_words_with_the_next_version(wardround, at):
    """The table, the largest change first, what version it asks for, and whether a model sees the same."""
    file = _next_version(at, "2.0.0", CATEGORY, WIDER)
    answer = wardround("schema", "diff", "heart.disease@1.1.0", file)
    assert answer.status == 0
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert lines[1:3] == ["major field thal categories added: other", "minor field trestbps maximum from 300 to 320"]
    assert "2 differences, in all major: version 2.0.0 or later" in answer.out
    assert "a model of one does not fit the other" in answer.out


def test_a_version_that_is_too_small_is_refused_after_all_was_said(wardround, at):
    """By diff and by check, in both forms, with exit status 2."""
    file = _next_version(at, "1.1.1", CATEGORY)
    answer = wardround("schema", "diff", "heart.disease@1.1.0", file)
    assert answer.status == 2
    assert "categories added: other" in answer.out
    assert "S-COMPAT" in answer.err
    answer = wardround("schema", "diff", "heart.disease@1.1.0", file, "--format", "json")
    found = json.loads(answer.out)
    assert (answer.status, _codes(answer)) == (2, ["S-COMPAT"])
    assert (found["class"], found["required_version"], found["encoding_hash_changed"]) == ("major", "2.0.0", True)
    answer = wardround("schema", "check", file, "--format", "json")
    assert (answer.status, _codes(answer)) == (2, ["S-COMPAT"])


def test_two_schemas_are_not_compared(wardround):
    """Versions of one are."""
    answer = wardround("schema", "diff", "heart.disease", "breast.cytology", "--format", "json")
    assert (answer.status, _codes(answer)) == (2, ["X-USAGE"])


def test_check_compares_with_the_nearest_version_before(wardround, at):
    """Beside the file, or installed; by number, not by text."""
    _next_version(at, "1.9.0", WIDER)
    file = _next_version(at, "1.10.0", WIDER)
    answer = wardround("schema", "check", file, "--format", "json")
    assert (answer.status, json.loads(answer.out)["since"], json.loads(answer.out)["class"]) == (0, "1.9.0", None)
    alone = shutil.copy(file, at / "draft.yaml")
    answer = wardround("schema", "check", alone, "--format", "json")
    assert (answer.status, json.loads(answer.out)["since"], json.loads(answer.out)["class"]) == (0, "1.1.0", "minor")


def test_a_draft_before_a_first_version_breaks_nothing(wardround, at):
    """0.2.0 may differ from 0.1.0 in anything."""
    wardround("schema", "new", "t.small")
    wardround("schema", "new", "t.small", "--from", "t.small/0.1.0.yaml", "--version", "0.2.0")
    file = at / "t.small" / "0.2.0.yaml"
    file.write_text(file.read_text().replace("- {value: male, label: Male}", "- {value: male}\n      - {value: other}"))
    assert wardround("schema", "check", file).status == 0
    assert str(compare(library.load(at / "t.small" / "0.1.0.yaml"), library.load(file)).grade) == "major"


# ------------------------------------------------------------------------------------------------------------ folder


@pytest.fixture
def folder(at):
    """A schema folder with one schema of our own, registered, with its examples."""
    shutil.copytree(SHIPPED / "examples" / "heart.disease" / "1.0.0", at / EXAMPLES)
    text = (SHIPPED / "tables" / "heart.disease" / "1.0.0.yaml").read_text().replace("id: heart.disease", "id: my.heart")
    (at / "tables" / "my.heart").mkdir(parents=True)
    (at / "tables" / "my.heart" / "1.0.0.yaml").write_text(text)
    _register(at)
    return at


def _register(folder, **more):
    files = sorted((folder / "tables" / "my.heart").glob("*.yaml"))
    held = {file.stem: library.load(file) for file in files}
    lines = [
        f'    "{version}": {{status: {each.status}, contract_hash: {each.contract_hash()}}}' for version, each in held.items()
    ]
    (folder / "registry.yaml").write_text("\n".join(["kind: registry", "contracts:", "  my.heart:", *lines, *more.values(), ""]))


def test_the_shipped_folder_is_in_order(wardround):
    """Every file, name, hash and example of what is installed."""
    answer = wardround("schema", "check", SHIPPED, "--format", "json")
    assert answer.status == 0
    assert len(json.loads(answer.out)["schemas"]) == len(library.available_any())


def _replace(file, old, new):
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def _too_small(folder):
    text = (folder / FILE).read_text().replace("version: 1.0.0", "version: 1.0.1").replace("status: active", "status: draft")
    (folder / FILE).with_name("1.0.1.yaml").write_text(text.replace(*CATEGORY, 1))
    _register(folder)


FILE, EXAMPLES = "tables/my.heart/1.0.0.yaml", "examples/my.heart/1.0.0"
ABSENT = '    "1.1.0": {status: active, contract_hash: ' + "a" * 64 + "}"
FAULTS = {
    "a file of another name": (lambda at: (at / "tables/my.heart/draft.yaml").write_text("x\n"), "S-VERSION"),
    "a file beside the folders": (lambda at: (at / "tables/notes.txt").write_text("x\n"), "S-VERSION"),
    "a broken file": (lambda at: _replace(at / FILE, "mm[Hg]", "mmHg"), "S-UNIT"),
    "a changed file": (lambda at: _replace(at / FILE, "maximum: 120}", "maximum: 121}"), "S-HASH"),
    "a registered version without its file": (lambda at: _register(at, more=ABSENT), "S-HASH"),
    "no good example": (lambda at: shutil.rmtree(at / EXAMPLES / "good"), "S-EXAMPLE"),
    "no bad example": (lambda at: shutil.rmtree(at / EXAMPLES / "bad"), "S-EXAMPLE"),
    "no expectation": (lambda at: (at / EXAMPLES / "bad/expected.yaml").unlink(), "S-EXAMPLE"),
    "an example without an expectation": (lambda at: (at / EXAMPLES / "bad/more.csv").write_text("x\n"), "S-EXAMPLE"),
    "an expectation without an example": (lambda at: (at / EXAMPLES / "bad/type.csv").unlink(), "S-EXAMPLE"),
    "an expectation with an unknown key": (lambda at: _replace(at / EXAMPLES / "bad/expected.yaml", "rows:", "lines:"), "Y-KEY"),
    "examples of no version": (lambda at: shutil.copytree(at / EXAMPLES, at / "examples/my.heart/3.0.0"), "S-EXAMPLE"),
    "a version that is too small": (_too_small, "S-COMPAT"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_of_a_folder_is_found(name, folder, wardround):
    """One fault, one problem; without it the folder is in order."""
    assert wardround("schema", "check", folder).status == 0
    spoil, code = FAULTS[name]
    spoil(folder)
    answer = wardround("schema", "check", folder, "--format", "json")
    assert (answer.status, _codes(answer)) == (2, [code])


def test_all_faults_of_a_folder_come_at_once(folder, wardround):
    """Nobody mends a folder one file at a time."""
    for name in ("a file of another name", "no good example", "a changed file"):
        FAULTS[name][0](folder)
    answer = wardround("schema", "check", folder, "--format", "json")
    assert sorted(_codes(answer)) == ["S-HASH", "S-VERSION"]  # examples are those of versions that open


def test_a_folder_without_tables_is_no_schema_folder(wardround, at):
    """The wrong folder is not an empty one."""
    answer = wardround("schema", "check", at, "--format", "json")
    assert (answer.status, _codes(answer)) == (2, ["Y-FILE"])


def test_a_draft_needs_no_examples(folder, wardround):
    """They come with the first version that others may use."""
    wardround("schema", "new", "t.draft", "--folder", folder / "tables")
    (folder / "registry.yaml").unlink()
    assert wardround("schema", "check", folder).status == 0
