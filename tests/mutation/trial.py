"""Runs tests in a process of their own, in which some modules have another text than on disk.

The process that forks them has imported the libraries and none of our silo's code, and has computed nothing: polars starts
its pool of threads when it is first used, and those do not survive a fork. No file is changed.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = (
    *("pytest", "hypothesis", "numpy", "polars", "polars.testing", "pydantic", "yaml", "pandera.polars", "click", "rich.console"),
    *("charset_normalizer", "openpyxl", "sqlalchemy", "cryptography.hazmat.primitives.asymmetric.ed25519"),
    *("wardround.contract.library", "wardround.contract.synthetic.records", "wardround.messages.data_report"),
    *("pytest_timeout", "wardround.identity.keys", "safetensors.numpy", "wardround.messages.round", "wardround.reference"),
)
PASSED, FAILED, INTERRUPTED = 0, 1, 2
"""Of pytest's exit statuses, those of a run that says something of the code under test."""
NOT_JUDGED = 99
SURVIVE_A_FORK = frozenset({"jemalloc_bg_thd", "polars-ooc-clea"})
"""Threads that importing polars starts: the allocator's start again in a fork, and nobody waits for the other (it tidies up)."""

Texts = Mapping[str, bytes]
"""Texts of modules by their path from the root."""


@dataclass(frozen=True)
class Verdict:
    """What the tests say.

    Attributes:
        killed: whether one failed, or ran past its time.
        by: the first test that failed; ``time`` for a run that did not end, ``import`` where no test could begin.
        seconds: how long it took.
    """

    killed: bool
    by: str
    seconds: float


