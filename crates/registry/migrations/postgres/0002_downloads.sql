-- The download queue and its history.

CREATE TABLE downloads (
    id UUID NOT NULL PRIMARY KEY,
    -- no reference: the history outlives the entry
    entry_id UUID NOT NULL,
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    state TEXT NOT NULL,
    priority BIGINT NOT NULL,
    position BIGINT NOT NULL,
    is_forced BOOLEAN NOT NULL,
    asked_by TEXT NOT NULL,
    bytes_done BIGINT NOT NULL,
    bytes_total BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    error_code TEXT,
    error TEXT,
    -- the content's hash, as soon as it is known for certain what will be published
    sha256 TEXT,
    -- who runs it, and until when it counts as alive without a sign
    holder TEXT,
    lease_until TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX downloads_one_a_path ON downloads (dest, file)
    WHERE state IN ('queued', 'downloading', 'retrying', 'verifying', 'paused');
CREATE INDEX downloads_queue ON downloads (priority, position) WHERE state = 'queued';
CREATE INDEX downloads_history ON downloads (finished_at);
