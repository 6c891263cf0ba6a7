-- The metadata fetch, the activity log, and what was last merged from the repository.

CREATE TABLE metadata_fetches (
    -- no reference: a fetch outlives its entry
    entry_id UUID NOT NULL PRIMARY KEY,
    file TEXT NOT NULL,
    -- order of the queue
    position BIGINT NOT NULL,
    -- queued, fetching, done, error
    state TEXT NOT NULL,
    error TEXT
);
CREATE INDEX metadata_fetches_queue ON metadata_fetches (state, position);

-- What the last fetch said, so that a user's word is told from an upstream's.
CREATE TABLE fetched_facts (
    entry_id UUID NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
);

CREATE TABLE activity (
    id BIGINT NOT NULL PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL
);

CREATE TABLE merged_entries (
    dest TEXT NOT NULL,
    file TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (dest, file)
);
