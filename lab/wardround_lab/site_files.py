"""Write records of a shared schema as a hospital would keep them: its own column names, units, codes and missing marks.

The opposite of ``silo_node.mapping``, for demonstrations and tests: a data file and the ``site.yaml`` that maps it back.
Numbers are converted in decimal arithmetic, so that the file holds the digits that a person would write, and reading it
gives the original to the last bit or two of a 64-bit number.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Literal

import polars as pl

from wardround.contract.model import Contract, ContractField
from wardround.contract.units import find
from wardround.files import write_atomic

SITE_FILE = "site.yaml"
POLICY_FILE = "policy.yaml"
SHARES = {"share_metrics": ("consortium", "a made-up hospital: everybody may see its figures (default: coordinator)")}
"""Of a policy: nobody's secret."""
DIGITS = 40
"""Decimal digits of the arithmetic: twice what a 64-bit number holds."""

Cell = str | int | float | None
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*( [A-Za-z][A-Za-z0-9_.-]*)*")
_WORDS_WITH_A_MEANING = frozenset({"yes", "no", "on", "off", "y", "n", "true", "false", "null"})


@dataclass(frozen=True)
class LocalColumn:
    """How a hospital keeps one field.

    Attributes:
        name: its own name of the column.
        unit: UCUM code of its own unit; the schema's when not given.
        codes: shared value → local code, for coded fields; the shared values when not given.
    """

    name: str
    unit: str | None = None
    codes: Mapping[str, str] | None = None


@dataclass(frozen=True)
class LocalForm:
    """How a hospital keeps its records of one schema.

    Attributes:
        site: its short name; ``name``: its name for people.
        path: the data file beside ``site.yaml``; a name that ends in ``.parquet`` makes a Parquet file, any other a CSV.
        columns: for every field that the hospital has.
        missing: what it writes for a missing value; a number if the file is Parquet (no mark: an empty cell).
        extra: columns of its own that no schema knows, with what they hold.
        policy: lines of its ``policy.yaml``, each with a comment for the reader; no such file when there are none.
        line_end: of a CSV.
    """

    site: str
    name: str
    path: str
    columns: Mapping[str, LocalColumn]
    delimiter: str = ","
    decimal: Literal[".", ","] = "."
    encoding: str = "utf-8"
    missing: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, tuple[int | str, str]] = field(default_factory=dict)
    line_end: str = "\n"

    @property
    def parquet(self) -> bool:
        """Whether the data file is Parquet."""
        return self.path.endswith(".parquet")


def write_site(folder: Path, form: LocalForm, contract: Contract, records: pl.DataFrame) -> Path:
    """Write a hospital's data file, ``site.yaml`` and, if it has a policy of its own, ``policy.yaml``.

    Gives the path of ``site.yaml``.

    Args:
        folder: the hospital's own; made when it is not there.
        form: how the hospital keeps its records.
        contract: the shared schema.
        records: in schema form, with the columns of ``form`` at least.
    """
    columns = {name: local_cells(records[name], contract.field(name), column) for name, column in form.columns.items()}
    data = _parquet(columns, form, contract) if form.parquet else _csv(columns, form)
    write_atomic(folder / form.path, data, mode=0o600)
    if form.policy:
        write_atomic(folder / POLICY_FILE, policy_yaml(form.policy).encode(), mode=0o600)
    write_atomic(folder / SITE_FILE, site_yaml(form, contract).encode(), mode=0o600)
    return folder / SITE_FILE


def local_cells(values: pl.Series, shared: ContractField, column: LocalColumn) -> list[Cell]:
    """Give a field's values as the hospital has them: text for codes, decimal text for converted numbers."""
    if shared.values:
        codes = column.codes or {value: value for value in shared.values}
        return [None if value is None else codes[value] for value in values.to_list()]
    if column.unit is None or shared.unit is None:
        return [None if value is None else _plain(value) for value in values.to_list()]
    own, target = find(column.unit, "unit"), find(shared.unit, "unit")
    factor, offset = target.factor / own.factor, (target.offset - own.offset) / own.factor
    return [None if value is None else converted(value, factor, offset) for value in values.to_list()]


