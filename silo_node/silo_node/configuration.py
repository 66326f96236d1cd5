"""The hospital's own file, ``site.yaml``: who it is, where its records are and what they mean.

    site.yaml
    policy.yaml         beside it: what the hospital never does or lets out (``silo_node.policy``)
    keys/ approvals/ journal/ ledger/ reports/ inbox/ logs/ extracts/ indexes/   beside it; see ``Site.directory``

The file is strict: unknown keys are refused with the line and the nearest known key. What can be judged without a
schema is judged here; what needs one, in ``silo_node.mapping.resolve``.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field, replace
from datetime import date
from glob import escape, glob, has_magic
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, get_args

from pydantic import Field as Setting
from pydantic import StringConstraints, field_validator, model_validator

from silo_node.draft_marks import refuse_draft
from silo_node.policy import POLICY_FILE, Policy, PolicyFile, stricter
from silo_node.source_settings import (
    DicomSource,
    ExcelSource,
    ExtractedSource,
    Files,
    FolderSource,
    ImagesSource,
    JoinedSource,
    LocalColumn,
    LocalText,
    SasSource,
    SpssSource,
    SqlSource,
    StataSource,
    write_ahead_log,
)
from silo_node.way_out import PROXY_NAMES, ProxySetting, telling
from wardround.contract.severities import Reason
from wardround.errors import Problem, raise_all, refuse
from wardround.strict_yaml import Document, load, nearest, parse
from wardround.values import FieldName, SchemaId, Slug, Value

DirectoryName = Literal["keys", "approvals", "journal", "ledger", "reports", "inbox", "logs", "extracts", "indexes"]
DIRECTORIES: tuple[DirectoryName, ...] = get_args(DirectoryName)
"""What lies beside ``site.yaml``."""

PRIVATE_DIRECTORY_MODE = 0o700

Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]
OneCharacter = Annotated[str, StringConstraints(pattern=r"^[\t\x20-\x7e]$")]

_DATE_PARTS = ("%d", "%[mbB]", "%Y")
_DATE_TOKENS = re.compile(r"(?:%[dmbBY]|[-./, ])+?(?:[ T]%H:%M(?::%S(?:\.%f)?)?)?")
"""A day, and after it perhaps a time of day. Names of months are English, as programs write them: ``02JAN2021``."""


_UNITS = {"MiB": 2**20, "GiB": 2**30}
Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,6} (MiB|GiB)$")]
"""An amount of memory: a whole number, a space, MiB (2**20 bytes) or GiB (2**30 bytes)."""


DeviceName: TypeAlias = Literal["auto", "cpu", "cuda"]


class Resources(Value):
    """What the work on the records may take of the machine.

    Attributes:
        memory: the most that the trainer's process may hold, its libraries (about 0.5 GiB) counted; no limit when not given.
        device: where networks are computed. ``auto``: those of images on a GPU if torch finds one, all else on the processor.
    """

    memory: Memory | None = None
    device: DeviceName = "auto"

    @property
    def memory_bytes(self) -> int | None:
        """The trainer's limit in bytes."""
        if self.memory is None:
            return None
        number, unit = self.memory.split()
        return int(number) * _UNITS[unit]


MOST_SKIPPED_LINES: Final = 100
"""Lines above a table's header, at most."""


class CsvSource(Files):
    """A text table in the dialect that is declared here; nothing is guessed.

    Attributes:
        skip_lines: lines above the header, or above the first record, that are no part of the table: a title, ``sep=;``.
        header: the columns' names in order, for a file whose first line is a record already.
    """

    format: Literal["csv"]
    delimiter: OneCharacter = ","
    decimal: Literal[".", ","] = "."
    encoding: Annotated[str, StringConstraints(max_length=40)] = "utf-8"
    quote: OneCharacter | None = '"'
    skip_lines: Annotated[int, Setting(ge=0, le=MOST_SKIPPED_LINES)] = 0
    header: Annotated[tuple[LocalColumn, ...], Setting(min_length=1)] | None = None

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            known = codecs.lookup(name)
        except (LookupError, ValueError):
            msg = "the encoding is one that Python knows, such as utf-8, latin-1, cp1252 or utf-16"
            raise ValueError(msg) from None
        if not known._is_text_encoding:  # noqa: SLF001  (Python has no public word for it)
            msg = "the encoding is a text encoding"
            raise ValueError(msg)
        return known.name

    @model_validator(mode="after")
    def _apart(self) -> CsvSource:
        if self.delimiter == self.quote or self.delimiter.isalnum() or (self.quote or "").isalnum():
            msg = "delimiter and quote are two different marks, neither a letter nor a digit"
            raise ValueError(msg)
        return self


