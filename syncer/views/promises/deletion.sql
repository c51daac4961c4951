-- deleted_and_restored_alternate (instance_history): Within an instance, `deleted` and `restored` follow one another in turn, `deleted` first.
-- deletion_is_told (instance_history): `deleted` is as the last `deleted` or `restored` says in each row of the history.
WITH moves AS MATERIALIZED (
    SELECT
        id, id_instance, transition,
        lag(transition) OVER life AS transition_before,
        (
            SELECT min(same.id) FROM instance_history AS same
            WHERE same.id_instance = instance_history.id_instance AND same.run_id = instance_history.run_id
        ) AS first_id
    FROM instance_history
    WHERE transition IN ('deleted', 'restored')
    WINDOW life AS (PARTITION BY id_instance ORDER BY id)
),

stretches AS (
    SELECT
        id_instance, transition, first_id,
        lead(first_id) OVER (PARTITION BY id_instance ORDER BY first_id) AS next_first_id
    FROM moves
)

SELECT 'deleted_and_restored_alternate', id FROM moves WHERE coalesce(transition_before, 'restored') = transition
UNION ALL
SELECT 'deletion_is_told', history.id
FROM stretches JOIN instance_history AS history
    ON history.id_instance = stretches.id_instance AND history.id >= stretches.first_id
    AND (stretches.next_first_id IS NULL OR history.id < stretches.next_first_id)
WHERE history.deleted <> (stretches.transition = 'deleted')
UNION ALL
SELECT 'deletion_is_told', history.id
FROM instance_history AS history
WHERE history.deleted AND NOT EXISTS (
    SELECT 1 FROM instance_history AS earlier
    WHERE earlier.id_instance = history.id_instance
        AND (earlier.id < history.id OR earlier.run_id = history.run_id)
        AND earlier.transition = 'deleted'
)
