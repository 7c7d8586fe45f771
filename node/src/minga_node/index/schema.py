"""The tables of the index."""

from __future__ import annotations

PAD = "\x01\x01"
"""Ends a name in the full-text index, so that its last two characters begin a trigram as well."""

STEPS = (
    """
CREATE TABLE logs (
    log INTEGER PRIMARY KEY,
    peer TEXT NOT NULL UNIQUE,
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    compacted INTEGER NOT NULL
);

-- A content under a name, once, whoever has it. Never the same number twice: the full-text index lags behind.
CREATE TABLE files (
    file INTEGER PRIMARY KEY AUTOINCREMENT,
    folded TEXT NOT NULL,
    name TEXT NOT NULL,
    content BLOB NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    modified INTEGER NOT NULL,
    holders INTEGER NOT NULL
);
CREATE UNIQUE INDEX files_name ON files (folded, name, content);
CREATE INDEX files_content ON files (content);
CREATE INDEX files_size ON files (size);
CREATE INDEX files_modified ON files (modified);
CREATE INDEX files_holders ON files (holders);

CREATE TABLE held (
    log INTEGER NOT NULL,
    file INTEGER NOT NULL,
    version INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    PRIMARY KEY (log, file)
) WITHOUT ROWID;
CREATE INDEX held_file ON held (file, log, complete, modified);
CREATE INDEX held_version ON held (log, version);

CREATE TABLE tombstones (
    log INTEGER NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (log, name)
) WITHOUT ROWID;
CREATE INDEX tombstones_version ON tombstones (log, version);

CREATE VIRTUAL TABLE names USING fts5 (
    folded, content = '', columnsize = 0, detail = none, tokenize = 'trigram case_sensitive 1'
);
CREATE VIRTUAL TABLE trigrams USING fts5vocab (names, 'row');
CREATE TABLE names_until (file INTEGER NOT NULL);
INSERT INTO names_until VALUES (0);
""",
)

STAGED = """
CREATE TEMP TABLE IF NOT EXISTS staged (
    version INTEGER PRIMARY KEY, name TEXT, content BLOB, size INTEGER, media_type TEXT, modified INTEGER,
    complete INTEGER, folded TEXT
)
"""
TOUCHED = "CREATE TEMP TABLE IF NOT EXISTS touched (file INTEGER PRIMARY KEY)"
