"""Files that are no text: what their first bytes say they are, and how such a file is read instead."""

from __future__ import annotations

_DECLARE = "declare it in the site file with format: {}, run wardround silo extract, and map that source; or export it as CSV"
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "an Excel workbook, or another ZIP archive", _DECLARE.format("excel")),
    (b"\xd0\xcf\x11\xe0", "an Office document of before 2007", "save it as a workbook of today (.xlsx), or export it as CSV"),
    (b"SQLite format 3\0", "a SQLite database", _DECLARE.format("sql")),
    (b"PAR1", "a Parquet file", "name it .parquet, or declare it in the site file with format: parquet"),
    (b"$FL2", "an SPSS file", _DECLARE.format("spss")),
    (b"<stata_dta>", "a Stata file", _DECLARE.format("stata")),
    (b"HEADER RECORD*******", "a SAS transport file", _DECLARE.format("sas")),
    (b"\0" * 12 + b"\xc2\xea\x81\x60", "a SAS file", _DECLARE.format("sas")),
    (b"\x1f\x8b", "compressed with gzip", "unpack it"),
    (b"%PDF", "a PDF", "export the records as CSV"),
)


def foreign(raw: bytes) -> tuple[str, str] | None:
    """Say what a file is that begins with these bytes, and the next step; ``None`` where nothing is known of them."""
    return next(((what, step) for mark, what, step in _FORMATS if raw.startswith(mark)), None)
