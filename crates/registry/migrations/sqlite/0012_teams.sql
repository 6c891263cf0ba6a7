-- Teams, and the keys that their programs call with. A key is known by its beginning and its hash.

CREATE TABLE teams (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    -- version of the public API that the team's calls mean, YYYY-MM-DD; null is the system's default
    pinned_version TEXT,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE team_keys (
    id BLOB NOT NULL PRIMARY KEY,
    team_id BLOB NOT NULL REFERENCES teams (id),
    -- what people call it
    name TEXT NOT NULL,
    -- the first characters of the key; keys that were imported may share theirs
    lookup TEXT NOT NULL,
    key_sha256 TEXT NOT NULL,
    -- words with spaces between
    scopes TEXT NOT NULL,
    -- calls a minute; null is no limit
    calls_per_minute INTEGER,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    -- written once a minute at most
    last_used_at TEXT
) STRICT;
CREATE UNIQUE INDEX teams_name ON teams (name);
CREATE UNIQUE INDEX team_keys_sha256 ON team_keys (key_sha256);
CREATE INDEX team_keys_lookup ON team_keys (lookup);
CREATE INDEX team_keys_team ON team_keys (team_id);
