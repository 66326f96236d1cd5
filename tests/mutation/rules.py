"""Every rule of the catalogue left out, at each place where one is made: a code that is given to a check, a cause or a fault.

Where the code stands in what is yielded, appended, raised, or is one of several, that piece is left out of the text. Elsewhere
the code becomes ``DROPPED``, and whatever bears it is taken off before anybody sees it: see ``prepare``.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from operators import Mutant, Reader

DROPPED = "T-DROPPED"
MAKERS = frozenset(
    {"Check", "Cause", "Fault", "Finding", "_check", "_warning", "_limit", "late_finding", "_told", "_bad", "by_kind"}
)
"""What makes a check, a cause, a fault or a finding of a code."""
BY_DEFAULT = {("silo_node/silo_node/sources/joined.py", "_bad"): "T-JOIN"}
"""Makers that need not be told the code."""

_CODE = re.compile(r"T-[A-Z-]+")


def dropped_rules(module: str, source: bytes) -> list[Mutant]:
    """Give every rule of a module, left out."""
    made: dict[tuple[int, int, str], Mutant] = {}
    for each in _Rules(module, source).rules():
        if _CODE.fullmatch(code_of(each)) or (each.start, each.end, each.text) not in made:
            made[each.start, each.end, each.text] = each
    return sorted(made.values(), key=lambda each: each.start)


def code_of(mutant: Mutant) -> str:
    """Give the code of the rule that a mutant leaves out."""
    return mutant.was.partition(" ")[0]


class _Rules(Reader):
    def rules(self) -> Iterator[Mutant]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.fullmatch(node.value):
                yield from self._of_code(node, node.value)
            if isinstance(node, ast.Call) and (code := self._by_default(node)) is not None:
                yield from self._statement(node, code)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom) and self._gives_rules(node):
                yield self.mutant(node, "if False: yield", f"rules of {_head(node)}", "(dropped)")
            if isinstance(node, ast.AugAssign) and ast.unparse(node.target) == "checks":
                yield self.mutant(node, "pass", f"rules of {_head(node)}", "(dropped)")

    def _by_default(self, node: ast.Call) -> str | None:
        told = any(each.arg == "code" for each in node.keywords)
        return None if told else BY_DEFAULT.get((self.module, ast.unparse(node.func)))

    def _gives_rules(self, node: ast.AST) -> bool:
        function = next(each for each in self.ancestors(node) if isinstance(each, ast.FunctionDef))
        return function.returns is not None and ast.unparse(function.returns) in ("Iterator[Check]", "Iterator[Cause]")

    def _of_code(self, node: ast.Constant, code: str) -> Iterator[Mutant]:
        parent = self.parents[node]
        outer = self.parents[parent]
        if isinstance(parent, ast.Tuple) and parent.elts[0] is node and isinstance(outer, ast.Tuple):
            rest = ast.Tuple([each for each in outer.elts if each is not parent], ast.Load())
            yield self.mutant(outer, ast.unparse(rest), f"{code} of {ast.unparse(outer)}", "(dropped)")
        elif isinstance(parent, ast.Dict) and node in parent.keys:
            yield from self._entry(node, parent, code)
        elif (isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Store)) or self._is_given(node):
            yield from self._statement(node, code)

    def _entry(self, key: ast.Constant, entries: ast.Dict, code: str) -> Iterator[Mutant]:
        """Leave out an entry of a dictionary of rules; one of words for people holds none."""
        if not all(isinstance(each, ast.Constant | ast.JoinedStr | ast.Tuple) for each in entries.values):
            rest = [(each, value) for each, value in zip(entries.keys, entries.values, strict=True) if each is not key]
            text = ast.unparse(ast.Dict([each for each, _ in rest], [value for _, value in rest]))
            yield self.mutant(entries, text, f"{code} of {ast.unparse(entries)}", "(dropped)")

    def _is_given(self, node: ast.AST) -> bool:
        """Say whether a code is the one that something made gets, not one that is compared or looked up."""
        parent = self.parents[node]
        if isinstance(parent, ast.IfExp) and node is not parent.test:
            return self._is_given(parent)
        if isinstance(parent, ast.keyword) and parent.arg == "code":
            return ast.unparse(self.parents[parent].func) in MAKERS | {"replace"}  # type: ignore[attr-defined]
        if isinstance(parent, ast.Call):
            name = ast.unparse(parent.func).rpartition(".")[2]
            return name in MAKERS and node in parent.args[:1]
        return False

    def _statement(self, node: ast.AST, code: str) -> Iterator[Mutant]:
        statement = self._statement_of(node)
        choice = isinstance(self.parents[node], ast.IfExp)
        text = None if choice else _left_out(statement)
        if text is not None:
            yield self.mutant(statement, text, f"{code} of {_head(statement)}", "(dropped)")
        elif isinstance(node, ast.Constant):
            yield self.mutant(node, f"{DROPPED!r}", f"{code} of {_head(statement)}", "(dropped)")
        else:
            text = f"replace({ast.unparse(node)}, code={DROPPED!r})"
            yield self.mutant(node, text, f"{code} of {_head(statement)}", "(dropped)")

    def _statement_of(self, node: ast.AST) -> ast.stmt:
        return next(each for each in [node, *self.ancestors(node)] if isinstance(each, ast.stmt))


def _left_out(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Expr):
        return "if False: yield" if isinstance(statement.value, ast.Yield | ast.YieldFrom) else "pass"
    if isinstance(statement, ast.Raise) or (
        isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript)
    ):
        return "pass"
    return None


def _head(statement: ast.stmt) -> str:
    return re.sub(r"\s+", " ", ast.unparse(statement))[:100]


# --------------------------------------------------------------------------------------------- in the process of a trial


def prepare() -> None:
    """Take off whatever bears ``DROPPED``, where it would come to be seen."""
    engine: Any = importlib.import_module("silo_node.validation.engine")
    check: Any = importlib.import_module("silo_node.validation.check")
    _after(engine, "_checks", lambda checks: [each for each in checks if each.code != DROPPED])
    _after(engine.cell_checks, "causes", lambda causes: (each for each in causes if each.code != DROPPED))
    _after(engine, "run", lambda found: replace(found, broken=_without(found.broken), faults=_without(found.faults)))
    _after(check, "open_source", lambda table: replace(table, faults=_without(table.faults)))
    known = check.unreadable

    def unreadable(site: Any, mapping: Any, fault: Any) -> Any:
        if fault.code != DROPPED:
            return known(site, mapping, fault)
        return replace(known(site, mapping, replace(fault, code="T-FILE")), findings=())

    check.unreadable = unreadable


def _without(found: Any) -> tuple[Any, ...]:
    return tuple(each for each in found if getattr(each, "check", each).code != DROPPED)


def _after(module: Any, name: str, change: Callable[[Any], Any]) -> None:
    known = getattr(module, name)

    def changed(*arguments: Any, **named: Any) -> Any:
        return change(known(*arguments, **named))

    setattr(module, name, changed)
