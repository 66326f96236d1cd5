"""Finding and loading contracts: every fault of a schema file with its line, and nothing published ever changes."""

import re
import shutil
from pathlib import Path

import pytest

from wardround.contract import library
from wardround.errors import Refused

SHIPPED = Path(str(library.shipped()))
FILES = {listing.id: Path(str(listing.file)) for listing in library.available()}
TEXTS = {name: file.read_text(encoding="utf-8") for name, file in FILES.items()}

SMALL = """\
kind: table
id: t.small
version: 1.0.0
status: draft
title: Small
row_grain: one row per visit
primaryKey: [visit]
patientKey: patient
fields:
  - {name: visit, type: string, privacy: pseudonym, constraints: {required: true}}
  - {name: patient, type: string, privacy: pseudonym, constraints: {required: true}}
  - name: mass
    type: number
    unit: kg
    constraints: {minimum: 1, maximum: 500}
    plausible: {low: 30, high: 250}
  - {name: seen, type: date, constraints: {minimum: "2000-01-01"}}
rules:
  - id: heavy
    check: mass >= 2
"""


def _load(tmp_path, text):
    file = tmp_path / "small.yaml"
    file.write_text(text, encoding="utf-8")
    return library.load(file)


def _refusals(tmp_path, text):
    with pytest.raises(Refused) as refused:
        _load(tmp_path, text)
    return refused.value.problems


def test_a_plain_contract_loads(tmp_path):
    """The text that the faults below are put into is itself in order."""
    assert _load(tmp_path, SMALL).id == "t.small"


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "words"),
    [
        ("unit: kg", "unit: kgs", "S-UNIT", 14, "'kg'"),
        ("unit: kg", "unit: lbs", "S-UNIT", 14, "'[lb_av]'"),
        ("primaryKey: [visit]", "primaryKey: [vist]", "S-FIELD", 7, "'visit'"),
        ("primaryKey: [visit]", "primaryKey: [visit, visit]", "S-FIELD", 7, "again"),
        ("primaryKey: [visit]", "primaryKey: [mass, visit]", "S-FIELD", 7, "not required"),
        ("patientKey: patient", "patientKey: nobody", "S-FIELD", 8, "nobody"),
        ("patient, type: string, privacy: pseudonym", "patient, type: string, privacy: quasi", "S-FIELD", 8, "pseudonym"),
        ("visit, type: string, privacy: pseudonym", "visit, type: string", "S-FIELD", 7, "never be a feature"),
        ("name: mass", "name: visit", "S-FIELD", 12, "again"),
        ("name: mass", "name: missing", "S-FIELD", 12, "grammar"),
        ("minimum: 1, maximum: 500", "minimum: 1", "S-RANGE", 15, "maximum is absent"),
        ("minimum: 1, maximum: 500", "minimum: 1, maximum: 1", "S-RANGE", 15, "equal"),
        ("low: 30, high: 250", "low: 0.5, high: 250", "S-RANGE", 16, "reaches outside"),
        ("low: 30, high: 250", "low: 30, high: 501", "S-RANGE", 16, "reaches outside"),
        ('"2000-01-01"', '"2000-13-01"', "S-RANGE", 17, "no such date"),
        ("    unit: kg", '    unit: kg\n    missing: {labels: [{value: "99", label: lost}]}', "S-RANGE", 15, "'99'"),
        ("    unit: kg", "    unit: kg\n    reference: {source: a paper, p05: 20}", "S-RANGE", 15, "one lies outside"),
        (
            "seen, type: date, constraints: {",
            "seen, type: string, constraints: {minLength: 5, maxLength: 4}} #",
            "S-RANGE",
            17,
            "above",
        ),
        ("seen, type: date, constraints: {", 'seen, type: string, categories: [{value: ""}]} #', "Y-VALUE", 17, "at least 1"),
        ("required: true}}\n  - name", "required: true}, missing: {max_fraction: 0.1}}\n  - name", "S-RANGE", 11, "required"),
        ("check: mass >= 2", "check: mass => 2", "S-RULE", 20, "heavy, position 6"),
        ("check: mass >= 2", "check: mas >= 2", "S-FIELD", 20, "'mass'"),
        ("check: mass >= 2", "check: mass + 2", "S-RULE", 20, "true or false"),
        ("check: mass >= 2", "check: mass >= 2\n    max_fraction: 0.5", "S-RULE", 21, "warning"),
        ("check: mass >= 2", "check: mass >= 2\n  - {id: heavy, check: mass < 9}", "S-RULE", 21, "again"),
        ("rules:", "limits: {min_records: 2, min_patients: 3}\nrules:", "S-RANGE", 18, "above min_records"),
        ("status: draft", "status: final", "Y-VALUE", 4, "draft"),
        ("version: 1.0.0", "version: 1.0", "Y-VALUE", 3, "valid string"),
        ("type: number", "type: float", "Y-VALUE", 13, "number"),
        ("title: Small\n", "", "Y-MISSING", 1, "title"),
        ("title: Small", "title: [Small]", "Y-VALUE", 5, "string"),
        ("title: Small", "title: NO", "Y-SURPRISE", 5, "'NO'"),
        ("minimum: 1,", "minimum: 010,", "Y-SURPRISE", 15, "'010'"),
        ("minimum: 1,", "minimum: 1, minimum: 2,", "Y-DUPKEY", 15, "line 15"),
        ("title: Small", "title: &x Small", "Y-SYNTAX", 5, "anchor"),
    ],
)
def test_each_fault_of_a_schema_file_has_its_code_line_and_reason(old, new, code, line, words, tmp_path):
    """A fault is one problem, on its line, with a reason or a way out that fits."""
    assert old in SMALL
    here = re.compile(rf"small\.yaml, line {line}(, .*)?")
    (problem,) = [each for each in _refusals(tmp_path, SMALL.replace(old, new, 1)) if here.fullmatch(each.place)]
    assert problem.code == code
    assert words in str(problem)


