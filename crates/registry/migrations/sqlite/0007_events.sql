-- What happened lately, CivitAI's tags, and what lists show of a gallery.

CREATE TABLE events (
    -- counts up
    position INTEGER NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at TEXT NOT NULL,
    severity TEXT NOT NULL,
    message TEXT NOT NULL,
    -- JSON
    data TEXT NOT NULL
) STRICT;

CREATE TABLE civitai_tags (
    name TEXT NOT NULL PRIMARY KEY,
    tag_id INTEGER,
    kind TEXT,
    -- order in which CivitAI lists them
    position INTEGER NOT NULL,
    synced_at TEXT NOT NULL
) STRICT;

ALTER TABLE gallery_images ADD COLUMN source TEXT NOT NULL DEFAULT 'community';
ALTER TABLE gallery_images ADD COLUMN file_size INTEGER NOT NULL DEFAULT 0;
UPDATE gallery_images SET source = coalesce(json_extract(document, '$.source'), 'community'),
    file_size = coalesce(json_extract(document, '$.file_size'), 0);
