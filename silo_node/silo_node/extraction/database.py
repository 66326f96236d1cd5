"""The result of one query, by SQLAlchemy: read-only where the database can be told so, in blocks, and never changed by it.

A driver's words may hold values of the query's result or the credentials, so none of them passes: an error is told by its
type alone.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from silo_node.credentials import read_credentials
from silo_node.extraction.gathered import BLOCK_ROWS, Gathered, file_fault, only_coded_faults, too_much
from silo_node.source_settings import SqlSource
from silo_node.sources.faults import Fault, UnreadableError

STEPS_BETWEEN_LOOKS = 100_000
"""Instructions of SQLite's machine between two looks at the clock."""


class NoDriver(Exception):
    """The package that speaks to this kind of database is not installed; says which."""

    def __init__(self, module: str) -> None:
        """Take the module's name."""
        super().__init__(module)
        self.module = module


def gather(table: Gathered, source: SqlSource, folder: Path) -> None:
    """Run the query.

    Raises:
        UnreadableError: T-FILE, T-QUERY, T-SIZE, T-NOHEADER, T-HDRDUP.
        NoDriver: the database's driver is not installed.
        Refused: N-CREDENTIALS.
    """
    engine = _engine(source, folder)
    try:
        with only_coded_faults("the database's answer cannot be read"):
            try:
                with engine.connect() as connection:
                    _run(table, source, connection)
            except (SQLAlchemyError, sqlite3.Error) as error:
                raise UnreadableError(_failed(source, error)) from None
    finally:
        engine.dispose()


def _engine(source: SqlSource, folder: Path) -> Engine:
    if source.file is not None:
        path = folder / source.file
        if not path.is_file():
            raise UnreadableError(file_fault("it is not there, or is no file"))
        return create_engine("sqlite://", creator=_opens(path, source.timeout), poolclass=NullPool)
    try:
        url = make_url(source.url)
        if source.credentials is not None:
            user, password = read_credentials(source.credentials, folder, "database")
            url = url.set(username=user, password=password)
        return create_engine(url, poolclass=NullPool, hide_parameters=True)
    except ModuleNotFoundError as error:
        raise NoDriver(error.name or "a driver") from None
    except (ArgumentError, NoSuchModuleError):
        raise UnreadableError(
            _query_fault("SQLAlchemy knows no such dialect or driver", "correct 'url' in the site file")
        ) from None


def _opens(path: Path, seconds: int) -> Callable[[], sqlite3.Connection]:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=seconds)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        until = time.monotonic() + seconds
        connection.set_progress_handler(lambda: time.monotonic() > until, STEPS_BETWEEN_LOOKS)
        return connection

    return connect


def _run(table: Gathered, source: SqlSource, connection: Connection) -> None:
    for statement in _before(connection.dialect.name, source.timeout):
        connection.exec_driver_sql(statement)
    streamed = connection.execution_options(stream_results=True, max_row_buffer=BLOCK_ROWS)
    result = streamed.exec_driver_sql(source.query)
    try:
        if not result.returns_rows:
            raise UnreadableError(_query_fault("it answers no table", "write one SELECT"))
        table.begin([str(name) for name in result.keys()], 1, 1)  # noqa: SIM118  (no dict)
        for block in result.partitions(BLOCK_ROWS):
            if table.records + len(block) > source.max_rows:
                raise UnreadableError(too_much(f"the query gives more than {source.max_rows} rows ('max_rows')"))
            columns: list[Any] = [list(column) for column in zip(*block, strict=True)]
            table.add(columns, 1, range(table.records + 1, table.records + len(block) + 1))
    finally:
        result.close()
        connection.rollback()


def _before(dialect: str, seconds: int) -> tuple[str, ...]:
    """Give what tells a database that this session reads only, and for how long; what is not listed here has no such word."""
    milliseconds = 1000 * seconds
    return {
        "postgresql": ("SET TRANSACTION READ ONLY", f"SET LOCAL statement_timeout = {milliseconds}"),
        "mysql": ("SET SESSION TRANSACTION READ ONLY", f"SET SESSION max_execution_time = {milliseconds}"),
        "mariadb": ("SET SESSION TRANSACTION READ ONLY", f"SET SESSION max_statement_time = {seconds}"),
        "oracle": ("SET TRANSACTION READ ONLY",),
    }.get(dialect, ())


def _failed(source: SqlSource, error: Exception) -> Fault:
    inner = getattr(error, "orig", None) or error
    if isinstance(inner, sqlite3.OperationalError) and getattr(inner, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
        return too_much(f"the query took longer than {source.timeout} s ('timeout')")
    return _query_fault(
        f"the database or its driver refuses it ({type(inner).__name__})",
        "try the query with the database's own client, as the same user, and correct 'url', 'query' or 'credentials'",
    )


def _query_fault(finding: str, next_step: str) -> Fault:
    return Fault("T-QUERY", "A query is one SELECT that the database answers with a table", finding, next_step)
