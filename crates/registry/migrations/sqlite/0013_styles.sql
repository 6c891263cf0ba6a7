-- Styles: what the public API offers of LoRAs and pairs, with their slugs and files.

CREATE TABLE styles (
    -- a ULID
    id BLOB NOT NULL PRIMARY KEY,
    -- the present one; style_slugs has it as well
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    -- who alone may see it; null is everybody with a key
    team_id BLOB REFERENCES teams (id),
    -- the file name of its picture, which follows from the content
    preview TEXT,
    default_denoise_strength REAL,
    default_guidance_scale REAL,
    default_steps INTEGER,
    template TEXT,
    -- the pair that it was made from
    pair_id TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    -- it can come back until it is purged
    deleted_at TEXT,
    -- the change that was its last
    revision INTEGER NOT NULL
) STRICT;

-- Every slug that leads to a style, present and earlier ones.
CREATE TABLE style_slugs (
    slug TEXT NOT NULL PRIMARY KEY,
    style_id BLOB NOT NULL REFERENCES styles (id) ON DELETE CASCADE
) STRICT;

CREATE TABLE style_files (
    style_id BLOB NOT NULL REFERENCES styles (id) ON DELETE CASCADE,
    -- high, low or both
    role TEXT NOT NULL,
    entry_id BLOB NOT NULL,
    -- where the entry was, by which it is found again when a catalog was read anew
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    strength REAL NOT NULL,
    PRIMARY KEY (style_id, role)
) STRICT;

-- One row that counts changes of styles, so that every process sees that there are some.
CREATE TABLE style_changes (
    id INTEGER NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO style_changes (id, revision) VALUES (1, 0);
CREATE INDEX styles_team ON styles (team_id);
CREATE INDEX style_slugs_style ON style_slugs (style_id);
