"""Real logs of others, where they lie beside the repository: every folder runs through, and its counts add up."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from day.lakes import ndr, plan, run, write_config
from ndr.net import DEFAULT_INTERNAL

DATA = Path(os.environ.get("NDR_SAMPLES") or Path(__file__).resolve().parents[3] / "shared" / "data")


@dataclass(frozen=True)
class Folder:
    """What is known of a folder of samples."""

    records: int
    sessions: int
    hosts: int
    refused: tuple[str, ...] = ()
    quarantined: int = 0
    internal: tuple[str, ...] = ()
    some_hosts: tuple[str, ...] = field(default=())


FOLDERS = {
    "panos_syslog": Folder(935, 739, 10),
    "zeek_zat": Folder(410, 410, 4, refused=("http.log.corrupt.gz",), some_hosts=("10.18.20.97", "10.18.20.8")),
    "zeek_otrf_apt29_day1": Folder(2274, 747, 6, some_hosts=("10.0.1.4", "10.0.1.6")),
    "zeek_rita_testdata": Folder(8193, 8191, 39, refused=("conn_top.log",), quarantined=2),
    "iot23_labeled_sample": Folder(689, 689, 3),
    "netflowlabeler_examples": Folder(1441, 1433, 34),
    "slips_testdata": Folder(37125, 36322, 81),
}


def folder(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"the samples {name} are not beside this repository")
    return DATA / name


def shown(lake: Path, host: str) -> list[dict[str, Any]]:
    return ndr("show", "fg_a", "--lake", lake, "--host", host, "--format", "json").data


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_real_logs_runs_through(lake: Path, name: str) -> None:
    known = FOLDERS[name]
    summary = run(lake, folder(name), code=4 if known.refused else 0)
    assert (summary["records_read"], summary["sessions"], summary["hosts"]) == (
        known.records, known.sessions, known.hosts,
    )  # fmt: skip
    assert summary["quarantined"] == known.quarantined
    assert {Path(file["path"]).name for file in summary["refused_files"]} == set(known.refused)
    assert all(file["reason"] for file in (*summary["refused_files"], *summary["skipped_files"]))
    assert summary["tables"]["sessions"] == known.sessions
    assert summary["tables"]["fg_a"] >= 5 * known.hosts
    again = run(lake, folder(name), code=4 if known.refused else 0)
    assert (again["records_read"], again["built"]) == (0, {})
    assert len(again["known_files"]) == len(summary["files"])
    assert plan(lake) == {}
    seen = {row["host_ip"] for row in ndr("show", "delta", "--lake", lake, "--format", "json").data}
    assert seen
    assert all(any(ip_address(host) in ip_network(net) for net in DEFAULT_INTERNAL) for host in seen)
    for host in known.some_hosts:
        assert shown(lake, host), host


def test_public_addresses_of_a_university_are_hosts_when_it_says_so(tmp_path: Path, lake: Path) -> None:
    logs = folder("slips_testdata") / "old-no-SrcBytes-no-Label.binetflow.gz"
    config = write_config(tmp_path / "ndr.json", project_parameters={"internal_networks": ["147.32.0.0/16"]})
    summary = run(lake, logs, "--config", config)
    assert summary["sessions"] > 0
    assert summary["hosts"] > 0
    rows = ndr("show", "delta", "--lake", lake, "--config", config, "--format", "json", "--limit", 500).data
    assert {host.rsplit(".", 2)[0] for host in (row["host_ip"] for row in rows)} == {"147.32"}


def test_masked_times_are_refused_by_name_not_guessed(tmp_path: Path, lake: Path) -> None:
    logs = folder("zeek_btest")
    answer = ndr("run", logs, "--lake", tmp_path / "default")
    assert answer.code == 4
    assert "core.ppp_conn.log" not in answer.err
    assert "opt.basic_conn.log" in answer.err
    config = write_config(tmp_path / "ndr.json", project_parameters={"internal_networks": ["193.167.0.0/16", "::/8"]})
    summary = run(lake, logs, "--config", config, code=4)
    assert summary["sessions"] == 3
    assert len(summary["refused_files"]) == 34
    masked = [file for file in summary["refused_files"] if "no_time" in file["reason"]]
    assert len(masked) == 33


def test_binary_flow_packets_are_skipped_and_listed(lake: Path) -> None:
    summary = run(lake, folder("netflow_ipfix_packets"))
    assert summary["records_read"] == summary["hosts"] == 0
    reasons = {Path(file["path"]).suffix: file["reason"] for file in summary["skipped_files"]}
    assert reasons[".dat"] == "binary data"