def warm_up() -> None:
    """Import what every run needs, and see that a fork of this process is sound."""
    assert not {"numpy", "polars"}.intersection(sys.modules), "they take their number of threads when they are imported"
    os.environ.update(dict.fromkeys(("POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LIBRARIES:
            importlib.import_module(name)
    ours = sorted(name for name in sys.modules if name.startswith("silo_node"))
    assert not ours, f"these would keep the text that is on disk: {ours}"


def _no_pool() -> None:
    threads = {(each / "comm").read_text().strip() for each in Path("/proc/self/task").iterdir() if int(each.name) != os.getpid()}
    assert threads <= SURVIVE_A_FORK, f"a process with the threads {threads} is not forked: the fork would wait for them"


def judge(texts: Texts, tests: Sequence[str], seconds: float, prepare: str = "") -> Verdict:
    """Run tests in their order until one fails, with other texts of some modules.

    Args:
        texts: of the modules that are changed.
        tests: pytest's ids of them, the likeliest to fail first.
        seconds: after which the run is ended, and counts as failed.
        prepare: a module of this folder whose ``prepare`` is called before the tests are read.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        status = _forked(lambda: _run(texts, tests, Path(folder), answer, prepare), Path(folder) / "output", seconds)
        took = time.monotonic() - began
        if status is None:
            return Verdict(killed=True, by="time", seconds=took)
        if status not in (PASSED, FAILED, INTERRUPTED):
            raise RuntimeError((Path(folder) / "output").read_text(errors="replace")[-4000:] + f"\nstatus {status}")
        found = json.loads(answer.read_text())
        if status == PASSED and found["ran"] != len(tests):
            msg = f"{found['ran']} of {len(tests)} tests ran"
            raise RuntimeError(msg)
        return Verdict(killed=status != PASSED, by=found["failed"] or ("" if status == PASSED else "import"), seconds=took)


def _forked(work: Callable[[], int], output: Path, seconds: float) -> int | None:
    """Give the exit status of some work in a fork; ``None`` where it had to be ended."""
    _no_pool()
    child = os.fork()
    if not child:
        status = NOT_JUDGED
        try:
            os.setpgid(0, 0)
            handle = os.open(output, os.O_WRONLY | os.O_CREAT)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            status = work()
        except BaseException:  # noqa: BLE001  (nothing of the child may run on in the parent's code)
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            # A crash of the interpreter (a signal) is a failure that every test run would show.
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else INTERRUPTED
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _run(texts: Texts, tests: Sequence[str], folder: Path, answer: Path, prepare: str) -> int:
    install(texts)
    if prepare:
        importlib.import_module(prepare).prepare()
    plugin = _Chosen(tests)
    answer.write_text(json.dumps({"failed": "", "ran": 0}))
    status = _pytest([plugin], list(dict.fromkeys(test.partition("::")[0] for test in tests)), folder)
    answer.write_text(json.dumps({"failed": plugin.failed, "ran": plugin.ran}))
    return status


def _pytest(plugins: Sequence[object], paths: Sequence[str], folder: Path) -> int:
    import pytest

    os.chdir(ROOT)
    os.environ["HYPOTHESIS_PROFILE"] = "ci"  # the same examples every time
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # those that are not asked for take longer to load than a test to fail
    options = ["-q", "-x", "--tb=line", "--assert=plain", f"--basetemp={folder}/tests"]
    options += ["-p", "pytest_timeout", "-p", "no:cacheprovider"]
    return int(pytest.main([*options, *paths], plugins=[*plugins]))


class _Chosen:
    """Runs some tests alone, in a given order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.order = {test: at for at, test in enumerate(tests)}
        self.failed, self.ran = "", 0

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = sorted((each for each in items if each.nodeid in self.order), key=lambda each: self.order[each.nodeid])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid
        if report.when == "teardown":
            self.ran += 1


# --------------------------------------------------------------------------------------------------------- other texts


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from a text, under the path of its file."""

    def __init__(self, name: str, path: str, text: bytes) -> None:
        super().__init__(name, path)
        self.text = text

    def get_code(self, fullname: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `x is 1` is what a mutant may say
            return compile(self.text, self.get_filename(fullname), "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, texts: Texts) -> None:
        self.texts = {module_name(path): (str(ROOT / path), text) for path, text in texts.items()}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname not in self.texts:
            return None
        file, text = self.texts[fullname]
        return importlib.util.spec_from_file_location(fullname, file, loader=_Loader(fullname, file, text))


def install(texts: Texts) -> None:
    """Have modules loaded from other texts from now on."""
    sys.meta_path.insert(0, _Finder(texts))


def module_name(path: str) -> str:
    """Give the name of a module of the silo by its path from the root."""
    return path.removeprefix("silo_node/").removesuffix(".py").replace("/", ".")


# ------------------------------------------------------------------------------------------------------- which test what


def traced(path: str, source: bytes) -> bytes:
    """Give a module's text in which every statement of a function says that it runs, in whatever thread."""
    tree = ast.parse(source)
    for function in [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]:
        for node in ast.walk(function):
            for field in ("body", "orelse", "finalbody"):
                body = getattr(node, field, None)
                if isinstance(body, list) and not isinstance(node, ast.ClassDef):
                    setattr(node, field, _telling(path, body))
    return ast.unparse(ast.fix_missing_locations(tree)).encode()


def _telling(path: str, body: list[ast.stmt]) -> list[ast.stmt]:
    told: list[ast.stmt] = []
    for statement in body:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not docstring and hasattr(statement, "lineno"):
            mark = f"_mutation_ran({path!r}, {statement.lineno})"
            if not (told and ast.unparse(told[-1]) == mark):
                new = ast.parse(mark).body[0]
                for each in ast.walk(new):
                    if hasattr(each, "lineno"):
                        del each.lineno
                told.append(new)
        told.append(statement)
    return told


class _Watch:
    """Notes how long each test took, and which statements ran in it."""

    def __init__(self) -> None:
        self.ran: set[tuple[str, int]] = set()
        self.tests: dict[str, dict[str, Any]] = {}
        self.shared: dict[str, set[tuple[str, int]]] = {}
        self.began = 0.0

    def note(self, path: str, line: int) -> None:
        self.ran.add((path, line))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.ran.clear()
        self.began = time.process_time()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Any:
        """What a fixture of several tests runs belongs to every test of its file."""
        if fixturedef.scope == "function":
            return (yield)
        before, self.ran = self.ran, set()
        result = yield
        self.shared.setdefault(request.node.nodeid.partition("::")[0], set()).update(self.ran)
        self.ran |= before
        return result

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "teardown":
            lines = sorted(self.ran)
            self.tests[report.nodeid] = {"seconds": time.process_time() - self.began, "lines": lines}


def watched(texts: Texts, paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Run tests with the modules as they are, and say of each how long it took and which statements ran.

    Raises:
        RuntimeError: a test failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        answer = folder / "answer"
        status = _forked(lambda: _watched(texts, paths, folder, answer), folder / "output", 3600)
        if status != PASSED:
            raise RuntimeError((folder / "output").read_text(errors="replace")[-4000:])
        found: dict[str, dict[str, Any]] = json.loads(answer.read_text())
        return found


def _watched(texts: Texts, paths: Sequence[str], folder: Path, answer: Path) -> int:
    watch = _Watch()
    builtins._mutation_ran = watch.note  # type: ignore[attr-defined]
    install({path: traced(path, source) for path, source in texts.items()})

    status = _pytest([watch], paths, folder)
    for test, told in watch.tests.items():
        told["lines"] = sorted({*told["lines"], *watch.shared.get("", ()), *watch.shared.get(test.partition("::")[0], ())})
    answer.write_text(json.dumps(watch.tests))
    return status
