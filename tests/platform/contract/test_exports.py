"""Contracts in the words of others: JSON Schema, Table Schema and the page for people say what the contract says, and no more."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from wardround.contract import library, rules
from wardround.contract.exports.dictionary import dictionary
from wardround.contract.exports.json_schema import editor_schema, record_schema, whole
from wardround.contract.exports.rule_words import in_words
from wardround.contract.exports.table_schema import table_schema
from wardround.strict_yaml import load

SHIPPED = Path(str(library.shipped()))
NAMES = [listing.name for listing in library.available()]
HEART = library.find("heart.disease@1.0.0")
FULL = SHIPPED.parents[1] / "docs" / "reference" / "schema.md"
CONSTRAINTS = {
    "string": {"required", "unique", "pattern", "minLength", "maxLength"},
    "integer": {"required", "unique", "minimum", "maximum"},
    "number": {"required", "unique", "minimum", "maximum"},
    "date": {"required", "unique", "minimum", "maximum"},
}
"""Which constraints the specification of Table Schema gives to which type, of those that we have."""


@pytest.fixture(scope="module")
def every_key(tmp_path_factory):
    """Give the contract of the reference page, which has every key of the language."""
    text = re.search(r"## A whole schema\n\n```yaml\n(.*?)```", FULL.read_text(encoding="utf-8"), re.DOTALL)[1]
    file = tmp_path_factory.mktemp("full") / "1.0.0.yaml"
    file.write_text(text, encoding="utf-8")
    return library.load(file)


# ------------------------------------------------------------------------------------------------------- JSON Schema


def _fits(schema, value, root):
    """Hold a value against a JSON Schema: the keywords that ours have, by the specification; any other keyword is an error."""
    known = {"$schema", "$id", "$defs", "title", "description", "default", "format", *KEYWORDS}
    assert {key for key in schema if not key.startswith("wardround:")} <= known, schema
    return all(KEYWORDS[key](wanted, value, schema, root) for key, wanted in schema.items() if key in KEYWORDS)


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def _is(kind, value):
    if kind in ("integer", "number"):
        return isinstance(value, int | float) and not isinstance(value, bool) and (kind == "number" or float(value).is_integer())
    return isinstance(value, TYPES[kind])


def _number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _properties(wanted, value, schema, root):
    if not isinstance(value, dict):
        return True
    more = schema.get("additionalProperties", True)
    rest = [value[key] for key in value if key not in wanted]
    others = all(_fits(more, each, root) for each in rest) if isinstance(more, dict) else more or not rest
    return others and all(_fits(wanted[key], value[key], root) for key in value if key in wanted)


def _loose(wanted, value, schema, root):
    """``additionalProperties`` without ``properties``: of every key."""
    if "properties" in schema or not isinstance(wanted, dict) or not isinstance(value, dict):
        return True
    return all(_fits(wanted, each, root) for each in value.values())


def _items(wanted, value, schema, root):
    start = len(schema.get("prefixItems", []))
    return not isinstance(value, list) or all(_fits(wanted, each, root) for each in value[start:])


KEYWORDS = {
    "$ref": lambda wanted, value, _, root: _fits(root["$defs"][wanted.removeprefix("#/$defs/")], value, root),
    "type": lambda wanted, value, *_: any(_is(kind, value) for kind in ([wanted] if isinstance(wanted, str) else wanted)),
    "enum": lambda wanted, value, *_: value in wanted,
    "const": lambda wanted, value, *_: value == wanted,
    "anyOf": lambda wanted, value, _, root: any(_fits(each, value, root) for each in wanted),
    "pattern": lambda wanted, value, *_: not isinstance(value, str) or re.search(wanted, value) is not None,
    "minLength": lambda wanted, value, *_: not isinstance(value, str) or len(value) >= wanted,
    "maxLength": lambda wanted, value, *_: not isinstance(value, str) or len(value) <= wanted,
    "minimum": lambda wanted, value, *_: not _number(value) or value >= wanted,
    "maximum": lambda wanted, value, *_: not _number(value) or value <= wanted,
    "exclusiveMinimum": lambda wanted, value, *_: not _number(value) or value > wanted,
    "exclusiveMaximum": lambda wanted, value, *_: not _number(value) or value < wanted,
    "minItems": lambda wanted, value, *_: not isinstance(value, list) or len(value) >= wanted,
    "maxItems": lambda wanted, value, *_: not isinstance(value, list) or len(value) <= wanted,
    "required": lambda wanted, value, *_: not isinstance(value, dict) or set(wanted) <= set(value),
    "properties": _properties,
    "additionalProperties": _loose,
    "propertyNames": lambda wanted, value, _, root: not isinstance(value, dict) or all(_fits(wanted, key, root) for key in value),
    "items": _items,
    "prefixItems": lambda wanted, value, _, root: all(_fits(*pair, root) for pair in zip(wanted, value, strict=False)),
}


@pytest.mark.parametrize("name", NAMES)
def test_an_editor_finds_every_shipped_schema_in_order(name):
    """The JSON Schema of schema files accepts what is in order."""
    schema = editor_schema()
    contract = library.find(name)
    assert _fits(schema, load(SHIPPED / "tables" / contract.id / f"{contract.version}.yaml").data, schema)


def test_an_editor_finds_every_key_of_the_language(every_key):
    """Also the ones that no shipped schema uses."""
    schema = editor_schema()
    assert _fits(schema, json.loads(every_key.model_dump_json(by_alias=True)), schema)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("primarykey",), ["record_id"]),
        (("status",), "published"),
        (("version",), "1.0"),
        (("fields", 2, "type"), "float"),
        (("fields", 2, "unit"), "years"),
        (("fields", 2, "constraints", "required"), "yes"),
        (("fields", 2, "plausible", "max_outside"), 2),
        (("rules", 0, "severity"), "fatal"),
    ],
)
def test_an_editor_marks_a_mistake(path, value):
    """Unknown keys, words and units, and values of the wrong type."""
    schema = editor_schema()
    data = json.loads(HEART.model_dump_json(by_alias=True, exclude_defaults=True))
    assert _fits(schema, data, schema)
    node = data
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    assert not _fits(schema, data, schema)


def test_an_editor_explains_the_keys():
    """Under the names that they have in files, in plain words."""
    definitions = editor_schema()["$defs"]
    assert definitions["ContractField"]["properties"]["code_system"]["description"].startswith("the terminology")
    assert definitions["Reference"]["properties"]["wrong_units"]["description"].startswith("units in which")
    assert "``" not in json.dumps(editor_schema())


def _value(field, text):
    if text == "":
        return None
    return float(text) if field.type in ("integer", "number") else text


@pytest.mark.parametrize("name", NAMES)
def test_good_records_fit_the_schema_of_a_record_and_bad_cells_do_not(name):
    """What the check finds in a single cell, JSON Schema finds too; what it finds between cells is no business of it."""
    contract = library.find(name)
    schema = record_schema(contract)
    examples = SHIPPED / "examples" / contract.id / contract.version
    for file in examples.glob("good/*.csv"):
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
            assert _fits(schema, {field.name: _value(field, row[field.name]) for field in contract.fields}, schema)
    expected = load(examples / "bad" / "expected.yaml").data
    tried = 0
    for file, entry in expected.items():
        if entry["code"] not in ("T-RANGE", "T-ENUM", "T-PATTERN", "T-INTFRAC", "T-NULL"):
            continue
        rows = list(csv.DictReader((examples / "bad" / file).read_text(encoding="utf-8").splitlines()))
        for number, row in enumerate(rows, 2):
            record = {field.name: _value(field, row[field.name]) for field in contract.fields}
            assert _fits(schema, record, schema) is (number not in entry["rows"]), (file, number)
            tried += 1
    assert tried > 40


def test_the_schema_of_a_record_says_the_rest_under_a_key_of_ours(every_key):
    """Rules, keys, limits and hashes are there, though JSON Schema has no words for them; dates have their limits there."""
    schema = record_schema(every_key)
    beside = schema["wardround:contract"]
    assert [rule["id"] for rule in beside["rules"]] == [rule.id for rule in every_key.rules]
    assert beside["contract_hash"] == every_key.contract_hash()
    assert schema["properties"]["admitted"]["wardround:field"]["minimum"] == "2000-01-01"
    assert schema["properties"]["glucose"]["wardround:field"]["unit"] == "mmol/L"


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [("^[A-Z]{2}$", "AB", "ABC"), ("[A-Z]{2}", "AB", "xAB"), ("^a|b$", "b", "cb"), (r"a\$", "a$", "a$b"), ("", "", "a")],
)
def test_a_pattern_matches_the_whole_text_for_others_too(pattern, good, bad):
    """Ours match the whole text; JSON Schema looks anywhere in it."""
    assert re.fullmatch(pattern, good)
    assert re.search(whole(pattern), good)
    assert not re.fullmatch(pattern, bad)
    assert not re.search(whole(pattern), bad)


# ------------------------------------------------------------------------------------------------------ Table Schema


def _names_of_marks(marks):
    assert all(set(mark) == {"value", "label"} and all(isinstance(each, str) for each in mark.values()) for mark in marks)
    return [mark["value"] for mark in marks]


@pytest.mark.parametrize("name", [*NAMES, "every key"])
def test_a_table_schema_keeps_to_its_specification(name, every_key):
    """Keys, words, types and constraints that the specification of version 2 has, where it has them, and ours by a namespace."""
    contract = every_key if name == "every key" else library.find(name)
    schema = json.loads(json.dumps(table_schema(contract)))
    ours = {key for key in schema if key.startswith("wardround:")}
    assert set(schema) - ours == {"$schema", "fields", "fieldsMatch", "missingValues", "primaryKey"}
    assert schema["$schema"] == "https://datapackage.org/profiles/2.0/tableschema.json"
    assert schema["fieldsMatch"] in ("exact", "equal", "subset", "superset", "partial")
    names = [field["name"] for field in schema["fields"]]
    assert names == list(contract.names)
    assert set(schema["primaryKey"]) <= set(names)
    assert _names_of_marks(schema["missingValues"]) == [mark.value for mark in contract.missing_values]
    for written, field in zip(schema["fields"], contract.fields, strict=True):
        allowed = {"name", "type", "title", "description", "categories", "constraints", "missingValues", "wardround:field"}
        assert set(written) <= allowed
        assert written["type"] == field.type
        assert set(written.get("constraints", {})) <= CONSTRAINTS[field.type]
        marks = written.get("missingValues", schema["missingValues"])
        assert tuple(_names_of_marks(marks)) == contract.missing_marks(field.name)
        for category in written.get("categories", []):
            assert set(category) <= {"value", "label"}
        assert tuple(category["value"] for category in written.get("categories", [])) == field.values


def test_columns_are_found_by_name_in_a_table_schema():
    """Table Schema's ``exact`` means by position, and its ``superset`` the opposite of ours."""
    assert table_schema(HEART)["fieldsMatch"] == "equal"
    assert table_schema(HEART.model_copy(update={"fields_match": "superset"}))["fieldsMatch"] == "subset"