def test_all_faults_come_at_once(tmp_path):
    """Unit, range, rule and key faults of one file are one refusal."""
    text = SMALL.replace("kg", "kilo").replace("high: 250", "high: 999").replace("mass >= 2", "mass >").replace("[visit]", "[v]")
    assert sorted(problem.code for problem in _refusals(tmp_path, text)) == ["S-FIELD", "S-RANGE", "S-RULE", "S-UNIT"]


def _edits(word):
    middle = len(word) // 2
    yield word[:middle] + word[middle + 1 :]
    yield word[:middle] + "q" + word[middle:]
    yield word[:middle] + ("x" if word[middle] == "q" else "q") + word[middle + 1 :]
    if len(word) > 1 and word[0] != word[1]:
        yield word[1] + word[0] + word[2:]


def _key_places(text):
    """Every kind of key of a contract's text, at its last place."""
    places = {}
    for match in re.finditer(r"(?m)(?:^ *(?:- )?|[{,] ?)(?P<key>[A-Za-z_]+)(?=: |:$)", text):
        if "#" not in text[text.rfind("\n", 0, match.start()) + 1 : match.start()]:
            places[match["key"]] = match
    return places


def _first_places():
    """Every kind of key that any shipped contract has, in the shortest text that has it: the others would say the same again."""
    found = {}
    for name in sorted(TEXTS, key=lambda name: len(TEXTS[name])):
        seen = {key for keys in found.values() for key in keys}
        found[name] = {key: match for key, match in _key_places(TEXTS[name]).items() if key not in seen}
    return found


def test_every_kind_of_key_is_tried():
    """Every shipped contract has limits, ranges and both kinds of rules; one at least has figures with their source."""
    for text in TEXTS.values():
        assert set(_key_places(text)) >= {"primaryKey", "constraints", "minimum", "plausible", "max_outside", "check", "severity"}
    assert {"reference", "source", "median", "shares"} <= {key for places in _first_places().values() for key in places}


@pytest.mark.parametrize("name", [name for name, places in _first_places().items() if places])
def test_every_one_edit_typo_of_a_key_is_refused_with_line_and_right_key(name, tmp_path):
    """No rule of a shipped contract can vanish by a slip of the finger."""
    text = TEXTS[name]
    for key, match in _first_places()[name].items():
        for typo in _edits(key):
            problems = _refusals(tmp_path, text[: match.start("key")] + typo + text[match.end("key") :])
            found = [problem for problem in problems if problem.code == "Y-KEY"]
            line = text.count("\n", 0, match.start("key")) + 1
            assert [problem.place for problem in found] == [f"small.yaml, line {line}"], typo
            assert found[0].next_step == f"did you mean {key!r}?", typo


# ------------------------------------------------------------------------------------------------------------ finding


def test_the_newest_version_is_found_by_id_and_any_by_its_number(tmp_path):
    """1.10.0 is newer than 1.9.0; a version that is there is found, another is refused with those that are."""
    folder = tmp_path / "tables" / "t.small"
    folder.mkdir(parents=True)
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        (folder / f"{version}.yaml").write_text(SMALL.replace("1.0.0", version), encoding="utf-8")
    assert library.find("t.small", [tmp_path]).version == "1.10.0"
    assert library.find("t.small@1.9.0", [tmp_path]).version == "1.9.0"
    with pytest.raises(Refused) as refused:
        library.find("t.small@2.0.0", [tmp_path])
    assert refused.value.codes == ("S-VERSION",)
    assert "1.2.0, 1.9.0, 1.10.0" in refused.value.problems[0].next_step


