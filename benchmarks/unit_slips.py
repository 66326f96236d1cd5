"""Wrong units found in made-up columns: every slip of a table, whole and in part, and false alarms where none is.

    python benchmarks/unit_slips.py [--repeats 20] [--clean 1000]

Twenty slips that happen (tests/tools/unit_cases.py), each with a distribution of the right values whose quantiles are the
contract's reference. Found means: named with the right factor and unit. The share that is found is printed, at the
reference's own median and at hospitals whose patients' median is 30 % lower or higher; then the shares of columns in which
10 % of the values are in the wrong unit; then how many of ``--clean`` right columns, spread over the cases, with a median from
30 % below to 30 % above and a spread from 0.8 to 1.25 times the reference's, gave an alarm.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from silo_node.mapping import FieldMapping
from silo_node.validation import distributions
from wardround.contract.model import ContractField
from wardround.strict_yaml import Document, parse

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tools"))

from unit_cases import CASES, Case

SEED = 20_261_127
SHIFTS = (1.0, 0.7, 1.3)
COUNTS = (50, 200, 1000)
PART = 0.1


def mapping_of(case: Case) -> FieldMapping:
    """Give the mapping of a column that needs no conversion."""
    return FieldMapping(parse(ContractField, Document("case", case.field, {})), "column")


def columns(name: str, values: np.ndarray) -> Callable[[Sequence[str]], list[pl.Series]]:
    """Give a way to ask for the one column."""
    return lambda _: [pl.Series(name, values)]


def looked(mapping: FieldMapping, values: np.ndarray) -> list[tuple[str, str]]:
    """Give codes and texts of what is found in a column."""
    found = distributions.look(columns(mapping.field.name, values), [mapping])
    return [(fault.code, fault.finding) for fault in found.faults] + [(check.code, check.expectation) for check, _ in found.parts]


def named(case: Case, found: list[tuple[str, str]], *codes: str) -> bool:
    """Say whether the slip is found, with its factor and unit."""
    return any(
        code in codes and f"about {case.times:.3g} times" in text and f" {case.wrong} " in f"{text} " for code, text in found
    )


def whole(case: Case, count: int, shift: float, repeats: int) -> float:
    """Give the share of columns that are wholly in the wrong unit and found so."""
    mapping, random = mapping_of(case), np.random.default_rng(SEED)
    columns = [case.slipped(case.right(random, count, shift=shift)) for _ in range(repeats)]
    return sum(named(case, looked(mapping, column), "T-UNIT") for column in columns) / repeats


def part(case: Case, count: int, repeats: int) -> tuple[float, float]:
    """Give the shares of columns of which a part is in the wrong unit: found as an error, or at least as a warning."""
    mapping, random = mapping_of(case), np.random.default_rng(SEED)
    errors = warned = 0
    for _ in range(repeats):
        values = case.right(random, count)
        wrong = random.permutation(count)[: int(PART * count)]
        values[wrong] = case.slipped(values[wrong])
        found = distributions.look(columns(case.name, values), [mapping]).parts
        texts = [(check.severity, check.expectation) for check, _ in found]
        errors += named(case, texts, "error")
        warned += named(case, texts, "error", "warning")
    return errors / repeats, warned / repeats


def alarms(clean: int, count: int, most: float) -> dict[str, list[str]]:
    """Give the cases whose right columns gave an alarm, by its code.

    ``most``: spreads of the right values that the median is off at most, however wide 30 % are.
    """
    random = np.random.default_rng(SEED)
    mappings = [mapping_of(case) for case in CASES]
    found: dict[str, list[str]] = {"T-UNIT": [], "T-UNITMIX": [], "T-DRIFT": []}
    for at in range(clean):
        case, mapping = CASES[at % len(CASES)], mappings[at % len(CASES)]
        limit = np.exp(most * case.relative_spread)
        shift = np.clip(random.uniform(0.7, 1.3), 1 / limit, limit)
        values = case.right(random, count, shift=shift, wider=random.uniform(0.8, 1.25))
        for code, _ in looked(mapping, values):
            found[code].append(case.name)
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--clean", type=int, default=1000)
    asked = parser.parse_args()
    began = time.process_time()
    heads = [f"{count} x{shift:g}" for count in COUNTS for shift in SHIFTS]
    print("whole column in the wrong unit, named: values, and the patients' median against the reference's")
    print(f"{'case':18}{'wrong unit':>24}{'times':>10}" + "".join(f"{head:>11}" for head in heads))
    for case in CASES:
        row = [whole(case, count, shift, asked.repeats) for count in COUNTS for shift in SHIFTS]
        print(f"{case.name:18}{case.wrong:>24}{case.times:>10.4g}" + "".join(f"{share:>11.0%}" for share in row))
    print(f"\n{PART:.0%} of the column in the wrong unit, named: as an error, and as an error or a warning")
    print(f"{'case':18}{'spreads apart':>24}" + "".join(f"{count:>10} values" for count in (1000, 10_000)))
    total = np.zeros(4)
    for case in CASES:
        shares = [*part(case, 1000, asked.repeats), *part(case, 10_000, asked.repeats)]
        total += shares
        words = "".join(f"{error:>9.0%}{warned:>8.0%}" for error, warned in zip(shares[::2], shares[1::2], strict=True))
        print(f"{case.name:18}{abs(np.log(case.times)) / case.relative_spread:>24.1f}{words}")
    print(f"{'all':42}" + "".join(f"{error:>9.0%}{warned:>8.0%}" for error, warned in (total / len(CASES)).reshape(2, 2)))
    for count, most in ((200, np.inf), (1000, np.inf), (10_000, np.inf), (1000, 1.0)):
        found = alarms(asked.clean, count, most)
        words = "; ".join(f"{code} {len(names)} {sorted(set(names)) if names else ''}" for code, names in found.items())
        print(f"\nalarms in {asked.clean} right columns of {count} values, the median {most:g} spreads off at most: {words}")
    print(f"\n{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
