"""Small changes of a module's text, each of which should make a test fail: what a slip of the hand could make of it.

A mutant replaces one piece of text by another, so that every other line keeps its number. Not changed are words for
people (a message is no rule), annotations, imports, assertions and what is raised; what is changed is in ``_changes``.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
"""A boundary that is off by one, and the opposite."""
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
"""``&`` and ``|`` are the and and or of masks."""
TWINS = {
    "any": "all",
    "all": "any",
    "min": "max",
    "max": "min",
    "head": "tail",
    "least": "most",
    "most": "least",
    "any_horizontal": "all_horizontal",
    "all_horizontal": "any_horizontal",
    "cum_max": "cum_min",
    "is_null": "is_not_null",
    "is_not_null": "is_null",
    "issuperset": "issubset",
    "issubset": "issuperset",
    "startswith": "endswith",
    "endswith": "startswith",
    "floor": "ceil",
    "ceil": "floor",
}
"""Functions and methods that are easily taken for each other."""
DROPPED = frozenset({"fill_null", "drop_nulls", "filter", "abs", "unique", "strip_chars", "to_lowercase", "shift", "sort"})
"""Methods that give the same kind of thing back, so that leaving one out still runs."""
WORDS = {
    "record": "share",
    "share": "record",
    "table": "share",
    "error": "warning",
    "warning": "error",
    "value": "context",
    "context": "value",
}
"""Words that decide: how severe a finding is, what it is about, and when it is judged."""
SMALL = 100
"""Whole numbers below are changed by one, greater ones and fractions by a factor of two: a limit is not meant to the unit."""

_CODE = re.compile(r"T-[A-Z-]+")


@dataclass(frozen=True)
class Mutant:
    """One changed text.

    Attributes:
        module: path of the module, from the repository's root.
        within: the function or class in which the change is; empty at the top of a module.
        line: of the statement that is changed; ``None`` when it runs when the module is imported.
        start: first byte of what is replaced; ``end``: the byte after it.
        text: what stands there instead.
        was: the piece of code around it, as Python writes it; ``becomes``: the changed one.
    """

    module: str
    within: str
    line: int | None
    start: int
    end: int
    text: str
    was: str
    becomes: str

    def apply(self, source: bytes) -> bytes:
        """Give the changed text of the module."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutants(module: str, source: bytes) -> list[Mutant]:
    """Give every mutant of a module, in the order of its text."""
    return Reader(module, source).found()


