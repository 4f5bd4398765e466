-- Reads of spawned calls.

-- name: call
-- A call as its records describe it. Finished inputs are counted only while the call goes on.
SELECT
    call_id, sequence, function_id, function_name, method, parent, opened_at, accepted, sealed,
    iif(ended_at IS NULL, (SELECT coalesce(sum(count), 0) FROM outputs WHERE call = sequence), 0),
    ended_at, expired
FROM calls
WHERE call_id = :call_id;

-- name: call_place
-- What reads of parts of a call need.
SELECT sequence, accepted, terminated, expired FROM calls WHERE call_id = :call_id;

-- name: outputs
-- The runs that overlap inputs first..last-1.
SELECT first, count, shape, blobs, payload
FROM outputs
WHERE call = :call
AND first >= coalesce((SELECT max(first) FROM outputs WHERE call = :call AND first <= :first), :first)
AND first < :last
ORDER BY first;

-- name: runs_within
-- The runs, without their results, that overlap inputs first..last-1 of a call.
SELECT outputs.first, outputs.count
FROM calls
CROSS JOIN outputs ON outputs.call = calls.sequence
WHERE calls.call_id = :call_id
AND outputs.first >= coalesce(
    (SELECT max(first) FROM outputs WHERE call = calls.sequence AND first <= :first), :first
)
AND outputs.first < :last
ORDER BY outputs.first;

-- name: spans
-- The spans of a call from an input on.
SELECT first, ends, blobs, payload
FROM spans
WHERE call = :call AND first >= :first
ORDER BY first;

-- name: runs
-- The runs of results from the first span on that begins at an input or later. Earlier runs need not be read: inputs
-- outside every span are done, and there may be very many.
WITH begin AS (SELECT min(first) AS span FROM spans WHERE call = :call AND first >= :first)
SELECT first, count
FROM outputs
WHERE call = :call
AND first >= (
    SELECT coalesce((SELECT max(first) FROM outputs WHERE call = :call AND first <= begin.span), begin.span) FROM begin
)
ORDER BY first;

-- name: attempts
-- Attempts of inputs without a result, of some calls.
SELECT calls.call_id, attempts.input, attempts.failures, attempts.crashes, attempts.not_before
FROM json_each(:sequences) AS wanted
CROSS JOIN attempts ON attempts.call = wanted.value
CROSS JOIN calls ON calls.sequence = attempts.call
WHERE attempts.input >= coalesce(
    (
        SELECT first + count
        FROM outputs
        WHERE outputs.call = attempts.call AND outputs.first <= attempts.input
        ORDER BY outputs.first DESC
        LIMIT 1
    ),
    0
)
ORDER BY attempts.call, attempts.input;

-- name: calls_going_on
-- The calls of a function that have not ended, by sequence, each with its spans. A call without any has one row of NULL.
SELECT
    calls.call_id, calls.sequence, calls.function_id, calls.function_name, calls.method, calls.parent, calls.opened_at,
    calls.accepted, calls.sealed,
    (SELECT coalesce(sum(count), 0) FROM outputs WHERE outputs.call = calls.sequence),
    spans.first, spans.ends, spans.blobs, spans.payload
FROM calls
LEFT JOIN spans ON spans.call = calls.sequence
WHERE calls.function_id = :function_id AND calls.ended_at IS NULL AND calls.sequence > :after
ORDER BY calls.sequence, spans.first;

-- name: waiting
-- By function: calls that have not ended, and their inputs without a result.
SELECT
    function_id,
    count(*),
    sum(accepted - coalesce((SELECT sum(outputs.count) FROM outputs WHERE outputs.call = calls.sequence), 0))
FROM calls
WHERE ended_at IS NULL
GROUP BY function_id
ORDER BY function_id;

-- name: last_sequence
-- The highest sequence ever given to a call.
SELECT max(coalesce((SELECT max(sequence) FROM calls), 0), (SELECT sequence FROM forgotten));

-- name: journal
SELECT written, identity FROM journal;
