"""Judge the tests of the check: which dropped rules, and which small changes of its code, would they not notice?

    python tests/mutation/mutation_run.py --rules                  every rule left out, one by one
    python tests/mutation/mutation_run.py --sample 600 --seed 1    that, and so many small changes, drawn by chance
    python tests/mutation/mutation_run.py --all                    that, and every small change (hours)

Ends with status 1 when one is not noticed that ``accepted.yaml`` does not explain.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml
from operators import Mutant, mutants
from rules import code_of, dropped_rules
from trial import ROOT, Verdict, judge, module_name, warm_up, watched

UNDER_TEST = (
    *("silo_node/silo_node/validation/*.py", "silo_node/silo_node/mapping/cells.py", "silo_node/silo_node/mapping/facts.py"),
    *("silo_node/silo_node/mapping/listed.py", "silo_node/silo_node/mapping/exceptions.py"),
    "silo_node/silo_node/sources/layout.py",
)
"""The modules that decide over records, of which small changes are judged."""
RULES_IN = (
    *UNDER_TEST,
    "silo_node/silo_node/sources/*.py",
    "silo_node/silo_node/extraction/*.py",
    "silo_node/silo_node/cohort.py",
)
"""Where findings are made."""
TESTS = (
    *("tests/silo_node/validation", "tests/silo_node/mapping", "tests/silo_node/sources", "tests/silo_node/extraction"),
    *(f"tests/silo_node/test_{name}.py" for name in ("cohort", "check_command", "synthetic_records")),
    *(f"--ignore-glob=*/{name}" for name in ("test_synthesis.py", "test_fuzz.py", "test_corrupt.py")),
)
"""What judges. Left out are tests of something else, which run the check hundreds of times."""
FIRST = 8
"""Tests that are tried before all others that run the changed statement."""
PATIENCE = 20.0
"""Times that tests may take as long as they did without a change, in seconds of the processor; with ``GRACE`` seconds on top."""
GRACE = 30.0
ACCEPTED = Path(__file__).with_name("accepted.yaml")


@dataclass(frozen=True)
class Judged:
    """A mutant, and what became of it."""

    mutant: Mutant
    verdict: Verdict
    tests: int


class Suite:
    """The tests, how long each takes, and which statements it runs."""

    def __init__(self, known: dict[str, dict[str, Any]], most: float) -> None:
        self.most = most
        self.seconds = {test: told["seconds"] for test, told in known.items()}
        self.by_line: dict[tuple[str, int], set[str]] = {}
        self.by_module: dict[str, set[str]] = {}
        for test, told in known.items():
            for path, line in told["lines"]:
                self.by_line.setdefault((path, line), set()).add(test)
                self.by_module.setdefault(path, set()).add(test)
        self.kills: Counter[tuple[str, str]] = Counter()

    def of(self, mutant: Mutant, importers: dict[str, set[str]]) -> list[str]:
        """Give tests that could notice a mutant: the likeliest, then the quickest file by file, as many as time allows."""
        if mutant.line is not None:
            found = self.by_line.get((mutant.module, mutant.line), set())
        else:
            found = set().union(*(self.by_module.get(each, set()) for each in importers[mutant.module]))
        place, word = f"{mutant.module} {mutant.within}", mutant.was.partition(" ")[0]

        def likely(test: str) -> tuple[int, bool, int, float]:
            return -self.kills[place, test], word not in test, -self.kills[mutant.module, test], self.seconds[test]

        order = sorted(found, key=likely)
        first, rest, spent = order[:FIRST], list[str](), 0.0
        for test in sorted(order[FIRST:], key=self.seconds.__getitem__):
            spent += self.seconds[test]
            if spent <= self.most:
                rest.append(test)
        files = [test.partition("::")[0] for test in sorted(rest, key=likely)]
        return [*first, *sorted(rest, key=lambda test: files.index(test.partition("::")[0]))]

    def learn(self, mutant: Mutant, test: str) -> None:
        self.kills[f"{mutant.module} {mutant.within}", test] += 1
        self.kills[mutant.module, test] += 1


def judged(mutant: Mutant, source: bytes, suite: Suite, importers: dict[str, set[str]], *, rule: bool) -> Judged:
    """Hold the tests against a mutant."""
    tests = suite.of(mutant, importers)
    verdict, spent = Verdict(killed=False, by="", seconds=0.0), 0.0
    texts = {mutant.module: mutant.apply(source)}
    for some in (tests[:FIRST], tests):
        if not verdict.killed and some and (len(some) > FIRST or some is not tests):
            verdict = judge(texts, some, GRACE + PATIENCE * sum(suite.seconds[test] for test in some), "rules" if rule else "")
            spent += verdict.seconds
    if "::" in verdict.by:
        suite.learn(mutant, verdict.by)
    return Judged(mutant, Verdict(verdict.killed, verdict.by, spent), len(tests))


def importers_of(texts: dict[str, bytes]) -> dict[str, set[str]]:
    """Give for each module itself and those that import from it: what is defined at its top acts there."""
    names = {module_name(path): path for path in texts}
    found = {path: {path} for path in texts}
    for path, text in texts.items():
        for name, imported in names.items():
            package, _, last = name.rpartition(".")
            if f"from {name} import".encode() in text or (
                f"from {package} import".encode() in text and f" {last}".encode() in text
            ):
                found[imported].add(path)
    return found


# ------------------------------------------------------------------------------------------------------- what survives


@dataclass(frozen=True)
class Accepted:
    """A change that no test notices, and why none should.

    Attributes:
        within: the function, or empty at the top of a module.
        was: the code; ``becomes``: what may stand there instead; ``None`` for whatever.
    """

    module: str
    within: str
    was: str
    becomes: str | None
    reason: str

    def covers(self, mutant: Mutant) -> bool:
        return (
            mutant.module.endswith(self.module)
            and mutant.within == self.within
            and mutant.was == self.was
            and self.becomes in (None, mutant.becomes)
        )


def accepted(file: Path = ACCEPTED) -> list[Accepted]:
    """Read the survivors that are explained."""
    return [
        Accepted(one["module"], one.get("within", ""), one["was"], one.get("becomes"), group["reason"])
        for group in yaml.safe_load(file.read_text()) or []
        for one in group["changes"]
    ]


def read() -> dict[str, bytes]:
    """Give the modules in which findings are made, by their paths."""
    return {str(path.relative_to(ROOT)): path.read_bytes() for pattern in RULES_IN for path in sorted(ROOT.glob(pattern))}


def stale(texts: dict[str, bytes], excuses: Sequence[Accepted]) -> list[Accepted]:
    """Give the explanations of what is not there any more, or is not changed."""
    named = {path: text for path, text in texts.items() if any(path.endswith(each.module) for each in excuses)}
    made = [mutant for path, text in named.items() for mutant in (*dropped_rules(path, text), *mutants(path, text))]
    return [each for each in excuses if not any(each.covers(mutant) for mutant in made)]


def interval(share: float, count: int) -> tuple[float, float]:
    """Give Wilson's 95 % interval of a share."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