class Reader:
    """Walks over one module."""

    def __init__(self, module: str, source: bytes) -> None:
        self.module, self.source = module, source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.parents: dict[ast.AST, ast.AST] = {}
        self.tree = ast.parse(source)
        for parent in ast.walk(self.tree):
            for child in ast.iter_child_nodes(parent):
                self.parents[child] = parent

    def found(self) -> list[Mutant]:
        made: dict[tuple[int, int, str], Mutant] = {}
        for node in ast.walk(self.tree):
            if not self._left_alone(node):
                for mutant in self._of(node):
                    made.setdefault((mutant.start, mutant.end, mutant.text), mutant)
        return sorted(made.values(), key=lambda each: (each.start, each.end, each.text))

    def _of(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.stmt):
            if (text := _dropped(node)) is not None:
                yield self.mutant(node, text, ast.unparse(node), f"(dropped) {text}")
        elif isinstance(node, ast.match_case):
            yield self._no_case(node)
        elif isinstance(node, ast.expr):
            for other in _changes(node, self.parents[node]):
                was, becomes = self._around(node, other)
                yield self.mutant(node, f"({ast.unparse(other)})", was, becomes)

    def _no_case(self, node: ast.match_case) -> Mutant:
        was = f"case {ast.unparse(node.pattern)}" + (f" if {ast.unparse(node.guard)}" if node.guard else "")
        becomes = f"case {ast.unparse(node.pattern)} if False"
        if node.guard is not None:
            return self.mutant(node.guard, "False", was, becomes)
        _, end = self._span(node.pattern)
        return Mutant(self.module, self.within(node), self._line(node), end, end, " if False", was, becomes)

    def mutant(self, node: ast.AST, text: str, was: str, becomes: str) -> Mutant:
        start, end = self._span(node)
        return Mutant(self.module, self.within(node), self._line(node), start, end, text, was, becomes)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        start = self.starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = self.starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        return start, end

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.parents:
            node = self.parents[node]
            yield node

    def within(self, node: ast.AST) -> str:
        names = [each.name for each in self.ancestors(node) if isinstance(each, ast.FunctionDef | ast.ClassDef)]
        return ".".join(reversed(names))

    def _line(self, node: ast.AST) -> int | None:
        """Give the line of the statement, when it stands in a function's body."""
        chain = [node, *self.ancestors(node)]
        statement = next(each for each in chain if isinstance(each, ast.stmt))
        inside = any(isinstance(each, ast.FunctionDef) for each in self.ancestors(statement))
        return statement.lineno if inside else None

    def _around(self, node: ast.expr, other: ast.expr) -> tuple[str, str]:
        """Give the piece of code around a change, before and after: enough of it to be found again."""
        outer: ast.AST = node
        while len(ast.unparse(outer)) < 24 and isinstance(self.parents[outer], ast.expr | ast.keyword | ast.comprehension):
            outer = self.parents[outer]
        if isinstance(self.parents[outer], ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return):
            outer = self.parents[outer]
        return _flat(outer), _flat(_replaced(outer, node, other))

    def _left_alone(self, node: ast.AST) -> bool:
        chain = [node, *self.ancestors(node)]
        for child, parent in pairwise(chain):
            if isinstance(parent, ast.JoinedStr | ast.FormattedValue | ast.Assert | ast.Raise | ast.Import | ast.ImportFrom):
                return True
            if child in (getattr(parent, "annotation", None), getattr(parent, "returns", None)):
                return True
            if child in getattr(parent, "decorator_list", []):
                return True
            if isinstance(parent, ast.If) and ast.unparse(parent.test) == "TYPE_CHECKING":
                return True
            if isinstance(parent, ast.AnnAssign) and ast.unparse(parent.annotation) == "TypeAlias":
                return True
            if isinstance(parent, ast.Assign) and ast.unparse(parent.targets[0]) in ("__all__", "Level", "Kind", "Unit"):
                return True
            if isinstance(parent, ast.Call) and ast.unparse(parent.func) in ("cast", "TypeVar", "dataclass"):
                return True
        return False


def _flat(node: ast.AST) -> str:
    if isinstance(node, ast.comprehension | ast.keyword):
        return re.sub(r"\s+", " ", ast.unparse(node)).strip()
    return re.sub(r"\s+", " ", ast.unparse(node))


def _replaced(outer: ast.AST, node: ast.AST, other: ast.AST) -> ast.AST:
    """Give a copy of a piece of code in which one part is another."""
    if outer is node:
        return other
    known = {id(node): other}
    return copy.deepcopy(outer, known)


# ---------------------------------------------------------------------------------------------------------- statements


def _dropped(node: ast.stmt) -> str | None:
    """Give what stands in place of a statement that is left out; ``None`` where leaving it out is no mutant."""
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Yield | ast.YieldFrom):
            return "if False: yield"
        return "pass" if isinstance(node.value, ast.Call) else None
    if isinstance(node, ast.AugAssign | ast.Raise | ast.Continue | ast.Break):
        return "pass"
    if isinstance(node, ast.Return) and node.value is None:
        return "pass"
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        return "pass"
    return None


# --------------------------------------------------------------------------------------------------------- expressions


