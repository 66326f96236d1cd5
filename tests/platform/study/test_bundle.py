"""The study bundle: one form, one hash, and nothing else gets in."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies_on_paper import contract, paper, study

from wardround.canonical import canonical_bytes, sha256
from wardround.errors import Refused
from wardround.identity.keys import SigningKey
from wardround.study.bundle import Bundle, bundle_bytes, parse_bundle, read_bundle

BUNDLE = paper().bundle
DATA = bundle_bytes(BUNDLE)


def codes(data: bytes) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        parse_bundle(data)
    return caught.value.codes


def members(data: bytes = DATA) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(entries: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in entries:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr, entry.compress_type = 3, 0o644 << 16, compression
            archive.writestr(entry, content)
    return stream.getvalue()


def test_a_bundle_comes_back(tmp_path):
    """What was written is what is read, with the same hash and the same bytes."""
    BUNDLE.write(tmp_path / "b.wardround")
    read = read_bundle(tmp_path / "b.wardround")
    assert read.study_hash == BUNDLE.study_hash
    assert bundle_bytes(read) == DATA == (tmp_path / "b.wardround").read_bytes()
    assert np.array_equal(read.weights, BUNDLE.weights)


def test_the_test_builds_the_same_zip():
    """The attacks below start from the true form."""
    assert zipped(sorted(members().items())) == DATA


def test_every_changed_byte_is_refused():
    """Sampled over the whole file, headers and directory included: a changed byte is a coded refusal."""
    places = [*range(0, len(DATA), 23), *range(len(DATA) - 420, len(DATA))]
    for place in places:
        changed = DATA[:place] + bytes([DATA[place] ^ (1 << place % 8)]) + DATA[place + 1 :]
        assert set(codes(changed)) <= {"B-READ", "B-HASH", "P-PROTOCOL"}


@settings(max_examples=60)
@given(st.data())
def test_damaged_files_are_refused_by_code(data):
    """Whatever is cut out, put in or repeated: a coded refusal, never another exception."""
    start = data.draw(st.integers(0, len(DATA)))
    end = data.draw(st.integers(start, len(DATA)))
    noise = data.draw(st.binary(max_size=40))
    changed = data.draw(
        st.sampled_from(
            [DATA[:start], DATA[:start] + DATA[end:], DATA[:start] + noise + DATA[start:], DATA[start:] + DATA[:start]]
        )
    )
    if changed != DATA:
        codes(changed)


@given(st.binary(max_size=300))
def test_garbage_is_refused_by_code(garbage):
    """Bytes that are no zip are B-READ."""
    assert codes(garbage) == ("B-READ",)


def test_other_files_are_refused(tmp_path):
    """A missing file and a folder are B-READ."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(Refused) as caught:
            read_bundle(path)
        assert caught.value.codes == ("B-READ",)


