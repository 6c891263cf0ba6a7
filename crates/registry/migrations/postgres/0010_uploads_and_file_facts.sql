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

-- What files say of themselves, as long as they have that stamp.
CREATE TABLE file_facts (
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    modified_ns BIGINT NOT NULL,
    inode BIGINT NOT NULL,
    -- JSON
    facts TEXT NOT NULL,
    PRIMARY KEY (dest, file)
);

-- What files hash to beside their SHA-256, as long as they have that stamp.
CREATE TABLE file_hashes (
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    modified_ns BIGINT NOT NULL,
    inode BIGINT NOT NULL,
    -- JSON
    hashes TEXT NOT NULL,
    -- SHA-256 of the tensor data alone
    tensors TEXT,
    PRIMARY KEY (dest, file)
);
CREATE INDEX file_hashes_by_tensors ON file_hashes (tensors);