class ParquetSource(Files):
    """A Parquet file."""

    format: Literal["parquet"]


TableSource: TypeAlias = CsvSource | ParquetSource | ExcelSource | SasSource | StataSource | SpssSource | SqlSource | JoinedSource
Source: TypeAlias = TableSource | DicomSource | ImagesSource


class Column(Value):
    """How one local column becomes one shared field.

    Attributes:
        column: its name in the source.
        unit: UCUM code of the local unit; values are converted to the schema's unit.
        analyte: what the laboratory measures, where a schema's substance is weighed in several ways (urea, urea nitrogen).
        factor: with ``offset``, a conversion by hand: shared = local × factor + offset.
        codes: local code → the schema's value; a local code that is not here is a finding.
        date_format: ``%d``, ``%m`` (or ``%b``, ``%B``), ``%Y`` and separators, and a time of day where midnight stands after it;
            ISO (``%Y-%m-%d``) when not given.
        missing: texts that mean missing in this column, in place of the schema-wide list.
    """

    column: LocalColumn
    unit: Words | None = None
    analyte: FieldName | None = None
    factor: float | None = None
    offset: float | None = None
    codes: dict[LocalText, Words] | None = None
    date_format: Annotated[str, StringConstraints(max_length=40)] | None = None
    missing: tuple[LocalText, ...] | None = None

    @field_validator("date_format")
    @classmethod
    def _plain(cls, text: str | None) -> str | None:
        if text is None:
            return None
        if "%y" in text:
            msg = "two digits are no year: 05 is 1905 and 2005. Export years of four digits, and write %Y"
            raise ValueError(msg)
        if not _DATE_TOKENS.fullmatch(text) or any(len(re.findall(part, text)) != 1 for part in _DATE_PARTS):
            msg = (
                "a date format holds %d, %m (or %b, %B for English names) and %Y once each, with - . / , or space between them; "
                "a time of day may follow, after a space or T: %H:%M, %H:%M:%S or %H:%M:%S.%f"
            )
            raise ValueError(msg)
        return text


class ExplainedException(Value):
    """Why this hospital's table is not as the contract has it, for one finding on a share or on a whole column.

    Attributes:
        code: of the finding.
        field: the shared field that it is about, or ``rule``: the schema's id of the rule.
        reason: in one of a few words; it leaves the hospital in the outgoing report.
        until: the last day on which it counts.
        note: for the hospital's own people; it stays.
    """

    code: Annotated[str, StringConstraints(max_length=40)]
    field: Words | None = None
    rule: Words | None = None
    reason: Reason
    until: Annotated[str, StringConstraints(max_length=40)]
    note: LocalText | None = None

    @field_validator("until")
    @classmethod
    def _day(cls, text: str) -> str:
        try:
            known = date.fromisoformat(text).isoformat() == text
        except ValueError:
            known = False
        if not known:
            msg = "the last day is written YYYY-MM-DD"
            raise ValueError(msg)
        return text

    def counts(self, today: date) -> bool:
        """Say whether it counts on a day."""
        return today <= date.fromisoformat(self.until)


class SchemaMapping(Value):
    """Where the records of one shared schema are, and what their local columns mean.

    Attributes:
        source: a key of ``sources``.
        columns: shared field → local column; a schema of images has none.
        missing: texts that mean missing in every column, beside the schema's own.
        ignore: local columns that are knowingly not used.
        exceptions: findings that the hospital explains.
    """

    source: Words
    columns: dict[Words, LocalColumn | Column] = Setting(default_factory=dict)
    missing: tuple[LocalText, ...] = ()
    ignore: tuple[LocalText, ...] = ()
    exceptions: tuple[ExplainedException, ...] = ()

    def column(self, name: str) -> Column | None:
        """Give the local column of a field in its long form; nothing when the field is not mapped."""
        found = self.columns.get(name)
        return Column(column=found) if isinstance(found, str) else found


class SiteFile(Value):
    """``site.yaml`` as a value."""

    site: Slug
    name: Words
    resources: Resources = Resources()
    proxy: ProxySetting = "none"
    sources: dict[Slug, Annotated[Source, Setting(discriminator="format")]]
    schemas: dict[SchemaId, SchemaMapping]

    def private_variables(self, asked: SqlSource | None = None) -> frozenset[str]:
        """Name the variables of the environment that tell of a proxy, or hold credentials of a proxy or a database.

        Args:
            asked: the database server that a process asks: its own credentials are then none of them, nor are the proxies
                that the environment names, by which its driver may have to go.
        """
        databases = (each for each in self.sources.values() if isinstance(each, SqlSource))
        named = {each.credentials.variable for each in databases if each.credentials is not None}
        known = {None} if asked is None else {None, *PROXY_NAMES, asked.credentials and asked.credentials.variable}
        return frozenset(name for name in {*telling(self.proxy), *named} - known if name is not None)


