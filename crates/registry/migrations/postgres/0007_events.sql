-- What happened lately, CivitAI's tags, and what lists show of a gallery.

CREATE TABLE events (
    -- counts up
    position BIGINT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    severity TEXT NOT NULL,
    message TEXT NOT NULL,
    -- JSON
    data TEXT NOT NULL
);

CREATE TABLE civitai_tags (
    name TEXT NOT NULL PRIMARY KEY,
    tag_id BIGINT,
    kind TEXT,
    -- order in which CivitAI lists them
    position BIGINT NOT NULL,
    synced_at TIMESTAMPTZ NOT NULL
);

ALTER TABLE gallery_images ADD COLUMN source TEXT NOT NULL DEFAULT 'community';
ALTER TABLE gallery_images ADD COLUMN file_size BIGINT NOT NULL DEFAULT 0;
UPDATE gallery_images SET source = coalesce(document::json ->> 'source', 'community'),
    file_size = coalesce((document::json ->> 'file_size')::BIGINT, 0);
