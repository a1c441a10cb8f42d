"""The types that columns are declared with, as those of Arrow."""

from __future__ import annotations

import pyarrow as pa
import pytest

from laws.pipeline import ARROW
from ndr.arrow import arrow_schema, arrow_type
from ndr.errors import DeclarationError
from ndr.tables import TABLES


@pytest.mark.parametrize("declared", ARROW)
def test_a_declared_type_is_what_the_laws_say(declared: str) -> None:
    assert arrow_type(declared) == ARROW[declared]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_a_schema_in_the_order_of_its_columns(table: str) -> None:
    columns = TABLES[table].columns
    assert arrow_schema(columns).names == list(columns)


def test_a_type_that_is_kept_nowhere_is_named() -> None:
    assert arrow_type("array<int8>") == pa.list_(pa.int8())
    with pytest.raises(DeclarationError, match=r"columns of type decimal\(9, 2\) are kept nowhere"):
        arrow_type("array<struct<amount: decimal(9, 2)>>")
