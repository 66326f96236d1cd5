"""The contract as a value: what contradicts itself is refused, and the two hashes say exactly what they should."""

import json

import pytest
from pydantic import ValidationError

from wardround.contract import library
from wardround.contract.model import Contract, ContractField

HEART = json.loads(library.find("heart.disease@1.0.0").model_dump_json(by_alias=True))


def _field(**settings):
    return ContractField.model_validate_json(json.dumps({"name": "x", "type": "number", "unit": "1", **settings}))


def _contract(data):
    return Contract.model_validate_json(json.dumps(data))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "string"}, "only numbers have a unit"),
        ({"unit": None}, "a number needs a unit"),
        ({"categories": [{"value": "a"}]}, "categories belong to type string"),
        ({"type": "string", "unit": None, "categories": [{"value": "a"}, {"value": "a"}]}, "a category stands twice"),
        ({"type": "date", "unit": None, "plausible": {"low": 0, "high": 1}}, "only numbers have a plausible range"),
        ({"constraints": {"pattern": "a"}}, "only text has a pattern"),
        ({"type": "string", "unit": None, "constraints": {"pattern": "("}}, "not a regular expression"),
        ({"constraints": {"minimum": "2020-01-01"}}, "limits are numbers for numbers"),
        ({"type": "date", "unit": None, "constraints": {"minimum": 5}}, "limits are numbers for numbers"),
        ({"type": "string", "unit": None, "constraints": {"minimum": 5}}, "text has no minimum"),
        ({"constraints": {"minimum": 5, "maximum": 4}}, "minimum is above maximum"),
        ({"plausible": {"low": 1, "high": 1}}, "low must be less than high"),
        ({"missing": {"max_fraction": 1.5}}, "less than or equal to 1"),
        ({"name": "Radius"}, "match pattern"),
        ({"name": True}, "valid string"),
        ({"constraints": {"required": "true"}}, "valid boolean"),
        ({"constraints": {"minLength": 1.5}}, "valid integer"),
        ({"kind": "x"}, "not permitted"),
    ],
)
def test_a_field_that_contradicts_itself_is_refused(settings, message):
    """Each contradiction is named; nothing is converted to fit."""
    with pytest.raises(ValidationError, match=message):
        _field(**settings)


def test_all_contradictions_of_a_field_come_at_once():
    """Nobody mends a field one contradiction at a time."""
    with pytest.raises(ValidationError) as error:
        _field(type="string", constraints={"minimum": 1, "pattern": "("})
    message = str(error.value)
    assert "only numbers have a unit" in message
    assert "regular expression" in message
    assert "text has no minimum" in message


def test_a_negative_zero_is_zero():
    """A limit of -0.0 has one canonical form."""
    field = _field(constraints={"minimum": -0.0, "maximum": 1})
    assert str(field.constraints.minimum) == "0.0"


def test_any_accepted_limit_has_a_canonical_form():
    """No limit that the model takes makes hashing fail later."""
    data = json.loads(json.dumps(HEART))
    data["fields"][2]["constraints"] |= {"minimum": -(10**20), "maximum": 10**20}
    assert len(_contract(data).contract_hash()) == 64


def _changes():
    """Every single change of one value of the contract, with where it is."""

    def walk(node, path):
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(value, (*path, key))
        elif isinstance(node, list):
            for index, value in enumerate(node):
                yield from walk(value, (*path, index))
        elif isinstance(node, bool):
            yield path, not node
        elif isinstance(node, int | float):
            yield path, node + 1 if path[-1] not in ("max_fraction", "max_outside") else node / 2 + 0.125
        elif isinstance(node, str):
            yield path, {"table": None, "exact": "superset", "active": "draft", "error": "warning"}.get(node, node + "1")
        elif node is None and path[-1] == "description":
            yield path, "new"

    return [(path, value) for path, value in walk(HEART, ()) if value is not None]


def _changed(path, value):
    data = json.loads(json.dumps(HEART))
    node = data
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    try:
        return _contract(data)
    except ValidationError:
        return None


def test_the_contract_hash_changes_with_any_change():
    """Of some hundred single changes, each gives another contract hash, and no two the same one."""
    contracts = [contract for path, value in _changes() if (contract := _changed(path, value)) is not None]
    hashes = {contract.contract_hash() for contract in contracts}
    assert len(contracts) > 150
    assert len(hashes) == len(contracts)
    assert _contract(HEART).contract_hash() not in hashes


SEEN_BY_A_MODEL = {"name", "type", "unit", "required"}


def test_the_encoding_hash_changes_with_what_a_model_sees_and_nothing_else():
    """Names, types, units, requiredness and category values change it; titles, limits, rules and the like do not."""
    same = _contract(HEART).encoding_hash()
    for path, value in _changes():
        contract = _changed(path, value)
        if contract is None:
            continue
        category = len(path) == 5 and path[2] == "categories" and path[4] == "value"
        seen = path[0] == "fields" and (category or (path[-1] in SEEN_BY_A_MODEL and len(path) <= 4))
        assert (contract.encoding_hash() != same) is seen, path


def test_the_order_of_fields_and_categories_is_part_of_the_encoding():
    """A model sees columns and codes by position."""
    same = _contract(HEART).encoding_hash()
    swapped = json.loads(json.dumps(HEART))
    swapped["fields"][2:4] = swapped["fields"][3:1:-1]
    turned = json.loads(json.dumps(HEART))
    turned["fields"][3]["categories"].reverse()
    assert len({same, _contract(swapped).encoding_hash(), _contract(turned).encoding_hash()}) == 3


def test_the_order_of_keys_is_not_part_of_the_hash():
    """Two files that say the same are the same contract."""

    def backwards(node):
        if isinstance(node, dict):
            return {key: backwards(node[key]) for key in reversed(node)}
        return [backwards(item) for item in node] if isinstance(node, list) else node

    assert _contract(backwards(HEART)).contract_hash() == _contract(HEART).contract_hash()


def test_defaults_are_part_of_the_hash_whether_written_or_not():
    """Leaving a default out is the same as writing it."""
    data = json.loads(json.dumps(HEART))
    del data["fieldsMatch"]
    assert _contract(data).contract_hash() == _contract(HEART).contract_hash()


def test_missing_marks_are_those_of_the_table_and_of_the_field():
    """A field's own marks come after the table's, each once."""
    data = json.loads(json.dumps(HEART))
    data["fields"][5]["missing"]["labels"] = [{"value": "-9", "label": "lost"}, {"value": "", "label": "blank"}]
    assert _contract(data).missing_marks("trestbps") == ("", "-9")