def test_a_study_file_is_told_how_it_becomes_a_bundle(tmp_path):
    """Whoever gives the file that they wrote has damaged nothing, and the author has nothing to send again."""
    path = tmp_path / "study.yaml"
    path.write_text("name: skin\nversion: 1.0.0\n")
    with pytest.raises(Refused) as caught:
        read_bundle(path)
    (problem,) = caught.value.problems
    assert (problem.code, problem.place) == ("B-READ", "study.yaml")
    assert "damaged" not in problem.finding
    assert problem.next_step.endswith("wardround study build")
    path.write_bytes(DATA[: len(DATA) // 2])
    with pytest.raises(Refused) as caught:
        read_bundle(path)
    assert "damaged" in caught.value.problems[0].finding


@pytest.mark.parametrize("name", ["extra.json", "../evil", "/etc/passwd", "study.json/", "STUDY.JSON"])
def test_a_further_member_is_refused(name):
    """Exactly six members, and two signatures at most."""
    assert codes(zipped(sorted([*members().items(), (name, b"{}")]))) == ("B-READ",)


@pytest.mark.parametrize("name", sorted(members()))
def test_each_member_is_needed_once(name):
    """A missing, doubled or emptied member is refused."""
    held = members()
    assert codes(zipped([(n, c) for n, c in sorted(held.items()) if n != name])) == ("B-READ",)
    with pytest.warns(UserWarning, match="Duplicate"):
        doubled = zipped(sorted([*held.items(), (name, held[name])]))
    assert codes(doubled) == ("B-READ",)
    assert codes(zipped(sorted({**held, name: b""}.items())))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_are_refused(method):
    """Nothing is ever unpacked that could grow: a compressed bundle, and a zip bomb, are B-READ before a byte is read."""
    assert codes(zipped(sorted(members().items()), method)) == ("B-READ",)
    bomb = {**members(), "weights.safetensors": bytes(50_000_000)}
    assert codes(zipped(sorted(bomb.items()), method)) == ("B-READ",)


def test_another_order_comment_or_prefix_is_refused():
    """One bundle has one form: not reordered, without comment, prefix or tail."""
    assert codes(zipped(sorted(members().items(), reverse=True))) == ("B-READ",)
    stream = io.BytesIO(DATA)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.comment = b"hello"
    assert codes(stream.getvalue()) == ("B-READ",)
    assert codes(b"#!/bin/sh\n" + DATA) == ("B-READ",)
    assert codes(DATA + b"\0") == ("B-READ",)


@pytest.mark.parametrize("name", ["study.json", "contract.json", "roster.json", "versions.json", "weights.safetensors"])
def test_a_changed_member_does_not_fit_the_table(name):
    """A member that is not the manifest's is B-HASH, also when it is valid by itself."""
    held = members()
    held[name] = held[name].replace(b"1", b"2", 1) if name != "weights.safetensors" else held[name][:-1] + b"\x01"
    assert codes(zipped(sorted(held.items()))) == ("B-HASH",)


def forged(**contents: bytes) -> bytes:
    """Give a bundle whose table is right, for some other members; the study hash stays."""
    import json

    held = {**members(), **{name.replace("_", "."): content for name, content in contents.items()}}
    table = json.loads(held["manifest.json"])
    table["files"] = {name: sha256(content) for name, content in held.items() if name != "manifest.json"}
    held["manifest.json"] = canonical_bytes(table)
    return zipped(sorted(held.items()))


def test_a_forged_table_does_not_fit_the_study_hash():
    """Whoever rewrites the table too cannot keep the study hash that hospitals sign."""
    held = members()
    assert codes(forged(study_json=held["study.json"].replace(b'"seed":7', b'"seed":8'))) == ("B-HASH",)
    assert codes(forged(roster_json=held["roster.json"].replace(b"Hospital", b"hospital", 1))) == ("B-HASH",)
    other = replace(BUNDLE, weights=-BUNDLE.weights)
    assert codes(forged(weights_safetensors=members(bundle_bytes(other))["weights.safetensors"])) == ("B-HASH",)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'{"', b'{ "', 1),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text + b"\n",
        lambda text: text.replace(b'"seed":7', b'"seed":7.0'),
        lambda text: text.replace(b'"seed":7', b'"seed":"7"'),
        lambda text: text.replace(b'"seed":7', b'"seed":7,"seee":1'),
        lambda text: text.replace(b'"seed":7', b'"seed":7,"seed":7'),
        lambda text: text.replace(b'"seed":7,', b""),
        lambda text: text.replace(b'"strategy":"fedavg"', b'"strategy":"fedavg2"'),
        lambda text: text[:100],
        lambda _text: b"[" * 100_000,
        lambda text: b"\xff" + text,
    ],
)
def test_studies_in_another_form_are_refused(change):
    """JSON that is not canonical, has unknown, doubled, missing or mistyped keys: B-READ."""
    assert codes(forged(study_json=change(members()["study.json"]))) == ("B-READ",)


def test_a_study_that_does_not_fit_its_contract_is_refused():
    """The checks of the study file hold for a hand-made bundle as well."""
    wrong = replace(BUNDLE, study=study(features=("age", "agee")))
    assert codes(bundle_bytes(wrong)) == ("P-FIELD",)
    assert codes(bundle_bytes(replace(BUNDLE, contract=contract(version="1.0.1")))) == ("P-SCHEMA",)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_numbers_are_refused(bad):
    """A bundle whose initial weights are not finite could never be summed: B-READ at the door."""
    weights = BUNDLE.weights.copy()
    weights[2] = bad
    assert codes(bundle_bytes(replace(BUNDLE, weights=weights))) == ("B-READ",)


