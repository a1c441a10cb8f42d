"""Fingerprints: what a table's numbers depend on besides its inputs, as one hash.

It covers the code of the table's module and of all of ours that it imports (without comments and docstrings), the spec,
the settings that the table says it uses, and the fingerprints of the tables it reads. A changed fingerprint makes parts
missing; nothing else has to be switched over.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from ndr.specs import Config, canonical
from ndr.table import Table
from ndr.tables import TABLES


class _Bare(ast.NodeTransformer):
    """Takes docstrings out of a module."""

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and body and _is_text(body[0]):
            node.body = body[1:]
        return node


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


@cache
def _code(module: str) -> str:
    """A module without comments and docstrings."""
    return _written(_Bare().visit(_parsed(module)))


def _written(node: object) -> str:
    """A syntax tree as text that is the same on every version of Python: what is empty or not there is left out."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return f"{type(node).__name__}({', '.join(f'{name}={_written(value)}' for name, value in fields)})"
    return f"[{', '.join(_written(item) for item in node)}]" if isinstance(node, list) else repr(node)


def _needed(module: str) -> set[str]:
    """A module and all of ours that it imports, directly or not."""
    found, waiting = {module}, [module]
    while waiting:
        new = _imports(waiting.pop()) - found
        found |= new
        waiting += new
    return found


@cache
def _imports(module: str) -> frozenset[str]:
    """The modules of ours that a module imports itself; what errors say makes no difference to numbers."""
    statements = (node for node in ast.walk(_parsed(module)) if isinstance(node, ast.ImportFrom))
    ours = (node for node in statements if (node.module or "").split(".")[0] == "ndr")
    return frozenset(file for node in ours for file in _modules(node)) - {"errors.py"}


@cache
def _parsed(module: str) -> ast.Module:
    return ast.parse((files("ndr") / module).read_text(encoding="utf-8"))


def _modules(statement: ast.ImportFrom) -> Iterator[str]:
    """The files that an import reads: the module, and what it names that is a module itself."""
    place = "/".join((statement.module or "").split(".")[1:])
    candidates = [f"{place}.py", f"{place}/__init__.py", *(f"{place}/{each.name}.py" for each in statement.names)]
    return (file for file in candidates if file[0] != "/" and (files("ndr") / file).is_file())


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def fingerprints(config: Config) -> dict[str, str]:
    """The fingerprint of every table under a configuration."""
    found: dict[str, str] = {}
    for table in TABLES.values():
        found[table.name] = _fingerprint(table, config, found)
    return found


def engine_fingerprint(engine: str) -> str:
    """What a compiled query depends on besides the fingerprint of its table."""
    own = sorted(file.name for file in (files("ndr") / "engines").iterdir() if file.name.startswith(engine))
    return _hash(engine, *(_code(f"engines/{name}") for name in own if name.endswith(".py")))


def run_fingerprint(config: Config) -> str:
    """One hash for all tables of a configuration."""
    return _hash(*fingerprints(config).values())


def _fingerprint(table: Table, config: Config, known: dict[str, str]) -> str:
    code = [_code(module) for module in sorted(_needed(f"tables/{table.module}.py"))]
    spec = canonical(config.spec(table))
    settings = canonical(config.project_parameters, table.settings)
    parents = [known[parent.name] for parent in table.parents]
    return _hash(table.name, *code, spec, settings, config.feature_spec_version, *parents)
