"""Any file ends in a draft that says what was proposed, or in a code; never in anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.configuration import load_site
from silo_node.drafting.local_table import look
from silo_node.drafting.proposal import propose
from silo_node.drafting.writing import confirmed, write_draft
from wardround.contract.library import find
from wardround.errors import Refused
from wardround.strict_yaml import parse_text

SITE = "site: north\nname: Northern Infirmary\nsources: {}\nschemas: {}\n"
EXPORT = (
    b"Nr;Pseudonym;Alter;sexo;RR;BZ;Note\nA1;bf168da7431dbc3f;40;M;138;1,5;\"a; 'b'\"\n"
    b"A2;79a5fd621b757b20;52;H;-9;2,5;#~ x: {y}\nA3;7f1d490eed97ec76;46;H;120;NA;???\n"
)
ODD = [b"\0", b"\xff", b'"', b"'", b",", b";", b"\n", b"\r", b"\t", b":", b"[", b"{", b"#", "\u2028".encode(), b"???", b""]


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, len(EXPORT) - 1), st.sampled_from(ODD)), max_size=6),
    st.integers(1, len(EXPORT)),
    st.sampled_from([None, "first-line", "a,b,c,d,e,f,g"]),
)
def test_any_file_gives_a_draft_or_a_code(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]], length: int, header: str | None
) -> None:
    """Bytes changed, put in, taken out and cut off; what is written is read back whole, and confirming takes the marks away."""
    raw = EXPORT[:length] if len(changes) % 2 else EXPORT
    for at, piece in changes:
        raw = raw[:at] + piece + raw[at + 1 :]
    folder = tmp_path_factory.mktemp("any")
    (folder / "site.yaml").write_text(SITE)
    (folder / "export.csv").write_bytes(raw)
    site, contract = load_site(folder / "site.yaml"), find("heart.disease")
    try:
        table = look(site, None, Path(folder / "export.csv"), header)
        text = write_draft(site, SITE, contract, table, propose(contract, table.columns, table.decimal, (), {""}))
    except Refused as refused:
        codes = set(refused.codes)
        text = None
    if text is None:
        assert codes <= {"X-USAGE", "T-ENCODING", "T-NOHEADER", "T-EMPTY", "T-RAGGED", "T-HDRDUP", "Y-VALUE"}
        return
    drafted, after = parse_text(text, "draft").data, parse_text(confirmed(text, "draft"), "site.yaml").data
    assert isinstance(drafted, dict)
    assert after == {key: value for key, value in drafted.items() if key != "draft"}
    assert "#~" not in confirmed(text, "draft") or "#~" in raw.decode("latin-1")
