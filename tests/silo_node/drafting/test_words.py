"""Names are led back to English words, and units are seen in them."""

from __future__ import annotations

import pytest

from silo_node.drafting.likeness import know, take_apart
from silo_node.drafting.words import code_meanings, meanings, named_units, plain, same, split
from wardround.contract.library import find
from wardround.contract.units import table


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PatNr", ["patient", "id"]),
        ("RR", ["blood", "pressure"]),
        ("Körpergröße", ["height"]),
        ("koerpergroesse", ["height"]),
        ("Geburtsdatum", ["birth", "date"]),
        ("fréquence cardiaque", ["heart", "rate"]),
        ("presión_arterial", ["blood", "pressure"]),
        ("mean radius", ["mean", "radius"]),
        ("radius error", ["radius", "standard", "error"]),
        ("MOMFRAC", ["mother", "fracture"]),
        ("xyzzy", ["xyzzy"]),
    ],
)
def test_a_name_means_english_words(name: str, words: list[str]) -> None:
    """German, French, Spanish and abbreviated forms; a word that is not known means itself."""
    found = meanings(split(name))
    assert len(found) == len(words)
    assert all(word in place for word, place in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("name", "base", "unit"),
    [
        ("Gewicht [kg]", "Gewicht", "kg"),
        ("gluc_mgdl", "gluc", "mg/dL"),
        ("glucose (mmol/L)", "glucose", "mmol/L"),
        ("Radius_mm", "Radius", "mm"),
        ("Alter (Jahre)", "Alter", "a"),
        ("weight kg", "weight", "kg"),
        ("m", "m", None),
        ("visit_d", "visit_d", None),
        ("sex", "sex", None),
    ],
)
def test_a_unit_at_the_end_of_a_name_is_seen(name: str, base: str, unit: str | None) -> None:
    """In brackets or as the last word; a single letter says nothing."""
    rest, found = named_units(name)
    assert rest == base
    assert unit in found if unit else found == ()
    assert set(found) <= set(table())


def test_local_codes_mean_words() -> None:
    """Letter by letter: f may be female or false, w is weiblich."""
    assert code_meanings("w") == {"female"}
    assert {"female", "no"} <= code_meanings("F")
    assert code_meanings("bösartig") == code_meanings("BOESARTIG") == {"malignant"}
    assert code_meanings("17") == frozenset()


def test_words_are_plain_and_compared_with_their_slips() -> None:
    """Accents and capitals do not count; a stem counts less than a word, another word nothing."""
    assert plain("Größe É") == "grosse e"
    assert same("radius", "radius") == 1
    assert 0 < same("smooth", "smoothness") < 1
    assert 0 < same("creatinine", "creatinin") < 1
    assert same("age", "agent") == 0


def test_the_fields_own_name_is_the_likeliest() -> None:
    """Every field of the shipped schemas is most like itself, and surely so."""
    for schema in ("heart.disease", "breast.cytology"):
        contract = find(schema)
        known = know(contract)
        for field in contract.fields:
            scores = {other.name: known.likeness(take_apart(field.name), other)[0] for other in contract.fields}
            assert scores.pop(field.name) == 1
            assert max(scores.values()) < 1, field.name