@dataclass(frozen=True)
class Site:
    """One hospital's configuration and the folder that it lives in.

    Attributes:
        file: the validated content.
        folder: where ``site.yaml`` lies; relative paths of sources begin here.
        path: ``site.yaml`` itself.
        document: the parsed file with its line numbers, for messages.
        policy_file: the hospital's policy, which is read anew whenever it is asked for.
        approved_policy: the one under which a study was approved, where it is looked at for that study.
    """

    file: SiteFile
    folder: Path
    path: Path
    document: Document = field(repr=False, compare=False)
    policy_file: PolicyFile = field(repr=False, compare=False)
    approved_policy: Policy | None = field(default=None, repr=False, compare=False)

    def policy(self) -> Policy:
        """Give the policy that holds now: the file's, or what it and the approved one both allow.

        Raises:
            Refused: Y- codes, P-NETWORK.
        """
        now = self.policy_file.read()
        return now if self.approved_policy is None else stricter(now, self.approved_policy)

    def under(self, policy: Policy | None) -> Site:
        """Give this hospital for a study that was approved under a policy: a looser one of now does not hold for it."""
        return replace(self, approved_policy=policy)

    def directory(self, name: DirectoryName) -> Path:
        """Give the path of one of the hospital's folders; it may not be there yet."""
        return self.folder / name

    def make_directory(self, name: DirectoryName) -> Path:
        """Give the path of one of the hospital's folders and make it, for its owner only, when it is not there."""
        path = self.directory(name)
        path.mkdir(mode=PRIVATE_DIRECTORY_MODE, parents=True, exist_ok=True)
        return path

    def extract_path(self, name: str) -> Path:
        """Give the path of a source's snapshot; it may not be there yet."""
        return self.directory("extracts") / f"{name}.parquet"

    def original_paths(self, name: str) -> tuple[Path, ...]:
        """Give the files of records that a source names, in order; none of a server, of images, or where none fits."""
        source = self.file.sources[name]
        if isinstance(source, JoinedSource | FolderSource):
            return ()
        if isinstance(source, SqlSource):
            return () if source.file is None else (self.folder / source.file,)
        found: list[Path] = []
        for each in (source.path,) if source.path is not None else source.paths:
            if source.path is None and has_magic(each):
                found += sorted(Path(path) for path in glob(str(Path(escape(str(self.folder))) / each)))  # noqa: PTH207  (may be absolute)
            else:
                found.append(self.folder / each)
        return tuple(dict.fromkeys(found))

    def record_paths(self, name: str) -> tuple[Path, ...]:
        """Give every file that is opened when a source's records are read: snapshots and what they are compared with, too."""
        source = self.file.sources[name]
        if isinstance(source, JoinedSource):
            return tuple(dict.fromkeys(path for each in (source.base, *source.tables) for path in self.record_paths(each)))
        snapshot = (self.extract_path(name),) if isinstance(source, ExtractedSource) else ()
        originals = self.original_paths(name)
        logs = (write_ahead_log(path) for path in originals if isinstance(source, SqlSource))
        return (*snapshot, *originals, *(log for log in logs if log.is_file()))


def load_site(path: Path) -> Site:
    """Read ``site.yaml``.

    Raises:
        Refused: any Y- code; M-DRAFT; M-SOURCE and M-UNIT, all of them at once.
    """
    return read_site(load(path), path)


def read_site(document: Document, path: Path) -> Site:
    """Take a parsed site file that stands, or will stand, at a path; see ``load_site``."""
    _refuse_policy(document)
    refuse_draft(document)
    file = parse(SiteFile, document)
    raise_all(_problems(file, document))
    return Site(file, path.parent, path, document, PolicyFile(path.parent))


def _refuse_policy(document: Document) -> None:
    """Say where the policy stands to who still has it in ``site.yaml``."""
    if isinstance(document.data, dict) and "policy" in document.data:
        raise refuse(
            "Y-KEY",
            document.place(("policy",)),
            f"The hospital's policy is a file of its own, {POLICY_FILE} beside the site file",
            "the key 'policy' stands in the site file",
            f"move the lines under 'policy' into {POLICY_FILE}, without indentation, and remove the key",
        )


