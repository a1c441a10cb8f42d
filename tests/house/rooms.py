"""The house as its tests see it: every module of ours, parsed once, and every file we keep."""

from __future__ import annotations

import ast
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "ndr"
LEFTOVERS = {".git", ".venv", ".venv-sdk", ".spark35", "build", "dist", "demo", "__pycache__", "node_modules"}


@dataclass(frozen=True)
class Module:
    """One Python file."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def place(self) -> str:
        """The path inside the repository, as messages show it."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def room(self) -> str:
        """What stands directly under ``ndr``: a package or a module; the package ``ndr`` itself is ``""``."""
        inner = self.path.relative_to(SRC).with_suffix("")
        return "" if inner.as_posix() == "__init__" else inner.parts[0]

    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    def imports(self) -> list[tuple[int, str]]:
        """(line, dotted name) of everything imported, wherever it stands; ``from a import b`` gives ``a.b``."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        return found


def modules(*folders: str) -> list[Module]:
    """Every module below the folders, in order."""
    return [Module(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def kept_files() -> list[Path]:
    """The files git keeps; where there is no git, every file that is not a leftover."""
    try:
        listed = subprocess.run(  # noqa: S603 (a fixed command)
            ["git", "-C", str(ROOT), "ls-files", "-z"],  # noqa: S607 (whichever git there is)
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        paths = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [path for path in ROOT.rglob("*") if not LEFTOVERS.intersection(path.relative_to(ROOT).parts)]
    return sorted(path for path in paths if path.is_file())


def words(name: str) -> list[str]:
    """``PairHistory_v2`` as ``["pair", "history", "v2"]``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [word for word in re.split(r"[\W_]+", spaced.lower()) if word]