def test_an_unknown_schema_is_refused_with_the_nearest():
    """A misspelt id gets the right one as a hint."""
    with pytest.raises(Refused) as refused:
        library.find("heart.diseas")
    assert refused.value.codes == ("S-UNKNOWN",)
    assert "heart.disease" in refused.value.problems[0].next_step


def test_a_schema_is_found_by_its_path():
    """A file is a name too, and gives the same contract."""
    assert library.find(str(FILES["heart.disease"])) == library.find("heart.disease@1.1.0")


def test_a_missing_schema_folder_is_refused(tmp_path):
    """A schema path that leads nowhere is no empty library."""
    with pytest.raises(Refused) as refused:
        library.available([tmp_path / "absent"])
    assert refused.value.codes == ("Y-FILE",)


def test_a_file_must_lie_where_its_name_says(tmp_path):
    """The file of version 1.0.0 says 1.0.0."""
    (tmp_path / "tables" / "t.small").mkdir(parents=True)
    (tmp_path / "tables" / "t.small" / "2.0.0.yaml").write_text(SMALL, encoding="utf-8")
    with pytest.raises(Refused) as refused:
        library.find("t.small", [tmp_path])
    assert refused.value.codes == ("S-VERSION",)


# ----------------------------------------------------------------------------------------------------------- registry


@pytest.mark.parametrize("name", FILES)
def test_the_registry_holds_what_is_shipped(name):
    """Every shipped version is registered with its hash, and nothing else is registered."""
    contract = library.find(name)
    book = library.registry(library.shipped())
    assert book.contracts[name][contract.version].contract_hash == contract.contract_hash()
    assert set(book.contracts) == {listing.id for listing in library.available_any()}


@pytest.mark.parametrize(
    ("old", "new"),
    [("maximum: 120}", "maximum: 121}"), ("status: active", "status: deprecated"), ("Completed years", "Finished years")],
)
def test_a_published_schema_that_changed_is_refused(old, new, tmp_path):
    """Any change of a registered file is S-HASH until it is a new version."""
    shutil.copytree(SHIPPED, tmp_path / "schemas")
    file = tmp_path / "schemas" / "tables" / "heart.disease" / "1.1.0.yaml"
    file.write_text(TEXTS["heart.disease"].replace(old, new, 1), encoding="utf-8")
    listings = library.available([tmp_path / "schemas"])
    listing = next(each for each in listings if each.name == "heart.disease@1.1.0" and not each.shipped)
    with pytest.raises(Refused) as refused:
        library.open_listing(listing)
    assert refused.value.codes == ("S-HASH",)


def test_an_unregistered_version_is_refused_where_there_is_a_registry(tmp_path):
    """A registry is complete or it is nothing."""
    shutil.copytree(SHIPPED, tmp_path / "schemas")
    (tmp_path / "schemas" / "tables" / "t.small").mkdir()
    (tmp_path / "schemas" / "tables" / "t.small" / "1.0.0.yaml").write_text(SMALL, encoding="utf-8")
    with pytest.raises(Refused) as refused:
        library.find("t.small", [tmp_path / "schemas"])
    assert refused.value.codes == ("S-HASH",)


def test_another_folder_cannot_replace_a_shipped_schema(tmp_path):
    """The same id and version with other content is refused, wherever it comes from."""
    folder = tmp_path / "tables" / "heart.disease"
    folder.mkdir(parents=True)
    (folder / "1.1.0.yaml").write_text(TEXTS["heart.disease"].replace("maximum: 120}", "maximum: 121}"), encoding="utf-8")
    with pytest.raises(Refused) as refused:
        library.find("heart.disease", [tmp_path])
    assert refused.value.codes == ("S-HASH",)
    (folder / "1.1.0.yaml").write_text(TEXTS["heart.disease"], encoding="utf-8")
    assert library.find("heart.disease", [tmp_path]) == library.find("heart.disease")


def test_a_contract_that_comes_as_a_value_is_held_to_the_same_rules(tmp_path):
    """A study bundle cannot bring in what a file could not."""
    contract = _load(tmp_path, SMALL)
    library.check(contract, "bundle")
    wrong = contract.model_copy(update={"patient_key": "nobody"})
    with pytest.raises(Refused) as refused:
        library.check(wrong, "bundle")
    assert refused.value.codes == ("S-FIELD",)


def test_numbers_that_a_model_may_see_are_bounded_in_every_shipped_contract():
    """Federated statistics are bounded by the contract's ranges."""
    for name in FILES:
        for field in library.find(name).fields:
            if field.type in ("integer", "number"):
                assert field.constraints.minimum < field.constraints.maximum
