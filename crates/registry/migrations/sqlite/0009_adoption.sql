-- Folders of other programs that were taken over, and sidecars that were written beside models.

CREATE TABLE adoptions (
    id BLOB NOT NULL PRIMARY KEY,
    -- the folder, absolute
    path TEXT NOT NULL,
    -- what was asked for, JSON
    request TEXT NOT NULL,
    -- running, done, cancelled, failed: a killed process leaves the first
    state TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    error TEXT,
    -- what came of it, JSON
    report TEXT
) STRICT;
CREATE INDEX adoptions_by_time ON adoptions (started_at, id);

-- What we last wrote into a sidecar, so that somebody else's words are told from ours.
CREATE TABLE written_sidecars (
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (dest, file)
) STRICT;
