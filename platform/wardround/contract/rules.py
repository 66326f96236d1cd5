"""The small, safe grammar of cross-field rules and cohort rules: parsed, never evaluated as code.

    expression := or ;  or := and {"or" and} ;  and := not {"and" not} ;  not := "not" not | comparison
    comparison := sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=") sum
                      | "between" sum "and" sum | "in" "[" literal {"," literal} "]" | "is" ["not"] "missing" ]
    sum := product {("+" | "-") product} ;  product := unary {("*" | "/") unary} ;  unary := "-" unary | atom
    atom := number | "text" | field | "(" expression ")" ;  literal := ["-"] number | "text"

Truth has three values, as in SQL: a comparison with a missing value is unknown, and an unknown rule is not broken.
Arithmetic is that of 64-bit floating point; a result that is not finite (a division by zero) is unknown.

The rooms behind this door: ``rule_tree`` (the values), ``rule_parser`` (text to tree and back), ``rule_types`` (whether
a tree fits a contract), ``rule_evaluator`` (what a tree says of one record: the reference that other engines must meet).
"""

from wardround.contract.rule_evaluator import Cell, evaluate, value_of
from wardround.contract.rule_parser import KEYWORDS, parse, unparse
from wardround.contract.rule_tree import (
    Arithmetic,
    Between,
    Comparison,
    Constant,
    Expression,
    FieldRef,
    IsMissing,
    Logic,
    Member,
    Negative,
    Not,
    children,
    fields,
    walk,
)
from wardround.contract.rule_types import check_types

__all__ = [
    "KEYWORDS",
    "Arithmetic",
    "Between",
    "Cell",
    "Comparison",
    "Constant",
    "Expression",
    "FieldRef",
    "IsMissing",
    "Logic",
    "Member",
    "Negative",
    "Not",
    "check_types",
    "children",
    "evaluate",
    "fields",
    "parse",
    "unparse",
    "value_of",
    "walk",
]
