-- Evaluations: what was asked, how far it is, and what was found, by content.

CREATE TABLE evaluations (
    id BLOB NOT NULL PRIMARY KEY,
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
    steps_done INTEGER NOT NULL,
    steps_total INTEGER NOT NULL,
    -- somebody asked for its end
    is_cancelled INTEGER NOT NULL,
    asked_by TEXT NOT NULL,
    error_code TEXT,
    error TEXT,
    -- who runs it, and until when it counts as alive without a sign
    holder TEXT,
    lease_until TEXT,
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT
) STRICT;
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
    frobenius_total REAL,
    effective_rank REAL,
    document TEXT NOT NULL,
    computed_at TEXT NOT NULL,
    PRIMARY KEY (kind, content, tool, options)
) STRICT;
CREATE INDEX evaluation_results_scope ON evaluation_results (scope) WHERE scope IS NOT NULL;

-- The pictures of an evaluation through a generator.
CREATE TABLE evaluation_cells (
    evaluation_id BLOB NOT NULL,
    place INTEGER NOT NULL,
    -- index of the file, of the prompt
    file INTEGER NOT NULL,
    prompt INTEGER NOT NULL,
    -- up to 2^64 - 1, so a text
    seed TEXT NOT NULL,
    strength REAL NOT NULL,
    -- waiting, submitted, done, failed
    state TEXT NOT NULL,
    -- what the generator knows it by, written before it is sent
    prompt_id TEXT,
    image_sha256 TEXT,
    seconds REAL,
    error TEXT,
    PRIMARY KEY (evaluation_id, place)
) STRICT;
