-- The catalogs, what is on disk, the bin, and run-time settings.
-- Documents are JSON texts, so that the order of their fields survives.

CREATE TABLE catalogs (
    name TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    date TEXT NOT NULL,
    -- the catalog file without its categories
    document TEXT NOT NULL,
    -- the version that was last written to or read from the file, and the hash of its bytes
    face_version BIGINT NOT NULL,
    face_sha256 TEXT
);

CREATE TABLE categories (
    catalog TEXT NOT NULL REFERENCES catalogs (name),
    id TEXT NOT NULL,
    position BIGINT NOT NULL,
    -- the category without its models
    document TEXT NOT NULL,
    PRIMARY KEY (catalog, id)
);

CREATE TABLE entries (
    id UUID NOT NULL PRIMARY KEY,
    catalog TEXT NOT NULL,
    category TEXT NOT NULL,
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    position BIGINT NOT NULL,
    -- the catalog's version that this entry was added or changed with
    changed_version BIGINT NOT NULL,
    document TEXT NOT NULL,
    FOREIGN KEY (catalog, category) REFERENCES categories (catalog, id)
);
CREATE UNIQUE INDEX entries_by_path ON entries (catalog, dest, file);
CREATE INDEX entries_by_category ON entries (catalog, category);

CREATE TABLE files (
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    modified_ns BIGINT NOT NULL,
    inode BIGINT NOT NULL,
    sha256 TEXT,
    verification TEXT NOT NULL,
    verified_at TIMESTAMPTZ,
    PRIMARY KEY (dest, file)
);

CREATE TABLE bin_items (
    id UUID NOT NULL PRIMARY KEY,
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    -- which folder bin_path is below: data or models
    root TEXT NOT NULL,
    bin_path TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 TEXT,
    -- moving_in, kept, moving_out, purging: what a killed process was doing
    state TEXT NOT NULL,
    deleted_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX bin_items_by_age ON bin_items (deleted_at);

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
