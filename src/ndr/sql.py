"""SQL of users, checked by its grammar before a database sees it, and names and texts as statements hold them.

What is checked for Redshift is written anew from what was understood, without comments: what runs is what was checked,
and nothing in it can end the brackets or quotes that it is put between.
"""

from __future__ import annotations

import re
from itertools import pairwise

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ndr.errors import shown

REDSHIFT = "redshift"
_CHANGES = (exp.DML, exp.DDL, exp.Drop, exp.Alter, exp.Command, exp.Into, exp.Lock)
_UNSAID = (exp.Placeholder, exp.Parameter, exp.SessionParameter)
_ACTING = re.compile(
    r"(pg_|set_config$|dblink|lo_|loread$|lowrite$|nextval$|setval$|query_to_xml|database_to_xml)", re.IGNORECASE
)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")
_TWICE_READ = re.compile(r"\\|\$\w*\$|[\x00-\x08\x0b-\x1f\x7f]")
"""What databases read in two ways: backslashes, dollar quotes, control characters."""
_CALL = re.compile(
    r"(call\s+{0}\s*\(\s*\)|(analyze|refresh\s+materialized\s+view)\s+{0})".format(r"[a-z_]\w*(\.[a-z_]\w*)?"),
    re.IGNORECASE | re.ASCII,
)
_AMONG = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_OF_TABLES = (
    exp.TemporaryProperty, exp.DistKeyProperty, exp.DistStyleProperty, exp.SortKeyProperty, exp.BackupProperty,
    exp.LikeProperty,
)  # fmt: skip
"""What may be said of a table that is made; a location, for one, would make it one of files on S3."""
_STATEMENTS = 10


def one_select(text: str, grammar: str | None) -> exp.Query:
    """A text as the SELECT that it is.

    Raises:
        ValueError: it is not one statement, or one that would change or lock something; the sentence lacks its subject.
    """
    try:
        first = next(iter(sqlglot.tokenize(text, read=grammar)), None)
        plain = first is not None and first.text.lower() in {"select", "with", "("}
        found = [one for one in sqlglot.parse(text, read=grammar) if one] if plain else []
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"cannot be understood: {_words(error)}") from None
    statements = [one for one in found if not isinstance(one, exp.Semicolon)]
    if len(statements) != 1:
        raise ValueError("must be one SELECT, and nothing else")
    if not isinstance(statements[0], exp.Query) or statements[0].find(*_CHANGES):
        raise ValueError("must only SELECT: it would change or lock something")
    return statements[0]


def redshift_select(text: str) -> str:
    """One SELECT of Redshift, as it may stand in a statement of ours.

    Raises:
        ValueError: it is none, or calls what acts on the server.
    """
    _read_once(text)
    return _written(one_select(text, REDSHIFT))


def redshift_condition(text: str) -> str:
    """One condition on rows, as it may stand in brackets after WHERE.

    Raises:
        ValueError: it is none, or would change something.
    """
    _read_once(text)
    try:
        found = [one for one in sqlglot.parse(text, read=REDSHIFT) if one]
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"{shown(text)!r} cannot be understood: {_words(error)}") from None
    one = found[0] if len(found) == 1 else None
    if not isinstance(one, exp.Condition) or isinstance(one, exp.Literal | exp.Query) or one.find(*_CHANGES):
        raise ValueError(f"{shown(text)!r} is no condition such as status = 'active'")
    return _written(one)


def redshift_statements(text: str) -> tuple[str, ...]:
    """Statements that may run in the transaction of a load: they change rows or make tables, and end nothing.

    Raises:
        ValueError: there is another one among them.
    """
    _read_once(text)
    try:
        cuts = [token for token in sqlglot.tokenize(text, read=REDSHIFT) if token.token_type.name == "SEMICOLON"]
        places = [-1, *(token.start for token in cuts), len(text)]
        pieces = [text[start + 1 : end].strip() for start, end in pairwise(places)]
        return tuple(_statement(piece) for piece in _few([piece for piece in pieces if piece]))
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"{shown(text)!r} cannot be understood: {_words(error)}") from None