def _changes(node: ast.expr, parent: ast.AST) -> Iterator[ast.expr]:
    """Give what may stand in place of an expression."""
    if isinstance(parent, ast.If | ast.IfExp) and node is parent.test and not isinstance(node, ast.Constant):
        yield ast.Constant(value=True)
        yield ast.Constant(value=False)
    match node:
        case ast.Compare():
            yield from _comparisons(node)
        case ast.BoolOp() | ast.BinOp() | ast.UnaryOp():
            yield from _operations(node)
        case ast.Constant():
            yield from _constants(node, parent)
        case ast.Call():
            yield from _calls(node)
        case ast.List() | ast.Tuple() | ast.Set():
            if not (isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Tuple)):  # of several values at once
                yield from _shorter(node, node.elts)
        case ast.Dict(keys, values) if len(keys) > 1:
            for at in range(len(keys)):
                yield ast.Dict([*keys[:at], *keys[at + 1 :]], [*values[:at], *values[at + 1 :]])
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            yield from _unfiltered(node)


def _operations(node: ast.BoolOp | ast.BinOp | ast.UnaryOp) -> Iterator[ast.expr]:
    """Take one operator for another, and leave out a side of a condition or a mask, or what turns it round."""
    match node:
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for at in range(len(values)):
                rest = [*values[:at], *values[at + 1 :]]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.BinOp(left, op, right) if type(op) in ARITHMETIC:
            yield ast.BinOp(left, ARITHMETIC[type(op)](), right)
            if isinstance(op, ast.BitAnd | ast.BitOr):
                yield left
                yield right
        case ast.UnaryOp(_, operand) if not isinstance(operand, ast.Constant):
            yield operand


def _calls(node: ast.Call) -> Iterator[ast.expr]:
    match node.func:
        case ast.Name(name) if name in TWINS:
            yield ast.Call(ast.Name(TWINS[name]), node.args, node.keywords)
        case ast.Attribute(value, name):
            if name in TWINS:
                yield ast.Call(ast.Attribute(value, TWINS[name]), node.args, node.keywords)
            if name in DROPPED:
                yield value


def _comparisons(node: ast.Compare) -> Iterator[ast.Compare]:
    for at, operator in enumerate(node.ops):
        for other in COMPARISONS[type(operator)]:
            yield ast.Compare(node.left, [*node.ops[:at], other(), *node.ops[at + 1 :]], node.comparators)


def _constants(node: ast.Constant, parent: ast.AST) -> Iterator[ast.expr]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(value=not value)
    elif isinstance(value, int) and abs(value) < SMALL:
        yield ast.Constant(value + 1)
        if not isinstance(parent, ast.UnaryOp):
            yield ast.Constant(value - 1) if value else ast.UnaryOp(ast.USub(), ast.Constant(1))
    elif isinstance(value, int | float) and value:
        yield ast.Constant(value * 2)
        yield ast.Constant(value // 2 if isinstance(value, int) else value / 2)
    elif isinstance(value, str) and value in WORDS and not isinstance(parent, ast.Subscript):
        yield ast.Constant(WORDS[value])
    elif isinstance(value, str) and _CODE.fullmatch(value):
        yield ast.Constant("T-NULL" if value != "T-NULL" else "T-TYPE")


def _shorter(node: ast.List | ast.Tuple | ast.Set, elements: list[ast.expr]) -> Iterator[ast.expr]:
    """Leave out an element; not of a tuple that stands for several values at once."""
    plain = isinstance(node, ast.List | ast.Set) or all(
        isinstance(each, ast.Constant | ast.Call | ast.Starred | ast.Tuple) for each in elements
    )
    if not plain or not isinstance(getattr(node, "ctx", ast.Load()), ast.Load) or len(elements) < 2:
        return
    for at in range(len(elements)):
        yield type(node)([*elements[:at], *elements[at + 1 :]])


def _unfiltered(node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Iterator[ast.expr]:
    for at, each in enumerate(node.generators):
        for condition in range(len(each.ifs)):
            other = copy.deepcopy(node)
            del other.generators[at].ifs[condition]
            yield other
