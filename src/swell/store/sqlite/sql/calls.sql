-- What is written of spawned calls. Each statement takes many rows at once, as a JSON array of records: a step of a
-- statement gives the GIL away and waits for it again, so that a step for each row would cost more than the row.

-- name: insert_calls
-- Calls begin. One that is known already stays as it is.
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
FROM json_each(:rows)
WHERE true -- without it, ON would be read as that of a join
ON CONFLICT DO NOTHING;

-- name: grow_calls
-- Inputs of calls are accepted.
UPDATE calls
SET accepted = row.value ->> 'accepted', sealed = row.value ->> 'sealed'
FROM json_each(:rows) AS row
WHERE calls.call_id = row.value ->> 'call_id' AND calls.ended_at IS NULL;

-- name: insert_spans
-- Inputs. A row tells where its bytes lie in :bytes: from `at` on, so many of each kind.
INSERT OR IGNORE INTO spans (call, first, count, ends, blobs, payload)
SELECT
    calls.sequence,
    row.value ->> 'first',
    row.value ->> 'count',
    substr(:bytes, row.value ->> 'at', row.value ->> 'shape'),
    nullif(substr(:bytes, (row.value ->> 'at') + (row.value ->> 'shape'), row.value ->> 'blobs'), x''),
    substr(
        :bytes, (row.value ->> 'at') + (row.value ->> 'shape') + (row.value ->> 'blobs'), row.value ->> 'payload'
    )
FROM json_each(:rows) AS row
CROSS JOIN calls ON calls.call_id = row.value ->> 'call_id'
WHERE calls.ended_at IS NULL;

-- name: delete_spans
-- Inputs of spans have their results.
DELETE FROM spans
WHERE rowid IN (
    SELECT spans.rowid
    FROM json_each(:rows) AS row
    CROSS JOIN calls ON calls.call_id = row.value ->> 0
    CROSS JOIN spans ON spans.call = calls.sequence AND spans.first = row.value ->> 1
);

-- name: insert_outputs
-- Results; bytes as above. A run is left out if the last recorded one that begins before its end reaches into it:
-- recorded runs do not overlap, so that no other could.
INSERT INTO outputs (call, first, count, shape, blobs, payload)
SELECT
    calls.sequence,
    row.value ->> 'first',
    row.value ->> 'count',
    substr(:bytes, row.value ->> 'at', row.value ->> 'shape'),
    nullif(substr(:bytes, (row.value ->> 'at') + (row.value ->> 'shape'), row.value ->> 'blobs'), x''),
    substr(
        :bytes, (row.value ->> 'at') + (row.value ->> 'shape') + (row.value ->> 'blobs'), row.value ->> 'payload'
    )
FROM json_each(:rows) AS row
CROSS JOIN calls ON calls.call_id = row.value ->> 'call_id'
WHERE calls.ended_at IS NULL
AND coalesce(
    (
        SELECT outputs.first + outputs.count <= row.value ->> 'first'
        FROM outputs
        WHERE outputs.call = calls.sequence
        AND outputs.first < (row.value ->> 'first') + (row.value ->> 'count')
        ORDER BY outputs.first DESC
        LIMIT 1
    ),
    true
);

-- name: upsert_attempts
-- What is behind inputs that have not ended.
INSERT INTO attempts (call, input, failures, crashes, not_before)
SELECT
    calls.sequence,
    row.value ->> 'index',
    row.value ->> 'failures',
    row.value ->> 'crashes',
    row.value ->> 'not_before'
FROM json_each(:rows) AS row
CROSS JOIN calls ON calls.call_id = row.value ->> 'call_id'
WHERE calls.ended_at IS NULL
ON CONFLICT DO UPDATE SET
    failures = excluded.failures, crashes = excluded.crashes, not_before = excluded.not_before;

-- name: end_calls
-- Calls end, every input with a result.
UPDATE calls
SET accepted = row.value ->> 'num_inputs', sealed = true, ended_at = row.value ->> 'ended_at'
FROM json_each(:rows) AS row
WHERE calls.call_id = row.value ->> 'call_id' AND calls.ended_at IS NULL;

-- name: cancel_calls_of
-- Calls of functions end: what has no result has the text instead.
UPDATE calls
SET sealed = true, ended_at = :ended_at, terminated = :text
WHERE function_id IN (SELECT value FROM json_each(:function_ids)) AND ended_at IS NULL;

-- name: cancel_calls_of_no_function
-- The same for calls of functions that are not recorded.
UPDATE calls
SET sealed = true, ended_at = :ended_at, terminated = :text
WHERE ended_at IS NULL
AND NOT EXISTS (SELECT 1 FROM functions WHERE functions.function_id = calls.function_id);
