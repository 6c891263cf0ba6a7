-- Uploads, what their deletion keeps of an entry, and files that may not be loaded.

CREATE TABLE uploads (
    id UUID NOT NULL PRIMARY KEY,
    -- publishing, done: a killed process leaves the first
    state TEXT NOT NULL,
    -- where the file goes below the models root
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    -- the name that it was sent with
    file_name TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    -- the entry that it becomes
    document TEXT NOT NULL,
    uploaded_by TEXT NOT NULL,
    uploaded_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX uploads_by_time ON uploads (uploaded_at);
CREATE INDEX uploads_by_path ON uploads (dest, file);

-- The entry of an uploaded file that lies in the bin.
CREATE TABLE bin_entries (
    bin_item_id UUID NOT NULL PRIMARY KEY,
    entry_id UUID NOT NULL,
    catalog TEXT NOT NULL,
    category TEXT NOT NULL,
    document TEXT NOT NULL
);

CREATE TABLE quarantine (
    -- the id of the download or upload that brought the file; its name on disk
    id UUID NOT NULL PRIMARY KEY,
    -- download, upload
    source TEXT NOT NULL,
    -- where it would have gone below the models root
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    -- what an upload said of itself
    entity_type TEXT,
    file_name TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    rule TEXT,
    reason TEXT NOT NULL,
    quarantined_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX quarantine_by_time ON quarantine (quarantined_at, id);
CREATE INDEX quarantine_by_hash ON quarantine (sha256);
