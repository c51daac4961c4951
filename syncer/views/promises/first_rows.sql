-- history_starts_with_created (instance_history): The first row of an instance's history is `created`, and there is only one.
-- no_instance_without_history (instances): Each instance has a history.
-- no_history_without_instance (instance_history): Each history row's instance is there.
-- first_sight_agrees (instances): `first_seen_at` is the moment at which `created` was observed.
-- previous_observation_only_later (instance_history): `previous_observed_at` is empty at first sight, and only then.
WITH lives AS (
    SELECT id_instance, min(id) AS first_id FROM instance_history GROUP BY id_instance
)

SELECT 'history_starts_with_created', history.id
FROM lives JOIN instance_history AS history ON history.id = lives.first_id
WHERE history.transition <> 'created'
UNION ALL
SELECT 'history_starts_with_created', min(id)
FROM instance_history WHERE transition = 'created' GROUP BY id_instance HAVING count(*) > 1
UNION ALL
SELECT 'no_instance_without_history', instances.id_instance
FROM instances LEFT JOIN lives ON lives.id_instance = instances.id_instance
WHERE lives.first_id IS NULL
UNION ALL
SELECT 'no_history_without_instance', lives.first_id
FROM lives LEFT JOIN instances ON instances.id_instance = lives.id_instance
WHERE instances.id_instance IS NULL
UNION ALL
SELECT 'first_sight_agrees', instances.id_instance
FROM instances JOIN instance_history AS created
    ON created.id_instance = instances.id_instance AND created.transition = 'created'
WHERE created.observed_at <> instances.first_seen_at
UNION ALL
SELECT 'previous_observation_only_later', history.id
FROM instance_history AS history
WHERE history.previous_observed_at IS NULL AND history.transition <> 'created' AND NOT EXISTS (
    SELECT 1 FROM instance_history AS created
    WHERE created.id_instance = history.id_instance AND created.run_id = history.run_id
        AND created.transition = 'created'
)
UNION ALL
SELECT 'previous_observation_only_later', history.id
FROM instance_history AS created
JOIN instance_history AS history
    ON history.id_instance = created.id_instance AND history.run_id = created.run_id
WHERE created.transition = 'created' AND history.previous_observed_at IS NOT NULL
