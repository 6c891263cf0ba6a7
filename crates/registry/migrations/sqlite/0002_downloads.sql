-- The download queue and its history.

CREATE TABLE downloads (
    id BLOB NOT NULL PRIMARY KEY,
    -- no reference: the history outlives the entry
    entry_id BLOB NOT NULL,
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    position INTEGER NOT NULL,
    is_forced INTEGER NOT NULL,
    asked_by TEXT NOT NULL,
    bytes_done INTEGER NOT NULL,
    bytes_total INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    error_code TEXT,
    error TEXT,
    -- the content's hash, as soon as it is known for certain what will be published
    sha256 TEXT,
    -- who runs it, and until when it counts as alive without a sign
    holder TEXT,
    lease_until TEXT,
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT
) STRICT;
CREATE UNIQUE INDEX downloads_one_a_path ON downloads (dest, file)
    WHERE state IN ('queued', 'downloading', 'retrying', 'verifying', 'paused');
CREATE INDEX downloads_queue ON downloads (priority, position) WHERE state = 'queued';
CREATE INDEX downloads_history ON downloads (finished_at);
