"""What a source in ``site.yaml`` may be beside CSV and Parquet: files of other programs, a database, joined tables, images.

read where they are      csv, parquet                        (``silo_node.configuration``)
extracted first          excel, sas, stata, spss, sql        (``wardround silo extract`` writes a Parquet snapshot)
made of the others       joined
images, no table         dicom, images                       (``silo_node.imaging``)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, StringConstraints, model_validator
from pydantic import Field as Setting

from silo_node.credentials import Credentials
from wardround.values import Slug, Value

FilePath = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
LocalText = Annotated[str, StringConstraints(max_length=500)]
LocalColumn = Annotated[str, StringConstraints(min_length=1, max_length=500)]

LARGEST_SHEET_ROW = 1_048_576
"""Rows of a sheet, by the format's own limit (ECMA-376, as Excel keeps it)."""

SECRET_WORDS = ("password", "passwd", "pwd", "secret", "token")
"""What the name of a database URL's setting holds where its value is no business of a site file."""
WRITING_WORDS = frozenset(
    {"insert", "update", "delete", "merge", "drop", "alter", "create", "truncate", "grant", "revoke", "call"}
    | {"exec", "execute", "attach", "detach", "pragma", "into", "vacuum", "copy", "lock", "set"}
)
"""Words that no query which only reads needs, outside of quotes."""

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]+")
_MOMENT_TOKENS = re.compile(r"(?:%[dmYHMS]|[-./ :T])+")


class Files(Value):
    """One file, or several equal ones that follow each other.

    Attributes:
        path: the file.
        paths: files, or patterns with ``*`` and ``?``, in the order in which they are read; those of a pattern by name.
    """

    path: FilePath | None = None
    paths: tuple[FilePath, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Files:
        if (self.path is None) == (not self.paths):
            msg = "a source has a path, or paths that are not empty, one of the two"
            raise ValueError(msg)
        return self


class ExcelSource(Files):
    """A sheet of a workbook (``.xlsx``, ``.xlsm``).

    Attributes:
        sheet: its name; needed where the workbook has several.
        header: the row of the sheet that names the columns; the rows before it are not read.
    """

    format: Literal["excel"]
    sheet: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    header: Annotated[int, Setting(ge=1, le=LARGEST_SHEET_ROW)] = 1


class SasSource(Files):
    """A SAS table: a transport file (``.xpt``) or ``.sas7bdat``.

    Attributes:
        encoding: of its texts, where the file does not say it, or says it wrongly.
    """

    format: Literal["sas"]
    encoding: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,40}$")] | None = None


class StataSource(Files):
    """A Stata table (``.dta``).

    Attributes:
        encoding: of its texts, where the file does not say it, or says it wrongly.
    """

    format: Literal["stata"]
    encoding: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,40}$")] | None = None


class SpssSource(Files):
    """An SPSS table (``.sav``, ``.zsav``).

    Attributes:
        encoding: of its texts, where the file does not say it, or says it wrongly.
        user_missing: whether values that the file declares as missing are missing, or stay values that the mapping judges.
    """

    format: Literal["spss"]
    encoding: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,40}$")] | None = None
    user_missing: Literal["missing", "values"] = "missing"


def _checked_url(url: str) -> str:
    """Refuse a database URL with a password in it; ``ValueError`` with the rule, never with the URL."""
    rule = "a database is DIALECT://HOST/NAME or DIALECT+DRIVER://HOST:PORT/NAME; for a SQLite file, sqlite:///FILE"
    try:
        parts = urlsplit(url)
        named = parts.username is not None or parts.password is not None
    except ValueError:
        raise ValueError(rule) from None
    if not re.fullmatch(r"[a-z][a-z0-9_]*(\+[a-z][a-z0-9_]*)?", parts.scheme) or not url.startswith(f"{parts.scheme}://"):
        raise ValueError(rule)
    settings = unquote(parts.query).lower()
    if named or any(word in settings for word in SECRET_WORDS):
        raise ValueError("a database's URL holds no user and no password; name a private file or a variable under 'credentials'")
    return url


