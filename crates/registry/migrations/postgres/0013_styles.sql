-- Styles: what the public API offers of LoRAs and pairs, with their slugs and files.

CREATE TABLE styles (
    -- a ULID
    id UUID NOT NULL PRIMARY KEY,
    -- the present one; style_slugs has it as well
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    -- who alone may see it; null is everybody with a key
    team_id UUID REFERENCES teams (id),
    -- the file name of its picture, which follows from the content
    preview TEXT,
    default_denoise_strength DOUBLE PRECISION,
    default_guidance_scale DOUBLE PRECISION,
    default_steps BIGINT,
    template TEXT,
    -- the pair that it was made from
    pair_id TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    -- it can come back until it is purged
    deleted_at TIMESTAMPTZ,
    -- the change that was its last
    revision BIGINT NOT NULL
);

-- Every slug that leads to a style, present and earlier ones.
CREATE TABLE style_slugs (
    slug TEXT NOT NULL PRIMARY KEY,
    style_id UUID NOT NULL REFERENCES styles (id) ON DELETE CASCADE
);

CREATE TABLE style_files (
    style_id UUID NOT NULL REFERENCES styles (id) ON DELETE CASCADE,
    -- high, low or both
    role TEXT NOT NULL,
    entry_id UUID NOT NULL,
    -- where the entry was, by which it is found again when a catalog was read anew
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    strength DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (style_id, role)
);

-- One row that counts changes of styles, so that every process sees that there are some.
CREATE TABLE style_changes (
    id BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);
INSERT INTO style_changes (id, revision) VALUES (1, 0);
CREATE INDEX styles_team ON styles (team_id);
CREATE INDEX style_slugs_style ON style_slugs (style_id);