STUDY_CHANGES = [
    {"name": "other"},
    {"version": "1.0.1"},
    {"statistics": {"distributions": True}},
    {"title": "Another"},
    {"question": "Another"},
    {"author": "Another"},
    {"cohort": {"where": "age >= 18"}},
    {"target": {"field": "disease", "positive": "absent"}},
    {"features": ("pressure", "age", "pain")},
    {"features": ("age", "pressure")},
    {"network": {"name": "FullyConnectedNet", "arguments": {"hidden_channels": (4,)}}},
    {"training": {"optimiser": {"learning_rate": 0.1000001}, "batch_size": None}},
    {"training": {"optimiser": {"learning_rate": 0.1, "name": "adam"}, "batch_size": None}},
    {"training": {"optimiser": {"learning_rate": 0.1, "momentum": 0.5}, "batch_size": None}},
    {"training": {"optimiser": {"learning_rate": 0.1, "weight_decay": 0.5}, "batch_size": None}},
    {"training": {"optimiser": {"learning_rate": 0.1}, "batch_size": 32}},
    {"training": {"optimiser": {"learning_rate": 0.1}, "batch_size": None, "local_epochs": 2}},
    {"seed": 8},
    {"split": {"train": 0.6, "validation": 0.2, "test": 0.2}},
    {"rounds": {"maximum": 4, "deadline_seconds": 30.0, "retries": 1}},
    {"rounds": {"maximum": 3, "deadline_seconds": 31.0, "retries": 1}},
    {"rounds": {"maximum": 3, "deadline_seconds": 30.0, "retries": 2}},
    {"convergence": {"metric": "auroc", "patience": 3}},
    {"convergence": {"metric": "loss", "patience": 2}},
    {"convergence": {"metric": "loss", "patience": 3, "minimum_change": 0.5}},
    {"silos": {"minimum": 1}},
    {"silos": {"minimum": 2, "required": ("alpha",)}},
    {"silos": {"minimum": 2, "minimum_records": 2}},
    {"silos": {"minimum": 2, "minimum_validation": 2}},
    {"quarantine": {"max_fraction": 0.5}},
]


def test_every_changed_setting_is_another_study():
    """Each setting of the study changes the study hash, so that every hospital is asked again."""
    touched = {key for change in STUDY_CHANGES for key in change}
    fields = {field.alias or name for name, field in type(BUNDLE.study).model_fields.items()}
    assert touched == fields - {"strategy", "schema", "images"}, "the two have one value for this contract, which has no images"
    hashes = [replace(BUNDLE, study=study(**change)).study_hash for change in STUDY_CHANGES]
    assert len({BUNDLE.study_hash, *hashes}) == 1 + len(STUDY_CHANGES)


def test_everything_else_that_was_approved_is_in_the_hash():
    """Another contract, weight, tensor name, hospital, key or name is another study; package versions are for information."""
    first, *rest = BUNDLE.roster.silos
    other = SigningKey.generate().public
    rosters = [
        BUNDLE.roster.model_copy(update={"silos": tuple(rest)}),
        BUNDLE.roster.model_copy(update={"silos": (first.model_copy(update={"signing_key": other}), *rest)}),
        BUNDLE.roster.model_copy(update={"silos": (first.model_copy(update={"approval_key": other}), *rest)}),
        BUNDLE.roster.model_copy(update={"silos": (first.model_copy(update={"name": "Other"}), *rest)}),
        BUNDLE.roster.model_copy(update={"silos": (first.model_copy(update={"site": "aaa"}), *rest)}),
        BUNDLE.roster.model_copy(update={"coordinator": BUNDLE.roster.coordinator.model_copy(update={"signing_key": other})}),
    ]
    weights = BUNDLE.weights.copy()
    weights[0] = np.nextafter(weights[0], np.float32(1))
    renamed = BUNDLE.manifest.model_copy(
        update={"tensors": (BUNDLE.manifest.tensors[0].model_copy(update={"name": "a"}), *BUNDLE.manifest.tensors[1:])}
    )
    changed: list[Bundle] = [
        *(replace(BUNDLE, roster=roster) for roster in rosters),
        replace(BUNDLE, weights=weights),
        replace(BUNDLE, manifest=renamed),
        replace(BUNDLE, contract=contract(title="Another")),
    ]
    assert len({BUNDLE.study_hash, *(bundle.study_hash for bundle in changed)}) == 1 + len(changed)
    versions = BUNDLE.versions.model_copy(update={"packages": {}})
    assert replace(BUNDLE, versions=versions).study_hash == BUNDLE.study_hash


def test_a_light_bundle_is_the_same_study():
    """Without its weights, a bundle still has the study hash that all signed, and everything else."""
    whole = paper().bundle
    light = whole.lightened()
    assert light.weights.size == 0
    assert light.study_hash == whole.study_hash
    assert (light.study, light.contract, light.roster, light.manifest) == (
        whole.study,
        whole.contract,
        whole.roster,
        whole.manifest,
    )
    assert light.lightened().study_hash == whole.study_hash
