"""Databases: one table or one SELECT of any SQL database that SQLAlchemy knows, read and never written."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from ndr.errors import AdapterError, NdrError, UnknownNameError, UsageError, shown
from ndr.sources.listing import Entry, Wanted
from ndr.sql import one_select

if TYPE_CHECKING:
    import sqlalchemy as sa

_READ_ONLY = {
    "postgresql": "SET TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
}
"""What tells a database that this connection only reads, where it can be told."""
_GRAMMARS = {"postgresql": "postgres", "mssql": "tsql", "mariadb": "mysql"} | {
    name: name for name in ("sqlite", "mysql", "oracle", "redshift", "snowflake", "bigquery", "trino", "duckdb")
}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,127}")


def read_database(uri: str, wanted: Wanted, *, table: str | None, query: str | None) -> Iterator[Entry]:
    """The rows of a table or of one SELECT; the transaction is rolled back at the end.

    Raises:
        UsageError: neither or both of table and query, a URI that means nothing, a table name that is no identifier, a
            query that is not one SELECT, or SQLAlchemy or the driver is not installed.
        UnknownNameError: there is no such table or column.
        DataError: no column of addresses or names.
        AdapterError: the database fails; its own words are in the message, without the secrets of the URI.
    """
    if (table is None) == (query is None):
        raise UsageError("a database needs --table NAME or --query 'SELECT …', and not both.")
    sqlalchemy = _sqlalchemy()
    url = _url(uri, sqlalchemy)
    name = None if table is None else table_name(table)
    if query is not None:
        check_select(query, url.get_backend_name())
    try:
        engine = _engine(url, sqlalchemy)
        with engine.connect() as connection:
            if statement := _READ_ONLY.get(url.get_backend_name()):
                connection.exec_driver_sql(statement)
            if name:
                yield from _table_rows(connection, name, wanted)
            else:
                result = connection.execution_options(no_parameters=True).exec_driver_sql(str(query))
                yield from _rows(result, list(result.keys()), wanted)
            connection.rollback()
    except NdrError:
        raise
    except ImportError as error:
        raise UsageError(f"{place_of(uri)} needs a driver that is not installed: {shown(str(error), 200)}.") from error
    except (sqlalchemy.exc.SQLAlchemyError, OSError, TypeError, ValueError) as error:
        words = getattr(error, "orig", None) or error
        raise AdapterError(f"{place_of(uri)} cannot be read: {shown(_hidden(str(words), url), 300)}") from None


def place_of(uri: str) -> str:
    """A URI as it may be shown and stored: scheme, host and database, without user, password and options.

    Raises:
        UsageError: it is no URI of a database.
    """
    url = _url(uri, _sqlalchemy())
    return shown(f"{url.drivername}://{url.host or ''}{f':{url.port}' if url.port else ''}/{url.database or ''}", 200)


def table_name(text: str) -> tuple[str | None, str]:
    """Schema and name of a table.

    Raises:
        UsageError: either is no plain identifier.
    """
    schema, dot, name = text.rpartition(".")
    if not _IDENTIFIER.fullmatch(name) or (dot and not _IDENTIFIER.fullmatch(schema)):
        raise UsageError(
            f"--table {shown(text)!r} is no table name: letters, digits, _ and $, with one schema before a dot if "
            "need be. For any other name write --query 'SELECT …'."
        )
    return schema or None, name


def check_select(query: str, backend: str) -> None:
    """Raises UsageError unless the text is one statement that selects and changes nothing."""
    try:
        one_select(query, _GRAMMARS.get(backend))
    except ValueError as error:
        raise UsageError(f"--query {shown(query)!r} {error}.") from None


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError(
            "a database is read with SQLAlchemy, which is not installed: pip install 'ndr[sql]'."
        ) from None
    return sqlalchemy


def _url(uri: str, sqlalchemy: Any) -> sa.URL:
    scheme = shown(uri.partition("://")[0])
    try:
        url: sa.URL = sqlalchemy.make_url(uri)
        url.get_dialect()
    except ImportError as error:
        raise UsageError(f"{scheme}://… needs a driver that is not installed: {shown(str(error), 200)}.") from None
    except (sqlalchemy.exc.SQLAlchemyError, ValueError):
        raise UsageError(
            f"{scheme}://… is no database that can be read: write postgresql://user@host/database, sqlite:///file, …"
        ) from None
    if "sqlite" not in scheme and "@" in f"{url.host}{url.database}":
        raise UsageError(f"{scheme}://…: write @ : / and ? in a user name or password as %40 %3A %2F and %3F.")
    return url


def _engine(url: sa.URL, sqlalchemy: Any) -> sa.Engine:
    more: dict[str, Any] = {"poolclass": sqlalchemy.NullPool}
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database or "").removeprefix("file:"))
        if not path.is_file():
            raise UsageError(f"there is no SQLite database {shown(str(path))!r}.")
        place = f"{path.absolute().as_uri()}?mode=ro"
        more["creator"] = lambda: sqlite3.connect(place, uri=True)
    engine: sa.Engine = sqlalchemy.create_engine(url, **more)
    return engine


def _table_rows(connection: sa.Connection, name: tuple[str | None, str], wanted: Wanted) -> Iterator[Entry]:
    sqlalchemy = _sqlalchemy()
    schema, table = name
    look = sqlalchemy.inspect(connection)
    try:
        columns = [column["name"] for column in look.get_columns(table, schema=schema)]
    except sqlalchemy.exc.NoSuchTableError:
        known = [*look.get_table_names(schema=schema), *look.get_view_names(schema=schema)]
        raise UnknownNameError("table", table, [shown(each) for each in known]) from None
    places = wanted.places(columns)
    chosen = dict.fromkeys(columns[place] for place in places if place is not None)
    source = sqlalchemy.table(table, *map(sqlalchemy.column, chosen), schema=schema)
    yield from _rows(connection.execute(sqlalchemy.select(*source.columns)), list(chosen), wanted)


def _rows(result: sa.CursorResult[Any], columns: list[str], wanted: Wanted) -> Iterator[Entry]:
    places = wanted.places(columns)
    with closing(result):
        for line, row in enumerate(result, 1):
            yield places.entry(line, row)


def _hidden(text: str, url: sa.URL) -> str:
    """Text without the password and the options of the URI, in whichever spelling."""
    options = [value for values in url.query.values() for value in (values if isinstance(values, tuple) else (values,))]
    for secret in filter(None, [url.password, *options]):
        for spelling in {str(secret), quote(str(secret)), quote(str(secret), safe=""), quote_plus(str(secret))}:
            text = text.replace(spelling, "***")
    return text
