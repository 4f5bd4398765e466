-- Expiry of calls, containers and apps that ended long ago: in steps, since other jobs wait for the writer.

-- name: old_calls
-- Calls whose results are to be dropped.
SELECT sequence FROM calls WHERE ended_at < :ended_before AND NOT expired ORDER BY ended_at LIMIT :calls_max;

-- name: outputs_with_blobs
-- Results of those calls whose bytes name blobs.
SELECT outputs.rowid, outputs.first, outputs.count, outputs.shape, outputs.blobs, outputs.payload
FROM json_each(:calls) AS old
CROSS JOIN outputs ON outputs.call = old.value AND outputs.blobs IS NOT NULL
LIMIT :rows_max;

-- name: delete_outputs_with_blobs
DELETE FROM outputs WHERE rowid IN (SELECT value FROM json_each(:rowids));

-- name: delete_outputs
-- All other results of those calls.
DELETE FROM outputs
WHERE rowid IN (
    SELECT outputs.rowid
    FROM json_each(:calls) AS old
    CROSS JOIN outputs ON outputs.call = old.value
    LIMIT :rows_max
);

-- name: expire_calls
UPDATE calls SET expired = true WHERE sequence IN (SELECT value FROM json_each(:calls));

-- name: leftovers
-- Inputs whose bytes name blobs, of calls that ended before those ran.
SELECT rowid, first, ends, blobs, payload FROM leftovers LIMIT :rows_max;

-- name: delete_leftovers
DELETE FROM leftovers WHERE rowid IN (SELECT value FROM json_each(:rowids));

-- name: forgettable_calls
SELECT sequence FROM calls WHERE ended_at < :ended_before AND expired ORDER BY ended_at LIMIT :calls_max;

-- name: note_forgotten
-- The sequence of a forgotten call must not be given to another.
UPDATE forgotten SET sequence = :sequence WHERE sequence < :sequence;

-- name: forget_calls
DELETE FROM calls WHERE sequence IN (SELECT value FROM json_each(:calls));

-- name: forget_containers
-- Containers that ended before a time, and all but the latest :kept_max.
DELETE FROM containers
WHERE rowid IN (SELECT rowid FROM containers WHERE ended_at < :ended_before LIMIT :rows_max)
OR rowid IN (
    SELECT rowid FROM containers WHERE rowid <= (SELECT max(rowid) FROM containers) - :kept_max LIMIT :rows_max
);

-- name: forgettable_apps
-- Apps that were stopped before a time, and are finished.
SELECT app_id FROM apps
WHERE stopped_at < :ended_before
AND NOT EXISTS (SELECT 1 FROM functions WHERE functions.app_id = apps.app_id);

-- name: forget_bundles
-- Bundles that only versions of this app use.
DELETE FROM bundles
WHERE digest IN (
    SELECT bundle FROM deployments AS mine
    WHERE mine.app_id = :app_id
    AND NOT EXISTS (
        SELECT 1 FROM deployments AS other WHERE other.bundle = mine.bundle AND other.app_id <> mine.app_id
    )
);

-- name: forget_deployments
DELETE FROM deployments WHERE app_id = :app_id;

-- name: forget_app
DELETE FROM apps WHERE app_id = :app_id;
