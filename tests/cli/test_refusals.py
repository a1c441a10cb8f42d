"""What the command line refuses: with the right exit code, one clear sentence on stderr, and nothing on stdout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from day.lakes import HOSTS, START, Answer, files, hour, ndr, record, run, write, write_config


def refused(answer: Answer, code: int, *words: str) -> None:
    assert answer.code == code, (answer.code, answer.err)
    assert answer.out == ""
    assert answer.err.startswith("ndr: ")
    assert "Traceback" not in answer.err
    for word in words:
        assert word in answer.err, answer.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", ["COMMAND"]),
        ("rnu logs", ["unknown command 'rnu'", "Did you mean 'run'"]),
        ("catalogue", ["Did you mean 'catalog'"]),
        ("run", ["PATH"]),
        ("run x", ["--lake"]),
        ("run x --lake L --source zeke", ["zeke", "zeek"]),
        ("run no-such-file --lake L", ["there is no file or folder 'no-such-file'"]),
        ("run no-such-*.log --lake L", ["there is no file or folder"]),
        ("run x --lake L --format csv", ["csv"]),
        ("status --lake L --wait soon", ["soon"]),
        ("show fg_a --lake L --limit many", ["many"]),
        ("status --lake L", ["there is no lake in 'L'", "ndr run"]),
        ("plan fg_a --lake L", ["there is no lake in 'L'"]),
        ("build fg_a --lake L", ["there is no lake"]),
        ("show fg_a --lake L", ["there is no lake"]),
        ("run . --lake gs://bucket/lake", ["'gs://bucket/lake'", "no folder"]),
        ("spec", ["ACTION"]),
        ("spec lnit", ["lnit"]),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(tmp_path, monkeypatch, arguments: str, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    refused(ndr(*arguments.split()), 2, *words)


def test_an_unknown_table_is_answered_with_the_nearest(tmp_path: Path, lake: Path) -> None:
    run(lake, write(tmp_path / "log.json", hour(4)))
    for command in ("plan", "build", "show"):
        refused(ndr(command, "fg_d", "--lake", lake), 3, "unknown table 'fg_d'", "Did you mean 'fg_")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--from", "yesterday"], 2, ["'yesterday' is not a time", "2026-03-01"]),
        (["--from", "2026-03-05", "--to", "2026-03-04"], 2, ["is empty"]),
        (["--from", "2026-03-05", "--to", "2026-03-05"], 2, ["is empty"]),
    ],
)
def test_odd_times_are_refused(tmp_path: Path, lake: Path, options, code, words) -> None:
    run(lake, write(tmp_path / "log.json", hour(4)))
    refused(ndr("plan", "fg_a", "--lake", lake, *options), code, *words)
    refused(ndr("build", "fg_a", "--lake", lake, *options), code, *words)


def test_a_lake_that_is_a_file_is_refused(tmp_path: Path) -> None:
    log = write(tmp_path / "log.json", hour(2))
    (tmp_path / "lake").write_text("mine", encoding="utf-8")
    refused(ndr("run", log, "--lake", tmp_path / "lake"), 2, "cannot be made")
    refused(ndr("status", "--lake", tmp_path / "lake"), 2, "there is no lake")
    assert (tmp_path / "lake").read_text(encoding="utf-8") == "mine"


def test_a_network_without_internal_hosts_is_shown_its_networks(tmp_path: Path, lake: Path) -> None:
    rows = [record(START, source_ip="198.51.100.7"), record(START, source_ip="198.51.100.8")]
    rows.append(record(START, source_ip="2001:db8::1", destination_ip="::1"))
    answer = ndr("run", write(tmp_path / "log.json", rows), "--lake", lake)
    assert answer.code == 3
    for word in ("198.51.0.0/16 (2 records)", "2001:db8::/32 (1 records)", "project_parameters.internal_networks"):
        assert word in answer.err
    config = write_config(tmp_path / "ndr.json", project_parameters={"internal_networks": ["198.51.0.0/16"]})
    again = run(lake, tmp_path / "log.json", "--config", config)
    assert again["hosts"] == 2
    assert again["built"]["fg_a"] == 1


def test_a_broken_file_is_named_while_the_others_go_on(tmp_path: Path, lake: Path) -> None:
    good = write(tmp_path / "logs/good.json", hour(8))
    bad = [{**record(START), "source_ip": "nobody"}] * 9 + [record(START)]
    write(tmp_path / "logs/bad.json", bad)
    (tmp_path / "logs/cut.json.gz").write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\x03cut")
    (tmp_path / "logs/notes.txt").write_text("buy milk\n", encoding="utf-8")
    summary = run(lake, tmp_path / "logs", code=4)
    assert [file["path"] for file in summary["files"]] == [str(good)]
    assert {Path(f["path"]).name for f in summary["refused_files"]} == {"bad.json", "cut.json.gz"}
    assert {Path(f["path"]).name for f in summary["skipped_files"]} == {"notes.txt"}
    assert all(file["reason"] for file in (*summary["refused_files"], *summary["skipped_files"]))
    text = ndr("run", tmp_path / "logs", "--lake", lake)
    assert text.code == 4
    assert "bad.json" in text.out
    assert "cut.json.gz" in text.out


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)
HOSTILE: dict[str, tuple[str | bytes, list[str]]] = {
    "alias bomb": (ALIASES, ["aliases are not read here"]),
    "object tag": ("feature_spec_version: !!python/object/apply:os.system ['touch owned']", ["cannot be read as YAML"]),
    "name tag": ("jobs: !!python/name:os.system", ["cannot be read as YAML"]),
    "own tag": ("jobs: !include /etc/passwd", ["cannot be read as YAML"]),
    "huge": (b"#" * ((4 << 20) + 1), ["larger than 4 MiB"]),
    "deep": ("[" * 20_000, ["ndr.yaml"]),
    "no UTF-8": (b"project_name: \xff\xfe", ["cannot be read as YAML"]),
    "NUL": (b"project_name: a\0b", ["cannot be read as YAML"]),
    "a list": ("- 1\n- 2\n", ["must hold keys and values, not list"]),
    "a word": ("hello", ["must hold keys and values, not str"]),
    "keys that are no text": ("1: 2\n", ["1"]),
    "a key twice": ("project_name: a\nproject_name: b\n", ["project_name"]),
    "unknown key": ("project_parameter: {}", ["unknown key", "Did you mean 'project_parameters'"]),
    "unknown inner key": (
        "project_parameters: {calendar: {timezone: UTC}}",
        ["project_parameters.calendar.timezone", "Did you mean 'time_zone'"],
    ),
    "unknown job": ("jobs: {fg_a_bulder: {}}", ["jobs.fg_a_bulder", "Did you mean 'fg_a_builder'"]),
    "unknown job key": ("jobs: {fg_a_builder: {high_risk_segment: [a]}}", ["Did you mean 'high_risk_segments'"]),
    "unknown source": ("sources: {zeke: {}}", ["unknown source 'zeke'", "Did you mean 'zeek'"]),
    "unknown source key": ("sources: {zeek: {timezone: UTC}}", ["sources.zeek.timezone", "Did you mean 'time_zone'"]),
    "version as a number": ("feature_spec_version: 1.10", ["feature_spec_version", "quote it"]),
    "version as a path": ("feature_spec_version: '../../x'", ["feature_spec_version"]),
    "bad network": ("project_parameters: {internal_networks: [10.0.0.0/33]}", ["internal_networks", "10.0.0.0/33"]),
    "host bits": ("project_parameters: {internal_networks: [10.0.0.1/8]}", ["10.0.0.1/8", "host bits"]),
    "no network": ("project_parameters: {internal_networks: []}", ["internal_networks"]),
    "bad segment": ("project_parameters: {segments: {here: OFFICE}}", ["segments", "here"]),
    "bad zone": ("project_parameters: {calendar: {time_zone: Mars/Olympus}}", ["Mars/Olympus", "Europe/Berlin"]),
    "zone as a path": ("project_parameters: {calendar: {time_zone: ../../etc/passwd}}", ["time_zone"]),
    "bad hour": ("project_parameters: {calendar: {working_hours: [7, 25]}}", ["working_hours"]),
    "bad port": ("project_parameters: {port_sets: {db: [70000]}}", ["port_sets", "70000"]),
    "negative threshold": (
        "jobs: {fg_a_builder: {lookback30d: {rare_thresholds: {peer: -1}}}}",
        ["jobs.fg_a_builder.lookback30d.rare_thresholds.peer"],
    ),
    "bad source zone": ('sources: {zeek: {time_zone: "\'; DROP"}}', ["time zone"]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_configuration_is_refused(tmp_path: Path, monkeypatch, name: str) -> None:
    content, words = HOSTILE[name]
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "ndr.yaml"
    config.write_bytes(content if isinstance(content, bytes) else content.encode())
    log = write(tmp_path / "log.json", [record(START, source_ip=HOSTS[0])])
    refused(ndr("run", log, "--lake", tmp_path / "lake", "--config", config), 3, *words)
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "lake/fg_a").exists()
    refused(ndr("spec", "lint", "--config", config), 3, *words)


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(ndr("spec", "show", "--config", tmp_path / "none.yaml"), 3, "none.yaml", "No such file")
    refused(ndr("spec", "show", "--config", tmp_path), 3, "directory")


def test_a_refused_command_leaves_a_lake_alone(tmp_path: Path, lake: Path) -> None:
    run(lake, write(tmp_path / "log.json", hour(4)))
    before = files(lake)
    bad = write_config(tmp_path / "bad.json", nothing=1)
    refused(ndr("run", tmp_path / "log.json", "--lake", lake, "--config", bad), 3, "unknown key")
    refused(ndr("run", tmp_path / "none.json", "--lake", lake), 2)
    assert files(lake) == before
    assert json.loads(ndr("status", "--lake", lake, "--format", "json").out)
