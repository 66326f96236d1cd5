"""What a query gives: one SELECT, read-only, and none of the driver's words."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from exports_on_disk import DECLARED, checked, codes, export_site, refused, typed, write_export

from silo_node.extraction.extract import extract
from wardround.errors import Refused


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"query": "SELECT * FROM absent"}, "T-QUERY"),
        ({"query": "SELECT 1 AS a, 2 AS a"}, "T-HDRDUP"),
        ({"query": "SELECT x'00ff' AS a"}, "T-FILE"),
        ({"query": "SELECT * FROM visits", "max_rows": 5}, "T-SIZE"),
        ({"query": "SELECT * FROM visits WHERE 1 = 0"}, "T-EMPTY"),
        ({"url": "sqlite:///absent.sqlite"}, "T-FILE"),
        (
            {
                "query": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) AS s FROM n",
                "timeout": 1,
            },
            "T-SIZE",
        ),
        ({"url": "nosuchdialect://host/name"}, "T-QUERY"),
        ({"url": "postgresql+psycopg://127.0.0.1:9/x"}, "X-EXTRA"),
        ({"url": "mysql+pymysql://127.0.0.1:9/x", "credentials": {"file": "absent"}}, "N-CREDENTIALS"),
    ],
)
def test_a_query_that_cannot_be_answered_has_a_code(tmp_path, here, more, code):
    """None of the database's or driver's words is said."""
    write_export(tmp_path, "sql", typed())
    assert refused(export_site(tmp_path, {"sql": {**DECLARED["sql"], **more}}, "sql"), "sql") == code
    assert not list((tmp_path / "extracts").iterdir())


def test_a_database_cannot_be_changed_by_its_query(tmp_path, here):
    """The file is opened to be read only; the site file's own look at the words is not what holds."""
    from silo_node.extraction.database import _opens

    path = write_export(tmp_path, "sql", typed())
    with closing(_opens(path, 5)()) as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM visits")


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM visits",
        "SELECT 1; SELECT 2",
        "WITH x AS (DELETE FROM visits RETURNING *) SELECT * FROM x",
        "SELECT * INTO other FROM visits",
        "",
        "  -- nothing",
    ],
)
def test_a_query_that_is_no_select_is_refused_in_the_site_file(tmp_path, query):
    with pytest.raises(Refused) as caught:
        export_site(tmp_path, {"sql": {**DECLARED["sql"], "query": query}}, "sql")
    assert caught.value.problems[0].code == "Y-VALUE"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:word@host/name",
        "postgresql://user@host/name",
        "postgresql://host/name?password=word",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3Dword",
        "sqlite://",
        "sqlite:///:memory:",
        "host/name",
        "PostgreSQL://host/name",
    ],
)
def test_a_url_with_credentials_or_without_a_database_is_refused(tmp_path, url):
    with pytest.raises(Refused) as caught:
        export_site(tmp_path, {"sql": {**DECLARED["sql"], "url": url}}, "sql")
    assert {problem.code for problem in caught.value.problems} == {"Y-VALUE"}
    assert "word" not in "".join(problem.finding + problem.rule for problem in caught.value.problems).replace("password", "")


def test_words_in_quotes_are_no_words_of_sql(tmp_path, here):
    """A column may be named 'update', and a text may hold a semicolon."""
    path = write_export(tmp_path, "sql", typed())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('ALTER TABLE visits ADD COLUMN "update"')
        connection.commit()
    query = """SELECT *, "update", 'a;b; DROP' AS "into" FROM visits -- delete; nothing"""
    site = export_site(tmp_path, {"sql": {**DECLARED["sql"], "query": query.replace(', "update"', "", 1)}}, "sql")
    assert extract(site, "sql").columns == 10


# ----------------------------------------------------------------------------------------------------- another database


@pytest.fixture
def duck(tmp_path: Path) -> dict[str, Any]:
    """The clinic's table in a database of DuckDB, and the source that asks for it: SQLAlchemy brings no such dialect."""
    path = tmp_path / "clinic.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            'CREATE TABLE visits ("PatNr" VARCHAR, "Datum" DATE, "Geschlecht" VARCHAR, "Puls" SMALLINT, '
            '"Radius_cm" DOUBLE, "Glu" DECIMAL(8, 2), "Bemerkung" VARCHAR, "Befund" VARCHAR)'
        )
        connection.executemany("INSERT INTO visits VALUES (?, ?, ?, ?, ?, ?, ?, ?)", typed())
    return {"format": "sql", "url": f"duckdb:///{path}?access_mode=read_only", "query": "SELECT * FROM visits"}


def test_another_database_is_asked_by_its_url(tmp_path, duck):
    """In the process that asks, with a driver of its own: the records that every other format gives, its types among them."""
    before = (tmp_path / "clinic.duckdb").read_bytes()
    site = export_site(tmp_path, {"duck": duck}, "duck")
    done = extract(site, "duck")
    assert (done.state, done.records, done.columns, done.files) == ("written", 12, 8, 0)
    result = checked(tmp_path, site)
    assert codes(result) == []
    table = typed()
    assert result.valid["visit"].to_list() == [row[1].date() for row in table]
    assert result.valid["pulse"].to_list() == [row[3] for row in table]
    assert result.valid["glucose"].to_list() == pytest.approx([row[5] * 0.0555 for row in table])
    assert (tmp_path / "clinic.duckdb").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"query": "SELECT * FROM absent"}, "T-QUERY"),
        ({"query": "SELECT * FROM visits", "max_rows": 5}, "T-SIZE"),
        ({"query": "SELECT error('canary') FROM visits"}, "T-QUERY"),
        ({"url": "duckdb:////absent/clinic.duckdb?access_mode=read_only"}, "T-QUERY"),
    ],
)
def test_another_databases_words_are_not_said(tmp_path, here, duck, more, code):
    assert refused(export_site(tmp_path, {"duck": {**duck, **more}}, "duck"), "duck") == code
