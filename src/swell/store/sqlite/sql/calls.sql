-- Writes of spawned calls: a write batch, in one statement.
--
-- A step of a statement gives the GIL away and must get it back, against an event loop that is busy. So all rows go in at
-- once, as JSON arrays of records and one value with all their bytes; and all statements are those of a trigger, so that a
-- transaction is one step, and Python is needed neither between rows nor between statements.

-- name: create_batches
-- Calls begin before their inputs and results arrive; results are written before spans are deleted.
CREATE TEMP VIEW batches (calls, grown, spans, outputs, attempts, done, ended, bytes) AS
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;

CREATE TEMP TRIGGER batch_written INSTEAD OF INSERT ON batches BEGIN
    -- Calls begin. A known call stays as it is.
    INSERT INTO calls (
        sequence, call_id, function_id, function_name, method, parent, opened_at, accepted, sealed
    )
    SELECT
        value ->> 'sequence',
        value ->> 'call_id',
        value ->> 'function_id',
        value ->> 'function_name',
        value ->> 'method',
        value ->> 'parent',
        value ->> 'opened_at',
        value ->> 'accepted',
        value ->> 'sealed'
    FROM jsonb_each(NEW.calls)
    WHERE true -- without it, ON would be read as that of a join
    ON CONFLICT DO NOTHING;

    -- Inputs of calls are accepted.
    UPDATE calls
    SET accepted = row.value ->> 'accepted', sealed = row.value ->> 'sealed'
    FROM jsonb_each(NEW.grown) AS row
    WHERE calls.call_id = row.value ->> 'call_id' AND calls.ended_at IS NULL;

    -- Inputs. A row tells where its bytes lie in NEW.bytes: from `at` on, so many of each kind.
    INSERT OR IGNORE INTO spans (call, first, count, ends, blobs, payload)
    SELECT
        calls.sequence,
        row.value ->> 'first',
        row.value ->> 'count',
        substr(NEW.bytes, row.value ->> 'at', row.value ->> 'shape'),
        nullif(substr(NEW.bytes, (row.value ->> 'at') + (row.value ->> 'shape'), row.value ->> 'blobs'), x''),
        substr(
            NEW.bytes, (row.value ->> 'at') + (row.value ->> 'shape') + (row.value ->> 'blobs'), row.value ->> 'payload'
        )
    FROM jsonb_each(NEW.spans) AS row
    CROSS JOIN calls ON calls.call_id = row.value ->> 'call_id'
    WHERE calls.ended_at IS NULL;

    -- An input has a result already: nothing of the batch is written, and the writer finds which are new. Recorded runs do
    -- not overlap; so if any reaches into a new one, it is the last one that begins before the new one's end.
    SELECT raise(ABORT, 'overlap')
    FROM jsonb_each(NEW.outputs) AS row
    CROSS JOIN calls ON calls.call_id = row.value ->> 'call_id'
    WHERE calls.ended_at IS NULL
    AND (
        SELECT outputs.first + outputs.count
        FROM outputs
        WHERE outputs.call = calls.sequence
        AND outputs.first < (row.value ->> 'first') + (row.value ->> 'count')
        ORDER BY outputs.first DESC
        LIMIT 1
    ) > row.value ->> 'first';

    -- Results, likewise.
    INSERT INTO outputs (call, first, count, shape, blobs, payload)
    SELECT
        calls.sequence,
        row.value ->> 'first',
        row.value ->> 'count',
        substr(NEW.bytes, row.value ->> 'at', row.value ->> 'shape'),
        nullif(substr(NEW.bytes, (row.value ->> 'at') + (row.value ->> 'shape'), row.value ->> 'blobs'), x''),
        substr(
            NEW.bytes, (row.value ->> 'at') + (row.value ->> 'shape') + (row.value ->> 'blobs'), row.value ->> 'payload'
        )
    FROM jsonb_each(NEW.outputs) AS row
    CROSS JOIN calls ON calls.call_id = row.value ->> 'call_id'
    WHERE calls.ended_at IS NULL;

    -- Attempts of inputs that have not ended.
    INSERT INTO attempts (call, input, failures, crashes, not_before)
    SELECT
        calls.sequence,
        row.value ->> 'index',
        row.value ->> 'failures',
        row.value ->> 'crashes',
        row.value ->> 'not_before'
    FROM jsonb_each(NEW.attempts) AS row
    CROSS JOIN calls ON calls.call_id = row.value ->> 'call_id'
    WHERE calls.ended_at IS NULL
    ON CONFLICT DO UPDATE SET
        failures = excluded.failures, crashes = excluded.crashes, not_before = excluded.not_before;

    -- Inputs of spans have their results.
    DELETE FROM spans
    WHERE rowid IN (
        SELECT spans.rowid
        FROM jsonb_each(NEW.done) AS row
        CROSS JOIN calls ON calls.call_id = row.value ->> 0
        CROSS JOIN spans ON spans.call = calls.sequence AND spans.first = row.value ->> 1
    );

    -- Calls end, every input with a result.
    UPDATE calls
    SET accepted = row.value ->> 'num_inputs', sealed = true, ended_at = row.value ->> 'ended_at'
    FROM jsonb_each(NEW.ended) AS row
    WHERE calls.call_id = row.value ->> 'call_id' AND calls.ended_at IS NULL;
END;

-- name: write_batch
INSERT INTO batches VALUES (:calls, :grown, :spans, :outputs, :attempts, :done, :ended, :bytes);

-- name: create_spawns
-- A call that begins with all of its inputs, in one row: what is written most. The same as `batch_written` does with it, in
-- half the time, since nothing is JSON.
CREATE TEMP VIEW spawns (
    sequence, call_id, function_id, function_name, method, parent, opened_at, accepted, sealed,
    first, count, ends, blobs, payload
) AS
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;

CREATE TEMP TRIGGER spawn_written INSTEAD OF INSERT ON spawns BEGIN
    INSERT INTO calls (
        sequence, call_id, function_id, function_name, method, parent, opened_at, accepted, sealed
    )
    VALUES (
        NEW.sequence, NEW.call_id, NEW.function_id, NEW.function_name, NEW.method, NEW.parent, NEW.opened_at,
        NEW.accepted, NEW.sealed
    )
    ON CONFLICT DO NOTHING;

    INSERT OR IGNORE INTO spans (call, first, count, ends, blobs, payload)
    SELECT calls.sequence, NEW.first, NEW.count, NEW.ends, NEW.blobs, NEW.payload
    FROM calls
    WHERE calls.call_id = NEW.call_id AND calls.ended_at IS NULL;
END;

-- name: write_spawn
INSERT INTO spawns VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: cancel_calls_of
-- Calls of functions end: inputs without a result get the text as theirs.
UPDATE calls
SET sealed = true, ended_at = :ended_at, terminated = :text
WHERE function_id IN (SELECT value FROM json_each(:function_ids)) AND ended_at IS NULL;

-- name: cancel_calls_of_no_function
-- The same for calls of functions that are not recorded.
UPDATE calls
SET sealed = true, ended_at = :ended_at, terminated = :text
WHERE ended_at IS NULL
AND NOT EXISTS (SELECT 1 FROM functions WHERE functions.function_id = calls.function_id);

-- name: note_frame
UPDATE journal SET written = :frame;
