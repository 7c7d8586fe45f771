"""The tables of the index.

What an entry needs at once is written at once: its row, its place among the names, its log. The indices that
searches sort and filter by are partial, on ``ordered = 1``: rows get into them (and into the full-text index)
later and many at a time, because a page that takes a hundred rows is written once and not a hundred times.
Rows that are not there yet are the *tail*, which searches look through one by one.
"""

from __future__ import annotations

PAD = "\x01\x01"
"""Ends a name in the full-text index, so that its last two characters begin a trigram as well."""

ENTRY = (
    "h.version, f.name, f.content, ifnull(h.size, f.size), ifnull(h.media_type, f.media_type), "
    "h.modified, h.complete"
)
"""Columns of a live entry as its writer told it, in the order of
:class:`~minga_node.index.log.log_state.Entry`, from ``held h`` and ``files f``."""

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
    """
DROP INDEX files_name;
DROP INDEX files_content;
DROP INDEX files_size;
DROP INDEX files_modified;
DROP INDEX files_holders;
ALTER TABLE files ADD COLUMN ordered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE names_until ADD COLUMN ordered INTEGER NOT NULL DEFAULT 0;
CREATE INDEX files_folded ON files (folded);
CREATE INDEX files_content ON files (substr(content, 1, 8));
CREATE INDEX files_size ON files (size, folded) WHERE ordered = 1;
CREATE INDEX files_modified ON files (modified, folded) WHERE ordered = 1;
CREATE INDEX files_holders ON files (holders, folded) WHERE ordered = 1;
CREATE INDEX files_type ON files (media_type) WHERE ordered = 1;

ALTER TABLE held RENAME TO held_by_file;
DROP INDEX held_file;
CREATE TABLE held (
    log INTEGER NOT NULL,
    version INTEGER NOT NULL,
    file INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    PRIMARY KEY (log, version)
) WITHOUT ROWID;
INSERT INTO held SELECT log, version, file, modified, complete FROM held_by_file;
DROP TABLE held_by_file;
CREATE INDEX held_file ON held (file, log, complete, modified);

-- What files were sorted by before it changed, for searches that are in the middle of their pages.
CREATE TABLE moved (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    file INTEGER NOT NULL,
    holders INTEGER NOT NULL,
    modified INTEGER NOT NULL
);
CREATE INDEX moved_file ON moved (file, seq);
CREATE TRIGGER files_moved AFTER UPDATE OF holders, modified ON files
WHEN old.holders <> new.holders OR old.modified <> new.modified
BEGIN
    INSERT INTO moved (file, holders, modified) VALUES (old.file, old.holders, old.modified);
END;
""",
    """
-- The hash of the set of live entries, and the writer's signature of it; NULL until it has been computed.
ALTER TABLE logs ADD COLUMN total BLOB;
ALTER TABLE logs ADD COLUMN signature BLOB NOT NULL DEFAULT x'';
-- Where a holder says another size or type than the file's row: what is given on must be what was signed.
ALTER TABLE held ADD COLUMN size INTEGER;
ALTER TABLE held ADD COLUMN media_type TEXT;
CREATE TABLE identity (secret BLOB NOT NULL);
CREATE TABLE keys (peer TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
""",
)

WRITER = """
PRAGMA temp_store = MEMORY;
-- The default of 2 MB makes a large index read its pages again and again.
PRAGMA cache_size = -65536;
-- What is deleted need not be overwritten: it was public.
PRAGMA secure_delete = OFF;
-- After a catch-up the write-ahead log shrinks again.
PRAGMA journal_size_limit = 16777216;
CREATE TEMP TABLE IF NOT EXISTS staged (
    stage INTEGER PRIMARY KEY, folded TEXT, name TEXT, content BLOB, log INTEGER, version INTEGER,
    size INTEGER, media_type TEXT, modified INTEGER, complete INTEGER, leader INTEGER, file INTEGER
);
CREATE TEMP TABLE IF NOT EXISTS replaced (log INTEGER, version INTEGER, file INTEGER);
CREATE TEMP TABLE IF NOT EXISTS touched (file INTEGER PRIMARY KEY);
"""
"""Settings and work tables of the connection that writes."""
