-- The first version. Columns named `record` are MessagePack of the struct of that name in swell.records or swell.model:
-- what is looked for has a column of its own, the rest is decoded by those who ask.

-- ---------------------------------------------------------------- apps

CREATE TABLE apps (
    app_id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    created_at REAL NOT NULL,
    stopped_at REAL,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE deployments (
    app_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    bundle TEXT NOT NULL, -- digest, or '' for none
    record BLOB NOT NULL,
    UNIQUE (app_id, version)
) STRICT;

CREATE INDEX deployments_bundle ON deployments (bundle);

CREATE TABLE bundles (
    digest TEXT NOT NULL UNIQUE,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE functions (
    function_id TEXT NOT NULL UNIQUE,
    app_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;

CREATE INDEX functions_app ON functions (app_id);

CREATE TABLE containers (
    container_id TEXT NOT NULL UNIQUE,
    app_id TEXT NOT NULL,
    ended_at REAL NOT NULL,
    record BLOB NOT NULL
) STRICT;

CREATE INDEX containers_ended ON containers (ended_at);
CREATE INDEX containers_app ON containers (app_id, ended_at);

-- ---------------------------------------------------------------- calls

CREATE TABLE calls (
    sequence INTEGER PRIMARY KEY, -- what the other tables know a call by
    call_id TEXT NOT NULL UNIQUE,
    function_id TEXT NOT NULL,
    function_name TEXT NOT NULL,
    method TEXT NOT NULL,
    parent TEXT NOT NULL,
    opened_at REAL NOT NULL,
    accepted INTEGER NOT NULL,
    sealed INTEGER NOT NULL,
    ended_at REAL,
    terminated TEXT, -- what inputs without a result have instead, once the call was cancelled
    expired INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX calls_going_on ON calls (function_id, sequence) WHERE ended_at IS NULL;
CREATE INDEX calls_with_results ON calls (ended_at) WHERE ended_at IS NOT NULL AND NOT expired;
CREATE INDEX calls_expired ON calls (ended_at) WHERE expired;

-- The highest sequence that a forgotten call had.
CREATE TABLE forgotten (sequence INTEGER NOT NULL) STRICT;
INSERT INTO forgotten VALUES (0);

CREATE TABLE spans (
    call INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    ends BLOB NOT NULL, -- MessagePack, as all lists here
    blobs BLOB, -- NULL if there are none
    payload BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX spans_first ON spans (call, first);

CREATE TABLE outputs (
    call INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    shape BLOB NOT NULL, -- ends, failures, traces
    blobs BLOB, -- NULL if there are none
    payload BLOB NOT NULL
) STRICT;

-- Which inputs have a result is told by this index alone, without a look at the results.
CREATE UNIQUE INDEX outputs_runs ON outputs (call, first, count);
CREATE INDEX outputs_blobs ON outputs (call) WHERE blobs IS NOT NULL;

CREATE TABLE attempts (
    call INTEGER NOT NULL,
    input INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    not_before REAL NOT NULL,
    PRIMARY KEY (call, input)
) STRICT, WITHOUT ROWID;

-- Spans of ended calls that carry the names of blobs, until somebody takes those names to delete the files.
CREATE TABLE leftovers (
    first INTEGER NOT NULL,
    ends BLOB NOT NULL,
    blobs BLOB NOT NULL,
    payload BLOB NOT NULL
) STRICT;

-- Whatever ends a call, its spans and attempts go.
CREATE TRIGGER calls_end AFTER UPDATE OF ended_at ON calls WHEN NEW.ended_at IS NOT NULL BEGIN
    INSERT INTO leftovers
    SELECT first, ends, blobs, payload FROM spans WHERE call = NEW.sequence AND blobs IS NOT NULL;
    DELETE FROM spans WHERE call = NEW.sequence;
    DELETE FROM attempts WHERE call = NEW.sequence;
END;

-- What is behind an input is of interest no longer than the input.
CREATE TRIGGER spans_go AFTER DELETE ON spans BEGIN
    DELETE FROM attempts
    WHERE call = OLD.call AND input >= OLD.first AND input < OLD.first + OLD.count;
END;
