-- What becomes of calls, containers and apps that ended long ago.

-- name: outputs_with_blobs
-- Results to drop whose bytes name blobs.
SELECT outputs.first, outputs.count, outputs.shape, outputs.blobs, outputs.payload
FROM calls
CROSS JOIN outputs ON outputs.call = calls.sequence AND outputs.blobs IS NOT NULL
WHERE calls.ended_at < :ended_before AND NOT calls.expired;

-- name: leftovers
-- Inputs whose bytes name blobs, of calls that ended before they were needed.
SELECT first, ends, blobs, payload FROM leftovers;

-- name: delete_leftovers
DELETE FROM leftovers;

-- name: delete_outputs
DELETE FROM outputs
WHERE call IN (SELECT sequence FROM calls WHERE ended_at < :ended_before AND NOT expired);

-- name: expire_calls
UPDATE calls SET expired = true WHERE ended_at < :ended_before AND NOT expired;

-- name: note_forgotten
-- Their numbers must not be given to others.
UPDATE forgotten
SET sequence = max(sequence, coalesce((SELECT max(calls.sequence) FROM calls WHERE expired), 0));

-- name: forget_calls
DELETE FROM calls WHERE ended_at < :ended_before AND expired;

-- name: forget_containers
DELETE FROM containers WHERE ended_at < :ended_before;

-- name: forgettable_apps
-- Apps that were stopped before a time, and are finished.
SELECT app_id FROM apps
WHERE stopped_at < :ended_before
AND NOT EXISTS (SELECT 1 FROM functions WHERE functions.app_id = apps.app_id);

-- name: forget_bundles
-- Source files that only versions of this app have.
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
