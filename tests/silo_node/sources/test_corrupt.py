from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clinic_on_disk import CLINIC, load_contract, make_site, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.validation.check import CheckResult, check
from wardround.errors import CATALOGUE

WHOLE = rows(height=6).encode()
BYTES = st.sampled_from(
    [b"", b"\n", b"\r", b"\r\n", b'"', b'""', b";", b",", b"\0", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"P1", b"\xe2\x80\xa8"]
)


@st.composite
def corrupted(draw: Any) -> bytes:
    """Cut, double, swap and spoil a good file's bytes."""
    content = WHOLE
    for _ in range(draw(st.integers(1, 4))):
        at, until = sorted((draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))))
        match draw(st.sampled_from(["insert", "replace", "cut", "double", "random"])):
            case "insert":
                content = content[:at] + draw(BYTES) + content[at:]
            case "replace":
                content = content[:at] + draw(BYTES) + content[at + 1 :]
            case "cut":
                content = content[:at] + content[until:]
            case "double":
                content = content[:until] + content[at:]
            case _:
                content = content[:at] + draw(st.binary(max_size=20)) + content[at:]
    return content


@settings(max_examples=400)
@given(content=corrupted(), encoding=st.sampled_from(["utf-8", "utf-8", "latin-1", "utf-16"]), quote=st.sampled_from(['"', None]))
def test_no_corrupt_file_gets_further_than_a_finding(
    tmp_path_factory: Any, content: bytes, encoding: str, quote: str | None
) -> None:
    """Whatever the bytes, the check answers with findings of the catalogue, and counts that add up."""
    folder: Path = tmp_path_factory.getbasetemp()
    contract = load_contract(CLINIC, folder)
    site = make_site(folder, content, dialect={"delimiter": ";", "decimal": ",", "encoding": encoding, "quote": quote})
    result = check(site, contract)
    assert isinstance(result, CheckResult)
    assert all(each.code in CATALOGUE for each in result.findings)
    assert result.passed == (not any(each.severity == "error" and each.level != "record" for each in result.findings))
    assert result.found == result.quarantined + result.valid.height
    assert len(result.quarantined_places) == result.quarantined
    assert len(set(result.quarantined_places)) == result.quarantined
    last = content.count(b"\n") + content.count(b"\r") + content.count(b"\x85") + 2
    assert all(1 < place <= last for place in result.quarantined_places)


@pytest.mark.parametrize("kept", range(0, len(WHOLE), 7))
def test_a_file_cut_off_anywhere_is_never_taken_for_whole_lines(tmp_path: Path, kept: int) -> None:
    """A transfer that broke off leaves the records before the cut, or a finding; never a value of half a cell unseen."""
    contract = load_contract(CLINIC, tmp_path)
    whole = check(make_site(tmp_path, WHOLE), contract).valid
    result = check(make_site(tmp_path, WHOLE[:kept]), contract, max_fraction=1.0)
    cut = result.valid
    if cut.height:
        assert cut.head(cut.height - 1).equals(whole.head(cut.height - 1))