def _problems(file: SiteFile, document: Document) -> list[Problem]:
    problems = [*_joins(file, document), *_images(file, document)]
    for schema, mapping in file.schemas.items():
        if mapping.source not in file.sources:
            guess = nearest(mapping.source, file.sources)
            problems.append(
                Problem(
                    "M-SOURCE",
                    document.place(("schemas", schema, "source")),
                    "A schema's source is one of the keys under 'sources'",
                    f"the mapping of {schema} names a source that is not there",
                    f"did you mean {guess!r}?" if guess else f"add it under 'sources', or use one of: {_listed(file)}",
                )
            )
        for name in mapping.columns:
            column = mapping.column(name)
            if column is None:
                continue
            by_table = (column.unit, column.analyte) != (None, None)
            if by_table and (column.factor, column.offset) != (None, None):
                problems.append(
                    Problem(
                        "M-UNIT",
                        document.place(("schemas", schema, "columns", name)),
                        "A column has a unit and analyte, or a factor and offset, never both",
                        f"the column of {name!r} has both",
                        "keep the unit; give factor and offset only for units that the schema's list does not have",
                    )
                )
    return problems


def _joins(file: SiteFile, document: Document) -> list[Problem]:
    """Say what is wrong with the tables that joined sources are made of."""
    problems: list[Problem] = []
    for name, source in file.sources.items():
        if not isinstance(source, JoinedSource):
            continue
        at = ("sources", name)
        named = [((*at, "base"), source.base), *(((*at, "tables", each), each) for each in source.tables)]
        for where, each in named:
            if each not in file.sources:
                guess = nearest(each, file.sources)
                step = f"did you mean {guess!r}?" if guess else f"add it under 'sources', or use one of: {_listed(file)}"
                rule, finding = "Joined tables are keys under 'sources'", f"{name!r} names a source that is not there"
                problems.append(Problem("M-SOURCE", document.place(where), rule, finding, step))
            elif isinstance(file.sources[each], FolderSource):
                rule, finding = "A joined source is made of tables", f"{name!r} names {each!r}, a folder of images"
                problems.append(Problem("M-IMAGES", document.place(where), rule, finding, "name a table"))
            elif isinstance(file.sources[each], JoinedSource) or (each == source.base and where[-1] != "base"):
                rule = "A joined source is made of a base and other tables, none of them joined"
                finding, step = f"{name!r} names {each!r}", "name the tables themselves, each once"
                problems.append(Problem("M-JOIN", document.place(where), rule, finding, step))
        owners: dict[str, str] = {}
        for each, table in source.tables.items():
            for column in table.columns:
                if column in owners:
                    rule, finding = "A joined column has one name", f"a column of {each!r} is named as one of {owners[column]!r}"
                    place = document.place((*at, "tables", each, "columns", column))
                    problems.append(Problem("M-JOIN", place, rule, finding, "give it another name"))
                owners[column] = each
    return problems


def _images(file: SiteFile, document: Document) -> list[Problem]:
    """Say which mappings are for tables and name a folder of images, or name a table and map nothing."""
    problems: list[Problem] = []
    for schema, mapping in file.schemas.items():
        source = file.sources.get(mapping.source)
        at = ("schemas", schema)
        if isinstance(source, FolderSource):
            for key in ("columns", "missing", "ignore", "exceptions"):
                if getattr(mapping, key):
                    rule = "A schema of images names a source of format dicom or images, and nothing else"
                    finding = f"the mapping of {schema} has {key!r}, and its source {mapping.source!r} is a folder of images"
                    step = f"remove {key!r}, or name the table as the source"
                    problems.append(Problem("M-IMAGES", document.place((*at, key)), rule, finding, step))
        elif source is not None and "columns" not in mapping.model_fields_set:
            name = f"schemas.{schema}.columns"
            problems.append(
                Problem("Y-MISSING", document.place(at), "The key is required", f"the key {name!r} is absent", f"add {name!r}")
            )
    return problems


def joining_columns(source: Source) -> frozenset[str]:
    """Give the columns that a joined source names itself: those that it makes, and those of the base that it goes by."""
    if not isinstance(source, JoinedSource):
        return frozenset()
    made = {column: taken for table in source.tables.values() for column, taken in table.columns.items()}
    return frozenset({*made, source.key, *(name for taken in made.values() for name in taken.base_times)})


def decimal_mark(file: SiteFile, name: str, column: str) -> Literal[".", ","]:
    """Give the decimal mark of numbers that are text, in one column of a source; joined tables may have several."""
    source = file.sources[name]
    if isinstance(source, JoinedSource):
        owner = next((each for each, table in source.tables.items() if column in table.columns), source.base)
        return decimal_mark(file, owner, column)
    return source.decimal if isinstance(source, CsvSource) else "."


def _listed(file: SiteFile) -> str:
    return ", ".join(sorted(file.sources)) or "(none)"