def test_a_table_schema_loses_nothing(every_key):
    """Every setting that is not what it would be unsaid is somewhere in it."""
    text = json.dumps(table_schema(every_key))
    for word in ("mmol/L", "14749-6", "ICD-10", "free_text", "investigative", "18.016", "not measured", "max_outside"):
        assert word in text, word
    assert "high_glucose_is_rare" in text
    assert "no_overlap" in text
    assert "T-PLAUS" in text


# ------------------------------------------------------------------------------------------------- the page for people


class _Page(HTMLParser):
    """The elements, addresses and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.addresses, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.addresses += [value for key, value in attrs if key in ("href", "src", "action", "data")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_all_and_loads_nothing(name):
    """Every field, code, rule, source and hash; no script, no address but those of its own parts."""
    contract = library.find(name)
    html = dictionary(contract)
    page = _Page(html)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.elements)
    assert page.addresses == [f"#{field}" for field in contract.names]
    assert "http" not in html.split("<body>")[0].replace("http-equiv", "")
    assert "@import" not in html
    assert "url(" not in html
    for field in contract.fields:
        assert all(part in page.text for part in (field.name, *field.values, *(field.description or "").split()[:3]))
    for rule in contract.rules:
        assert rule.id in page.text
    assert contract.contract_hash() in page.text
    assert contract.encoding_hash() in page.text
    assert dictionary(contract) == html


def test_the_page_has_every_key_of_the_language(every_key):
    """Reference figures, wrong units, code systems, what holds between records, and severities."""
    text = _Page(dictionary(every_key)).text
    for words in (
        "mmol/L: millimole per litre",
        "“-9” (not measured)",
        "mg/dL: numbers are 18.016 times as large",
        "The clinic's laboratory handbook of 2024",
        "Codes of ICD-10",
        "sentences are expected here",
        "its checks inform",
        "The records of a patient are ordered by admitted.",
        "Stays of a patient (admitted to discharged) do not overlap.",
        "T-PLAUS in glucose is of severity error and begins where more than 5 % of the records show it.",
        "Discharged is at least admitted",
        "a warning when more than 5 % of the records break it",
    ):
        assert words in text, words


def test_words_of_a_schema_are_text_on_the_page():
    """Nothing that a schema says can become an element."""
    hostile = HEART.model_copy(update={"title": "<script>alert(1)</script>", "row_grain": "<img src=x>"})
    assert not {"script", "img"} & set(_Page(dictionary(hostile)).elements)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("a <= 280 - b", "A is at most 280 minus B"),
        ('s == "x" and (a > 1 or b is missing)', "S is “x” and (A is more than 1 or B is missing)"),
        ("a between b / 2 and 2000 * b", "A lies between B divided by 2 and 2\u202f000 times B"),
        ('s in ["x", "y"]', "S is one of “x”, “y”"),
        ("not (a != -1.5)", "it is not so that (A is not minus 1.5)"),
        ("a is not missing or a - (b - 1) < 0", "A is not missing or A minus (B minus 1) is less than 0"),
    ],
)
def test_a_rule_in_words(rule, words):
    """Every kind of expression, unambiguous."""
    assert in_words(rules.parse(rule), {"a": "A", "b": "B", "s": "S"}) == words


# ---------------------------------------------------------------------------------------------------------- commands


@pytest.mark.parametrize("kind", ["json-schema", "table-schema", "dictionary"])
def test_an_export_goes_to_a_file_or_to_standard_output(kind, wardround, tmp_path):
    """The same text in both; a file is replaced only by --force."""
    answer = wardround("schema", "export", "heart.disease", "--as", kind)
    assert answer.status == 0
    file = tmp_path / "out"
    assert wardround("schema", "export", "heart.disease", "--as", kind, "--output", file).status == 0
    assert file.read_text(encoding="utf-8") == answer.out
    file.write_text("mine")
    again = wardround("schema", "export", "heart.disease", "--as", kind, "--output", file, "--format", "json")
    assert (again.status, json.loads(again.out)["problems"][0]["code"], file.read_text()) == (2, "O-EXISTS", "mine")
    assert wardround("schema", "export", "heart.disease", "--as", kind, "--output", file, "--force").status == 0
    assert file.read_text(encoding="utf-8") == answer.out
    found = json.loads(wardround("schema", "export", "heart.disease", "--as", kind, "--format", "json").out)
    assert found == {"as": kind, "content": answer.out}


def test_the_schema_for_editors_is_written(wardround, tmp_path):
    """One file for all schemas."""
    file = tmp_path / "schema-file.json"
    assert wardround("schema", "editor-schema", "--output", file).status == 0
    assert json.loads(file.read_text(encoding="utf-8")) == editor_schema()