def _few(pieces: list[str]) -> list[str]:
    if len(pieces) > _STATEMENTS:
        raise ValueError(f"{len(pieces)} statements are too many; {_STATEMENTS} may stand there")
    return pieces


def _statement(text: str) -> str:
    if _CALL.fullmatch(text):
        return text
    if re.match(r"truncate\b", text, re.IGNORECASE):
        raise ValueError("TRUNCATE commits what stands before it, and here all is one transaction; write DELETE FROM")
    (one,) = sqlglot.parse(text, read=REDSHIFT) if not _starts_unknown(text) else (None,)
    if isinstance(one, exp.Query) and not one.find(*_CHANGES):
        return _written(one)
    made = isinstance(one, exp.Create) and one.kind == "TABLE"
    if one is None or not (made or isinstance(one, _AMONG)) or one.find(exp.Command, exp.Drop, exp.Alter):
        raise ValueError(
            f"{shown(text)!r} is none of those that may run with a load: INSERT, UPDATE, DELETE, MERGE, SELECT, "
            "CREATE TABLE, CALL name(), ANALYZE name, REFRESH MATERIALIZED VIEW name"
        )
    said = one.args.get("properties") if made else None
    if other := [each for each in (said.expressions if said else ()) if not isinstance(each, _OF_TABLES)]:
        raise ValueError(
            f"{shown(other[0].sql(dialect=REDSHIFT))!r} may not be said of a table that is made with a load, only "
            "DISTSTYLE, DISTKEY, SORTKEY, BACKUP and LIKE"
        )
    return _written(one)


def _starts_unknown(text: str) -> bool:
    """Whether a text begins like nothing that may run; the grammar would take it as it stands."""
    known = r"(insert|update|delete|merge|select|with|create\s+(temp(orary)?\s+)?table)\b|\("
    return not re.match(known, text, re.IGNORECASE)


def _read_once(text: str) -> None:
    if found := _TWICE_READ.search(text):
        raise ValueError(
            f"{shown(text)!r} holds {shown(found[0])!r}, which Redshift may read in two ways; write it with CHR()"
        )


def _written(one: exp.Expr) -> str:
    for function in one.find_all(exp.Anonymous):
        if _ACTING.match(function.name):
            raise ValueError(f"{shown(function.name)}() acts on the server, and rows are all that is wanted")
    if one.find(*_UNSAID):
        raise ValueError("it holds a place for a value that nobody gives")
    try:
        written = one.sql(dialect=REDSHIFT, comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE)
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"cannot be understood: {_words(error)}") from None
    written = written.replace("\\'", "''")  # there was no backslash: each stands before a quote
    if "\\" in written:
        raise ValueError("a text in it goes over several lines; write the end of a line as CHR(10)")
    return written


def _words(error: Exception) -> str:
    details = getattr(error, "errors", None)
    return shown(str(details[0].get("description") if details else error), 200)


def name(*parts: str) -> str:
    """A name of Redshift in quotes, which any reserved word may be; its case means nothing there.

    >>> name("public", "Order")
    '"public"."order"'

    Raises:
        ValueError: a part is no plain identifier.
    """
    for part in parts:
        if not _PLAIN.fullmatch(part):
            raise ValueError(f"{shown(part)!r} is no name of letters, digits and _")
    return ".".join(f'"{part.lower()}"' for part in parts)


def text(value: str) -> str:
    """A text as a statement of Redshift holds it.

    >>> text("it's")
    "'it''s'"

    Raises:
        ValueError: it holds what Redshift may read in two ways.
    """
    if found := re.search(r"[\\\x00-\x1f\x7f]", value):
        raise ValueError(f"{shown(value)!r} holds {shown(found[0])!r}, which Redshift may read in two ways")
    return "'" + value.replace("'", "''") + "'"