# --------------------------------------------------------------------------------------------------------------- a run


def self_check(texts: dict[str, bytes], suite: Suite) -> None:
    """See that the judge is sound: nothing fails without a change, and an engine that does nothing is noticed."""
    quick = sorted(suite.by_module["silo_node/silo_node/validation/engine.py"], key=suite.seconds.__getitem__)[:FIRST]
    path = "silo_node/silo_node/validation/engine.py"
    broken = texts[path].replace(b"    broken = _details(work, suspects)\n", b"    broken = []\n")
    assert broken != texts[path]
    unchanged = judge({path: texts[path]}, quick, 10 * GRACE)
    assert not unchanged.killed, f"a test fails without a change: {unchanged.by}"
    every = sorted(suite.by_module[path], key=suite.seconds.__getitem__)
    assert judge({path: broken}, every, 10 * GRACE).killed, "an engine that finds nothing is not noticed"


def known(texts: dict[str, bytes], paths: Sequence[str], file: Path | None) -> dict[str, dict[str, Any]]:
    """Give what each test runs: from a file of an earlier run on the same code, or by running all tests once."""
    if file is not None and file.exists():
        found: dict[str, dict[str, Any]] = json.loads(file.read_text())
        return found
    found = watched(texts, paths)
    if file is not None:
        file.write_text(json.dumps(found))
    return found


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rules", action="store_true", help="leave out the rules, and change nothing else")
    parser.add_argument("--sample", type=int, default=37, help="how many small changes are drawn")
    parser.add_argument("--seed", type=int, default=1, help="of the draw")
    parser.add_argument("--all", action="store_true", help="judge every small change")
    parser.add_argument("--only", default="", help="a part of the path of the modules that are changed")
    parser.add_argument("--most", type=float, default=20.0, help="seconds of the processor that the tests of one mutant may take")
    parser.add_argument("--map", type=Path, help="keeps what each test runs for the next run; only for unchanged code and tests")
    parser.add_argument("--results", type=Path, help="a line for each mutant, as it is judged; those in it are not judged again")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Judge mutants, print the score, and give the exit status."""
    arguments = _arguments(words)
    texts = read()
    rules = [mutant for path, source in texts.items() for mutant in dropped_rules(path, source)]
    changed = [path for path in texts if any(PurePath(path).match(pattern) for pattern in UNDER_TEST)]
    changes = [mutant for path in changed for mutant in mutants(path, texts[path])]
    excuses = accepted()
    outdated = stale(texts, excuses)
    for each in outdated:
        print(f"{ACCEPTED.name} explains what is not there any more: {each.module} {each.within}: {each.was}")
    if outdated:
        return 1
    warm_up()
    suite = Suite(known(texts, TESTS, arguments.map), arguments.most)
    self_check(texts, suite)
    print(f"{len(suite.seconds)} tests pass on the code as it is", flush=True)
    run = Run(texts, suite, excuses, arguments.results)
    rules = [each for each in rules if arguments.only in each.module]
    status = run.judge_all(rules, f"every rule of {len({code_of(each) for each in rules})} codes left out", rule=True)
    if arguments.rules:
        return status
    some = [each for each in changes if arguments.only in each.module]
    among = len(some)
    if not arguments.all and arguments.sample < among:
        # In an order of chance, so that a greater sample of the same seed begins with the smaller one.
        some = random.Random(arguments.seed).sample(some, among)[: arguments.sample]  # noqa: S311  (draws no secret)
    return run.judge_all(some, f"{len(some)} of {among} small changes, seed {arguments.seed}", sampled=len(some) < among) | status


class Run:
    """What is judged, and what was told of it before."""

    def __init__(self, texts: dict[str, bytes], suite: Suite, excuses: Sequence[Accepted], results: Path | None) -> None:
        self.texts, self.suite, self.excuses, self.results = texts, suite, excuses, results
        self.importers = importers_of(texts)
        self.earlier = _earlier(results)

    def judge_all(self, some: Sequence[Mutant], words: str, *, rule: bool = False, sampled: bool = False) -> int:
        """Judge mutants, print those that survive and the score, and give the exit status."""
        print(f"\n{words}", flush=True)
        began, ended, explained, survivors = time.monotonic(), 0, 0, 0
        for at, mutant in enumerate(some, start=1):
            found = self._judged(mutant, rule=rule)
            ended += found.verdict.by == "time"
            if not found.verdict.killed:
                if any(each.covers(mutant) for each in self.excuses):
                    explained += 1
                else:
                    survivors += 1
                    print(
                        f"survives {found.tests} tests: {mutant.module}, {mutant.within}\n    {mutant.was}\n -> {mutant.becomes}",
                        flush=True,
                    )
            if at % 25 == 0:
                print(f"{at} judged, {time.monotonic() - began:.0f} s", flush=True)
        killed = len(some) - explained - survivors
        low, high = interval(killed / len(some), len(some))
        print(
            f"noticed: {killed} of {len(some)}, {killed / len(some):.1%}"
            + (f" (95 % interval {low:.1%} to {high:.1%})" if sampled else "")
            + f"; {ended} of them by tests that did not end\n"
            f"not noticed, and explained in {ACCEPTED.name}: {explained}\n"
            f"not noticed, and not explained: {survivors}",
            flush=True,
        )
        return 1 if survivors else 0

    def _judged(self, mutant: Mutant, *, rule: bool) -> Judged:
        key = _key(mutant)
        if key not in self.earlier:
            self.earlier[key] = judged(mutant, self.texts[mutant.module], self.suite, self.importers, rule=rule)
            if self.results is not None:
                with self.results.open("a") as lines:
                    lines.write(json.dumps(asdict(self.earlier[key])) + "\n")
        return self.earlier[key]


def _key(mutant: Mutant) -> tuple[str, str, str, str]:
    return mutant.module, mutant.within, mutant.was, f"{mutant.becomes} {mutant.start}"


def _earlier(file: Path | None) -> dict[tuple[str, str, str, str], Judged]:
    if file is None or not file.exists():
        return {}
    found = [json.loads(line) for line in file.read_text().splitlines()]
    read = [Judged(Mutant(**each["mutant"]), Verdict(**each["verdict"]), each["tests"]) for each in found]
    return {_key(each.mutant): each for each in read}


if __name__ == "__main__":
    sys.exit(main())
