"""The tables of a ledger in SQLite; times are ISO 8601 text in UTC, which sorts as time does."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE IF NOT EXISTS parts (
  table_name TEXT, version TEXT, start TEXT, known_at TEXT, horizon TEXT, id TEXT NOT NULL,
  row_count INTEGER NOT NULL, path TEXT NOT NULL, checksum TEXT NOT NULL,
  PRIMARY KEY (table_name, version, start, known_at, horizon)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asked_publications (
  version TEXT, reference TEXT, provisional INTEGER, PRIMARY KEY (version, reference)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS publications (
  version TEXT, reference TEXT, record TEXT NOT NULL, PRIMARY KEY (version, reference)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS units (
  id TEXT PRIMARY KEY, origin TEXT, source TEXT, content_bytes INTEGER, content_sha256 TEXT, head_sha256 TEXT,
  batch_end TEXT, path TEXT, checksum TEXT, report TEXT);
CREATE INDEX IF NOT EXISTS units_head ON units (head_sha256);
CREATE INDEX IF NOT EXISTS units_content ON units (content_sha256);
CREATE INDEX IF NOT EXISTS units_batch ON units (batch_end);
CREATE TABLE IF NOT EXISTS unit_slices (
  start TEXT, known_at TEXT, unit TEXT, row_count INTEGER, PRIMARY KEY (start, known_at, unit)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS units_length ON units (content_bytes);
CREATE INDEX IF NOT EXISTS slices_known ON unit_slices (known_at);
CREATE INDEX IF NOT EXISTS slices_unit ON unit_slices (unit);
CREATE TABLE IF NOT EXISTS batches (name TEXT PRIMARY KEY, start TEXT, end TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS unsettled_slices (start TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (fingerprint TEXT);
CREATE TABLE IF NOT EXISTS unwanted_files (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS builds (id INTEGER PRIMARY KEY, record TEXT NOT NULL);
"""
