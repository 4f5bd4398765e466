-- Durable apps: versions, bundles, functions and stopped containers. They change seldom: a row at a time.

-- name: put_app
INSERT INTO apps (app_id, version, created_at, stopped_at, record)
VALUES (:app_id, :version, :created_at, :stopped_at, :record)
ON CONFLICT (app_id) DO UPDATE SET
    version = excluded.version, created_at = excluded.created_at, stopped_at = excluded.stopped_at,
    record = excluded.record;

-- name: put_deployment
INSERT INTO deployments (app_id, version, bundle, record)
VALUES (:app_id, :version, :bundle, :record)
ON CONFLICT DO NOTHING;

-- name: put_bundle
INSERT INTO bundles (digest, data) VALUES (:digest, :data)
ON CONFLICT DO NOTHING;

-- name: put_function
INSERT INTO functions (function_id, app_id, version, record)
VALUES (:function_id, :app_id, :version, :record)
ON CONFLICT (function_id) DO UPDATE SET
    app_id = excluded.app_id, version = excluded.version, record = excluded.record;

-- name: delete_function
DELETE FROM functions WHERE function_id = :function_id;

-- name: put_container
INSERT OR REPLACE INTO containers (container_id, app_id, ended_at, record)
VALUES (:container_id, :app_id, :ended_at, :record);

-- name: live_apps
SELECT record FROM apps WHERE stopped_at IS NULL ORDER BY rowid;

-- name: needed_deployments
-- Live versions, and the versions of recorded functions.
SELECT record FROM deployments
WHERE EXISTS (
    SELECT 1 FROM apps
    WHERE apps.app_id = deployments.app_id AND apps.version = deployments.version AND apps.stopped_at IS NULL
)
OR EXISTS (
    SELECT 1 FROM functions
    WHERE functions.app_id = deployments.app_id AND functions.version = deployments.version
)
ORDER BY app_id, version;

-- name: functions
SELECT record FROM functions ORDER BY rowid;

-- name: apps
SELECT record FROM apps ORDER BY created_at DESC, rowid DESC;

-- name: deployments
SELECT record FROM deployments WHERE app_id = :app_id ORDER BY version DESC;

-- name: deployment
SELECT record FROM deployments WHERE app_id = :app_id AND version = :version;

-- name: bundle
SELECT data FROM bundles WHERE digest = :digest;

-- name: containers
SELECT record FROM containers ORDER BY ended_at DESC, rowid DESC LIMIT :latest;

-- name: containers_of_app
SELECT record FROM containers WHERE app_id = :app_id ORDER BY ended_at DESC, rowid DESC LIMIT :latest;

-- name: container
SELECT record FROM containers WHERE container_id = :container_id;
