-- Who said what an entry has: upstreams by field, users by their edits, and the edits themselves, so that they can be undone.

-- JSON: field to civitai, huggingface, file
ALTER TABLE fetched_facts ADD COLUMN origins TEXT NOT NULL DEFAULT '{}';

-- Fields that hold a user's word; no fetch changes them.
CREATE TABLE user_facts (
    entry_id UUID NOT NULL PRIMARY KEY,
    -- JSON: names of fields
    fields TEXT NOT NULL
);

CREATE TABLE edits (
    id UUID NOT NULL PRIMARY KEY,
    -- counts up from edit to edit
    number BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    -- the edit that this one undid
    reverts UUID
);
CREATE UNIQUE INDEX edits_by_number ON edits (number);

CREATE TABLE edit_changes (
    edit_id UUID NOT NULL REFERENCES edits (id) ON DELETE CASCADE,
    -- no reference: an edit outlives its entry
    entry_id UUID NOT NULL,
    -- JSON: field to value before and after; null where there was none
    old_values TEXT NOT NULL,
    new_values TEXT NOT NULL,
    -- JSON: which of the fields held a user's word before
    old_user_fields TEXT NOT NULL,
    PRIMARY KEY (edit_id, entry_id)
);
CREATE INDEX edit_changes_by_entry ON edit_changes (entry_id, edit_id);
