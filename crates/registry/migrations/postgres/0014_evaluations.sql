-- Evaluations: what was asked, how far it is, and what was found, by content.

CREATE TABLE evaluations (
    id UUID NOT NULL PRIMARY KEY,
    -- queued, running, completed, failed, cancelled
    state TEXT NOT NULL,
    -- weights or images: each kind has workers of its own
    lane TEXT NOT NULL,
    -- the request as it was accepted
    request TEXT NOT NULL,
    -- the files that it names, with their hashes as soon as they are known
    files TEXT NOT NULL,
    -- what was found and is not kept by content
    outcome TEXT,
    steps_done BIGINT NOT NULL,
    steps_total BIGINT NOT NULL,
    -- somebody asked for its end
    is_cancelled BOOLEAN NOT NULL,
    asked_by TEXT NOT NULL,
    error_code TEXT,
    error TEXT,
    -- who runs it, and until when it counts as alive without a sign
    holder TEXT,
    lease_until TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ
);
CREATE INDEX evaluations_queue ON evaluations (lane, created_at) WHERE state = 'queued';
CREATE INDEX evaluations_history ON evaluations (created_at);

-- What was computed of one content, or of two, by one version of the tool; never computed twice.
CREATE TABLE evaluation_results (
    -- file, pair or series
    kind TEXT NOT NULL,
    -- SHA-256 of the content; of each content, joined by colons
    content TEXT NOT NULL,
    tool TEXT NOT NULL,
    -- what was asked, as far as it changes the numbers
    options TEXT NOT NULL,
    -- architecture and algorithm, within which files are comparable
    scope TEXT,
    frobenius_total DOUBLE PRECISION,
    effective_rank DOUBLE PRECISION,
    document TEXT NOT NULL,
    computed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (kind, content, tool, options)
);
CREATE INDEX evaluation_results_scope ON evaluation_results (scope) WHERE scope IS NOT NULL;

-- The pictures of an evaluation through a generator.
CREATE TABLE evaluation_cells (
    evaluation_id UUID NOT NULL,
    place BIGINT NOT NULL,
    -- index of the file, of the prompt
    file BIGINT NOT NULL,
    prompt BIGINT NOT NULL,
    -- up to 2^64 - 1, so a text
    seed TEXT NOT NULL,
    strength DOUBLE PRECISION NOT NULL,
    -- waiting, submitted, done, failed
    state TEXT NOT NULL,
    -- what the generator knows it by, written before it is sent
    prompt_id TEXT,
    image_sha256 TEXT,
    seconds DOUBLE PRECISION,
    error TEXT,
    PRIMARY KEY (evaluation_id, place)
);
