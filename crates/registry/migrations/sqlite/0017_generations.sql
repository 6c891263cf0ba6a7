-- Pictures of styles that teams asked for: what was asked, how far it is, what came.

CREATE TABLE generations (
    id BLOB NOT NULL PRIMARY KEY,
    team_id BLOB NOT NULL,
    -- queued, running, completed, failed, cancelled
    state TEXT NOT NULL,
    -- the team's own name for the request, and the hash of what it asked under it
    idempotency_key TEXT,
    request_sha256 TEXT NOT NULL,
    -- everything that the pictures follow from, seeds among it
    plan TEXT NOT NULL,
    -- one a picture: the generator's prompt, what came
    pictures TEXT NOT NULL,
    -- somebody asked for its end
    is_cancelled INTEGER NOT NULL,
    error_code TEXT,
    error TEXT,
    -- who runs it, and until when it counts as alive without a sign
    holder TEXT,
    lease_until TEXT,
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT
) STRICT;
CREATE UNIQUE INDEX generations_idempotency ON generations (team_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX generations_queue ON generations (created_at) WHERE state = 'queued';
CREATE INDEX generations_of_team ON generations (team_id, id);
CREATE INDEX generations_ended ON generations (finished_at) WHERE finished_at IS NOT NULL;
