-- Uploads that may come in pieces, over as many connections as it takes. The bytes lie in `<models>/.lorakeep/parts/`.

CREATE TABLE resumable_uploads (
    id UUID NOT NULL PRIMARY KEY,
    -- receiving, done, failed; what became of a done one stands in `uploads` under the same id
    state TEXT NOT NULL,
    -- admin, user: which entity types there are
    route TEXT NOT NULL,
    file_name TEXT NOT NULL,
    entity_type TEXT,
    use_safe_filename BOOLEAN NOT NULL,
    -- what the client said of it, as it was written
    metadata TEXT NOT NULL,
    length_bytes BIGINT NOT NULL,
    -- bytes that survive a power cut
    offset_bytes BIGINT NOT NULL,
    -- the subject of the token that it was begun with; null for the admin
    owner TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    -- why it failed
    error_code TEXT,
    error_text TEXT,
    -- of the content, when it went to quarantine
    error_sha256 TEXT
);
CREATE INDEX resumable_uploads_by_expiry ON resumable_uploads (expires_at);