def converted(value: float, factor: Fraction, offset: Fraction = Fraction(0)) -> str:
    """Give ``value · factor + offset`` as decimal text: exact where it ends within 40 digits, else rounded there."""
    exact = Fraction(repr(value)) * factor + offset
    with localcontext() as context:
        context.prec = DIGITS
        found = Decimal(exact.numerator) / Decimal(exact.denominator)
    text = format(found, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain(value: object) -> Cell:
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)


# ----------------------------------------------------------------------------------------------------------- data files


def _csv(columns: Mapping[str, list[Cell]], form: LocalForm) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=form.delimiter, lineterminator=form.line_end)
    writer.writerow([*(column.name for column in form.columns.values()), *form.extra])
    for row in zip(*columns.values(), strict=True):
        writer.writerow([*(_cell(cell, form) for cell in row), *form.extra.values()])
    return stream.getvalue().encode(form.encoding)


def _cell(cell: Cell, form: LocalForm) -> str:
    if cell is None:
        return form.missing
    text = str(cell)
    return text.replace(".", form.decimal) if _is_number(text) else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]+\.[0-9]+", text) is not None


def _parquet(columns: Mapping[str, list[Cell]], form: LocalForm, contract: Contract) -> bytes:
    series: list[pl.Series] = []
    for name, cells in columns.items():
        series.append(_typed(form.columns[name].name, cells, contract.field(name), form.missing))
    height = len(series[0])
    series += [pl.Series(name, [text] * height) for name, text in form.extra.items()]
    stream = io.BytesIO()
    pl.DataFrame(series).write_parquet(stream)
    return stream.getvalue()


def _typed(name: str, cells: list[Cell], shared: ContractField, missing: str) -> pl.Series:
    """Give a typed column: whole numbers for integers and for codes that are digits, text for other text."""
    texts = pl.Series(name, [None if cell is None else str(cell) for cell in cells], dtype=pl.String)
    if shared.type in ("integer", "number"):
        numbers = texts.fill_null(missing) if missing else texts
        return numbers.cast(pl.Float64 if "." in "".join(texts.drop_nulls()) else pl.Int64)
    digits = bool(shared.values) and all(text.isdigit() for text in texts.drop_nulls())
    return texts.cast(pl.Int64) if digits else texts


# -------------------------------------------------------------------------------------------- site.yaml and policy.yaml


def site_yaml(form: LocalForm, contract: Contract) -> str:
    """Give the text of ``site.yaml``."""
    lines = [f"site: {form.site}", f"name: {_text(form.name)}"]
    lines += ["sources:", "  records:", *(f"    {line}" for line in _source(form))]
    lines += ["schemas:", f"  {contract.id}:", "    source: records"]
    if form.missing:
        lines.append(f"    missing: [{_text(form.missing)}]")
    if form.extra:
        lines.append(f"    ignore: [{', '.join(_text(name) for name in form.extra)}]")
    lines += ["    columns:", *(f"      {name}: {_column(column)}" for name, column in form.columns.items())]
    return "\n".join(lines) + "\n"


def policy_yaml(policy: Mapping[str, tuple[int | str, str]]) -> str:
    """Give the text of ``policy.yaml``: each key with its setting and a comment for the reader."""
    return "".join(f"# {comment}\n{key}: {setting}\n" for key, (setting, comment) in policy.items())


def _source(form: LocalForm) -> list[str]:
    if form.parquet:
        return ["format: parquet", f"path: {_text(form.path)}"]
    return [
        "format: csv",
        f"path: {_text(form.path)}",
        f"delimiter: {json.dumps(form.delimiter)}",
        f"decimal: {json.dumps(form.decimal)}",
        f"encoding: {form.encoding}",
    ]


def _column(column: LocalColumn) -> str:
    if column.unit is None and column.codes is None:
        return _text(column.name)
    parts = [f"column: {_text(column.name)}"]
    if column.unit is not None:
        parts.append(f"unit: {_text(column.unit)}")
    if column.codes is not None:
        codes = ", ".join(f"{_text(local)}: {_text(shared)}" for shared, local in column.codes.items())
        parts.append(f"codes: {{{codes}}}")
    return f"{{{', '.join(parts)}}}"


def _text(text: str) -> str:
    """Write a text as YAML: bare when no reader could take it for anything else."""
    bare = _PLAIN.fullmatch(text) and text.lower() not in _WORDS_WITH_A_MEANING
    return text if bare else json.dumps(text, ensure_ascii=False)
