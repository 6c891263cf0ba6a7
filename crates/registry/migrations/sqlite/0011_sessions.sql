-- Sessions of browsers. A token is known by its hash alone.

CREATE TABLE sessions (
    token_sha256 TEXT NOT NULL PRIMARY KEY,
    -- HMAC-SHA256 of the admin key's hash by the token: with another key the session is over
    key_proof TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_expiry ON sessions (expires_at);
