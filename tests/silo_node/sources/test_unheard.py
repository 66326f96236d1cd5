"""No word of a panic over a damaged file is heard, wherever it is read; what people are told is."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from clinic_on_disk import CLINIC
from corrupt_exports import spoil_by_number
from exports_on_disk import NAMES, export_site, typed

from silo_node.training.last_words import NOTE, LastWords

QUIET = (3, 4)
PANICS = (78, 617, 626, 2228, 2369, 3072, 3636, 4908)
"""Numbers of corrupt Parquet files over which polars panics, in different places of its code; and of two without a panic."""
READ = """
import json, os, sys
from pathlib import Path
from corrupt_exports import Ward, spoil_by_number
ward = Ward(Path(sys.argv[1]))
print("said before", file=sys.stderr)
for numbers in json.loads(sys.argv[2]):
    found = [ward.read("parquet", spoil_by_number(number, ward.good["parquet"], "parquet"))[:1] for number in numbers]
    os.write(2, b"native code\\n")
    print("said after", file=sys.stderr)
    print(json.dumps(found))
"""
COMMAND = "import sys; from wardround.console import run; sys.exit(run(sys.argv[1:]))"
ABORT = """
import os, sys
from pathlib import Path
from silo_node.local_log import keep_everything, open_log
from silo_node.sources.unheard import unheard
from silo_node.training.last_words import NOTE, LastWords
folder = Path(sys.argv[1])
keep_everything(open_log(folder, "test"))
LastWords(folder).begin("work")
unheard(os.abort)() if sys.argv[2] == "reading" else os.abort()
"""


def _run(program: str, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
    path = str(Path(__file__).resolve().parents[2] / "tools")
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}
    command = [sys.executable, "-c", program, *(str(word) for word in words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_panic_of_a_read_is_not_heard(tmp_path: Path) -> None:
    """Every file is a finding; what native code says of it, and from a panic on, is not printed, and Python's words are."""
    done = _run(READ, tmp_path, json.dumps([QUIET, PANICS]), RUST_BACKTRACE="1")
    assert done.returncode == 0, done.stderr
    quiet, panics = (json.loads(line) for line in done.stdout.splitlines())
    assert (quiet, panics) == ([["T-FILE"], []], [["T-FILE"]] * len(PANICS))
    assert done.stderr == "said before\nnative code\nsaid after\nsaid after\n"


def test_a_person_at_a_terminal_is_told_by_a_code_alone(tmp_path: Path) -> None:
    """Where columns are looked at for a mapping, too; the message comes after the panic, by the same standard error."""
    (tmp_path / "tables" / "test.clinic").mkdir(parents=True)
    (tmp_path / "tables" / "test.clinic" / "1.2.0.yaml").write_text(json.dumps(CLINIC))
    site = export_site(tmp_path, {"parquet": {"format": "parquet", "path": "t.parquet"}}, "parquet")
    good = io.BytesIO()
    pl.DataFrame(typed(), schema=NAMES, orient="row").write_parquet(good)
    (tmp_path / "t.parquet").write_bytes(spoil_by_number(PANICS[0], good.getvalue(), "parquet"))
    words = ("--site", site.path, "--schema", "test.clinic", "--schema-path", tmp_path, "--source", "parquet")
    done = _run(COMMAND, "silo", "map", *words)
    assert done.stderr.startswith("T-FILE parquet: "), done.stderr
    assert "panicked" not in done.stdout + done.stderr


@pytest.mark.parametrize(("when", "lost"), [("reading", True), ("else", False)])
def test_a_process_that_ends_itself_while_it_reads_did_so_for_want_of_memory(tmp_path: Path, when: str, lost: bool) -> None:
    """Its last words are not heard then; the trace of the crash is, and tells."""
    done = _run(ABORT, tmp_path, when)
    assert done.returncode == -signal.SIGABRT
    printed = tmp_path / "trainer.out"
    printed.write_text(done.stderr)
    (tmp_path / NOTE).write_text('{"work": "work", "printed": 0}')
    assert LastWords(tmp_path, printed).take_lost("work") is lost
