"""The recipes of the containers: pinned, made of files that exist, and started as the pipelines start them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import pytest

import sparks
from house.rooms import ROOT, kept_files
from ndr.aws.pipelines import ENTRYPOINTS

RECIPES = {path.name.split(".")[0]: path for path in sorted((ROOT / "docker").glob("*.Dockerfile"))}
IMAGE_OF = {"duckdb": "python", "spark": "spark"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def instructions(recipe: str) -> list[tuple[str, str]]:
    """What a recipe does, step by step."""
    lines = RECIPES[recipe].read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line and not line.startswith("#")]


def said(recipe: str, kind: str) -> list[str]:
    return [rest for instruction, rest in instructions(recipe) if instruction == kind]


def copies(recipe: str) -> list[tuple[list[str], str]]:
    """(places in the repository, place in the image) of every copy that is not from another stage."""
    words = [shlex.split(rest) for rest in said(recipe, "COPY") if not rest.startswith("--from")]
    return [(found[:-1], found[-1]) for found in words]


def pins(path: str) -> dict[str, str]:
    """Package and marker -> its entry of a lock, hashes included."""
    text = (ROOT / path).read_text(encoding="utf-8")
    entries = [each for each in re.split(r"\n(?=\S)", text) if "==" in each]
    return {re.sub(r"==[^ ]+| \\.*", "", entry.split("\n")[0]): entry.rstrip() for entry in entries}


def test_there_is_a_recipe_for_every_engine() -> None:
    assert {IMAGE_OF[engine] for engine in ENTRYPOINTS} == set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_made_of_instructions_that_docker_knows(recipe: str) -> None:
    known = {"ARG", "FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "ENTRYPOINT"}
    assert {kind for kind, _ in instructions(recipe)} <= known
    assert instructions(recipe)[0][0] == "ARG"


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_image_below_is_named_and_pinned(recipe: str) -> None:
    names = dict(rest.split("=", 1) for rest in said(recipe, "ARG"))
    for rest in said(recipe, "FROM"):
        image = re.sub(r"\$\{(\w+)\}", lambda found: names[found.group(1)], rest.split()[0])
        assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]+/[a-z0-9/-]+:[0-9][\w.-]*\d[\w.-]*", image), image
        assert "latest" not in image


@pytest.mark.parametrize("recipe", RECIPES)
def test_everything_that_is_copied_exists_and_is_sent_to_docker(recipe: str) -> None:
    ignored = (ROOT / "docker" / f"{recipe}.Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    wanted = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert ignored[0] == "*"
    for sources, _ in copies(recipe):
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(fnmatch(source, each) for each in wanted), f"{source} is kept from docker"


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_is_sent_to_docker_but_what_git_keeps_and_ndr_needs(recipe: str) -> None:
    ignored = (ROOT / "docker" / f"{recipe}.Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    wanted = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {source for sources, _ in copies(recipe) for source in sources}
    assert wanted - copied <= {"docker/start.py"}
    kept = {path.relative_to(ROOT).as_posix() for path in kept_files()}
    assert all(any(name == each or name.startswith(f"{each}/") for name in kept) for each in wanted)


@pytest.mark.parametrize("recipe", RECIPES)
def test_packages_come_from_the_lock_alone(recipe: str) -> None:
    for command in said(recipe, "RUN"):
        if "pip install" in command:
            words = set(shlex.split(command))
            assert words >= {"--require-hashes", "--only-binary"} or words >= {"--no-index", "--no-deps"}, command
        assert not re.search(r"\b(curl|wget|apt-get|yum|dnf)\b", command)


def test_the_lock_of_the_containers_is_a_part_of_ours() -> None:
    ours, theirs = pins("requirements.lock"), pins("docker/requirements.lock")
    other = [name for name, entry in theirs.items() if ours.get(name) != entry]
    assert not other, f"{other} differ; run make lock"


def test_the_lock_of_the_containers_has_all_that_jobs_use_and_no_tools() -> None:
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *extras["aws"], *extras["iceberg"]]
    names = {name.split(" ")[0] for name in pins("docker/requirements.lock")}
    assert {re.split(r"[^\w.-]", each)[0] for each in asked} | {"setuptools"} <= names
    assert not names & {"moto", "mypy", "playwright", "pytest", "ruff"}


@pytest.mark.parametrize("engine", ENTRYPOINTS)
def test_an_image_starts_what_the_steps_of_its_engine_start(engine: str) -> None:
    (entry,) = said(IMAGE_OF[engine], "ENTRYPOINT")
    assert (*json.loads(entry), "job") == ENTRYPOINTS[engine]


def test_the_command_is_on_the_path_of_the_image() -> None:
    (environment,) = said("python", "ENV")
    path = dict(each.split("=", 1) for each in shlex.split(environment))["PATH"]
    assert f"COPY --from=made {PurePosixPath(path.split(':')[0]).parent} " in RECIPES["python"].read_text(
        encoding="utf-8"
    )
    assert "ndr" in PROJECT["scripts"]


def test_jobs_run_as_nobody_special_where_they_can() -> None:
    kinds = [kind for kind, _ in instructions("python")]
    (user,) = said("python", "USER")
    assert user not in {"root", "0"}
    assert kinds.index("USER") > len(kinds) - 1 - kinds[::-1].index("COPY")


def test_what_spark_starts_is_the_command(tmp_path) -> None:
    (script,) = [sources for sources, place in copies("spark") if place == ENTRYPOINTS["spark"][1]]
    command = [sys.executable, str(ROOT / script[0]), "job", "no_such_job"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours
    assert done.returncode == 2
    assert "no_such_job" in done.stderr


def test_the_lock_of_the_containers_leaves_spark_to_the_image() -> None:
    assert not {name.split(" ")[0] for name in pins("docker/requirements.lock")} & {"pyspark", "py4j", "pandas"}


def test_a_job_needs_neither_spark_nor_pandas_before_it_starts_one() -> None:
    code = "import sys; sys.modules['pyspark'] = sys.modules['pandas'] = None; import ndr.cli, ndr.engines.spark_sql"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603 - ours


def submitted(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a script does that spark-submit starts as in the image: by our interpreter, which its environment names."""
    home = Path(next(iter(find_spec("pyspark").submodule_search_locations)))
    image = shlex.split(" ".join(said("spark", "ENV")))
    named = dict.fromkeys((each.split("=")[0] for each in image), sys.executable)
    command = [str(home / "bin" / "spark-submit"), "--master", "local[1]", str(script), *arguments]
    with sparks.spark_environment():
        environment = {**os.environ, **named, "SPARK_HOME": str(home)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - ours


@pytest.mark.skipif(sparks.why_not() is not None, reason=sparks.why_not() or "")
def test_a_job_sees_the_spark_that_submitted_it(tmp_path: Path) -> None:
    script = tmp_path / "who.py"
    script.write_text("import sys, ndr, pyspark; print(sys.executable, pyspark.__file__)", encoding="utf-8")
    done = submitted(script)
    assert done.returncode == 0, done.stderr
    interpreter, client = done.stdout.split()
    assert interpreter == sys.executable
    assert client.endswith("/python/lib/pyspark.zip/pyspark/__init__.py")


@pytest.mark.skipif(sparks.why_not() is not None, reason=sparks.why_not() or "")
def test_what_a_job_ends_with_is_what_spark_ends_with() -> None:
    done = submitted(ROOT / "docker" / "start.py", "job", "no_such_job")
    assert done.returncode == 2
    assert "no_such_job" in done.stdout  # spark-submit makes one stream of both


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_recipe_holds_a_credential(recipe: str) -> None:
    assert not re.search(r"(?i)secret|token|password|access_key", RECIPES[recipe].read_text(encoding="utf-8"))