def _checked_query(query: str) -> str:
    """Refuse what is no single SELECT. What keeps a database from being changed is its read-only session, not this."""
    bare = _QUOTED.sub(" ", query).strip().removesuffix(";")
    words = [word.lower() for word in _WORD.findall(bare)]
    if not words or words[0] not in ("select", "with") or ";" in bare:
        raise ValueError("a query is one SELECT (or WITH ... SELECT), and nothing after it")
    if not WRITING_WORDS.isdisjoint(words):
        raise ValueError("a query reads and does nothing else; put names that are words of SQL in quotes")
    return query


def write_ahead_log(path: Path) -> Path:
    """Give where a SQLite database keeps what waits to be written into it; it may not be there."""
    return path.with_name(f"{path.name}-wal")


class SqlSource(Value):
    """The result of one query to a database.

    Attributes:
        url: SQLAlchemy's URL of the database, without credentials.
        query: one SELECT.
        credentials: where user and password stand.
        timeout: seconds that the query may take.
        max_rows: the most rows; more are refused, never cut.
        max_age_days: how old a snapshot of a database may be before the check says so. A file of SQLite is compared instead.
    """

    format: Literal["sql"]
    url: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_checked_url)]
    query: Annotated[str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(_checked_query)]
    credentials: Credentials | None = None
    timeout: Annotated[int, Setting(ge=1, le=86_400)] = 600
    max_rows: Annotated[int, Setting(ge=1, le=100_000_000)] = 10_000_000
    max_age_days: Annotated[int, Setting(ge=1, le=3650)] = 30

    @property
    def file(self) -> str | None:
        """The file of a SQLite database; none of another."""
        if not self.url.startswith(("sqlite:", "sqlite+")):
            return None
        return unquote(urlsplit(self.url).path)[1:] or None

    @model_validator(mode="after")
    def _a_file(self) -> SqlSource:
        if self.url.startswith(("sqlite:", "sqlite+")) and (
            self.file is None or self.file == ":memory:" or urlsplit(self.url).netloc or urlsplit(self.url).query
        ):
            msg = "a SQLite database is a file, sqlite:///FILE, without further settings"
            raise ValueError(msg)
        return self


ExtractedSource: TypeAlias = ExcelSource | SasSource | StataSource | SpssSource | SqlSource
"""What is read by ``wardround silo extract``, in a process of its own."""


# -------------------------------------------------------------------------------------------------------------- joined


def _checked_format(text: str | None) -> str | None:
    if text is not None and (not _MOMENT_TOKENS.fullmatch(text) or not _moment_whole(text)):
        msg = "a format holds %d, %m and %Y once each, may hold %H and %M, and %S, and - . / : T or space between them"
        raise ValueError(msg)
    return text


def _moment_whole(text: str) -> bool:
    clock = [text.count(token) for token in ("%H", "%M", "%S")]
    return all(text.count(token) == 1 for token in ("%d", "%m", "%Y")) and clock in ([0, 0, 0], [1, 1, 0], [1, 1, 1])


MomentFormat = Annotated[str, StringConstraints(max_length=40), AfterValidator(_checked_format)]


class Taken(Value):
    """What one column of the joined table takes from the rows of a further table.

    Attributes:
        take: ``last`` and ``first`` by time; ``mean``, ``min`` and ``max`` of numbers; ``count`` of rows, or of cells that are
            not missing; ``any``: whether there is such a row, or such a cell.
        column: of the further table.
        where: further column → the texts that a row must have there to count.
        before: base column; only rows of an earlier time count. ``until``: earlier or the same.
        after: base column; only rows of a later time count. ``since``: later or the same.
        within_days: with ``of``, a base column: only rows at most so many days (of 24 hours) from it, either way.
    """

    take: Literal["last", "first", "mean", "min", "max", "count", "any"]
    column: LocalColumn | None = None
    where: dict[LocalColumn, tuple[LocalText, ...]] = Setting(default_factory=dict)
    before: LocalColumn | None = None
    until: LocalColumn | None = None
    after: LocalColumn | None = None
    since: LocalColumn | None = None
    within_days: Annotated[int, Setting(ge=0, le=36_500)] | None = None
    of: LocalColumn | None = None

    @model_validator(mode="after")
    def _whole(self) -> Taken:
        if self.column is None and self.take not in ("count", "any"):
            msg = f"'{self.take}' is taken of a column: name it under 'column'"
            raise ValueError(msg)
        if (self.within_days is None) != (self.of is None):
            msg = "'within_days' and 'of' stand together"
            raise ValueError(msg)
        if (self.before is not None and self.until is not None) or (self.after is not None and self.since is not None):
            msg = "one of 'before' and 'until', and one of 'after' and 'since', is enough"
            raise ValueError(msg)
        return self

    @property
    def base_times(self) -> tuple[str, ...]:
        """The base's columns that rows are held against."""
        found = (self.before, self.until, self.after, self.since, self.of)
        return tuple(dict.fromkeys(name for name in found if name is not None))

    @property
    def by_time(self) -> bool:
        """Whether the further table's time is needed."""
        return bool(self.base_times) or self.take in ("last", "first")


class FurtherTable(Value):
    """A table with any number of rows for each row of the base.

    Attributes:
        columns: name in the joined table → what it takes.
        key: the column that holds the base's key; of the same name as in the base when not given.
        time: the column that says when.
        date_format: of ``time`` where it is text; ``%Y-%m-%d`` when not given.
        missing: texts that mean missing in this table.
        orphans: whether a row whose key the base does not have is an error, or left out with a warning.
        required: whether each row of the base needs a row here.
        ties: what ``last`` and ``first`` do with rows of the same time and different cells: an error, or the later row counts.
    """

    columns: Annotated[dict[LocalColumn, Taken], Setting(min_length=1)]
    key: LocalColumn | None = None
    time: LocalColumn | None = None
    date_format: MomentFormat | None = None
    missing: tuple[LocalText, ...] = ()
    orphans: Literal["error", "left_out"] = "error"
    required: bool = False
    ties: Literal["error", "last_row"] = "error"

    @model_validator(mode="after")
    def _timed(self) -> FurtherTable:
        if self.time is None and any(taken.by_time for taken in self.columns.values()):
            msg = "'last', 'first' and every limit of time need the table's 'time'"
            raise ValueError(msg)
        return self


class JoinedSource(Value):
    """A base table, one row each, with columns taken from further tables.

    Attributes:
        base: a source.
        key: the base's column that is different in each row.
        tables: source → what is taken from it.
        date_format: of the base's columns that rows are held against, where they are text; ``%Y-%m-%d`` when not given.
        missing: texts that mean missing in those columns, and in the key.
    """

    format: Literal["joined"]
    base: Slug
    key: LocalColumn
    tables: Annotated[dict[Slug, FurtherTable], Setting(min_length=1)]
    date_format: MomentFormat | None = None
    missing: tuple[LocalText, ...] = ()


# -------------------------------------------------------------------------------------------------------------- images


def _checked_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error:
        raise ValueError("what pseudonyms look like is a regular expression of Python") from None
    return text


class DicomSource(Value):
    """A folder that images were exported into, with all that lies below it; no table, and no column is read from it.

    Attributes:
        path: the folder.
        pseudonym: what the hospital's pseudonyms look like, in Patient ID and Patient's Name: a regular expression that fits the
            whole of one. Without it every patient's number that is no dummy may identify somebody.
        segments: what segments of segmentations are: label → class of the contract, or ``background``. A segment whose label, or
            the meaning of its type, is the class's name needs none.
    """

    format: Literal["dicom"]
    path: FilePath
    pseudonym: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_checked_pattern)] | None = None
    segments: dict[LocalText, LocalText] = Setting(default_factory=dict)


class ImagesSource(Value):
    """A folder of images that are no DICOM, with all that lies below it; a table names its files.

    Attributes:
        path: the folder.
    """

    format: Literal["images"]
    path: FilePath


FolderSource: TypeAlias = DicomSource | ImagesSource
"""A folder of images, which is no table."""
