-- expired_and_renewed_alternate (instance_history): Within an instance, `expired` and `renewed` follow one another in turn, `expired` first.
-- expiry_is_told (instance_history): `is_expired` is as the last `expired` or `renewed` says in each row of the history.
WITH moves AS MATERIALIZED (
    SELECT
        id, id_instance, transition,
        lag(transition) OVER life AS transition_before,
        (
            SELECT min(same.id) FROM instance_history AS same
            WHERE same.id_instance = instance_history.id_instance AND same.run_id = instance_history.run_id
        ) AS first_id
    FROM instance_history
    WHERE transition IN ('expired', 'renewed')
    WINDOW life AS (PARTITION BY id_instance ORDER BY id)
),

stretches AS (
    SELECT
        id_instance, transition, first_id,
        lead(first_id) OVER (PARTITION BY id_instance ORDER BY first_id) AS next_first_id
    FROM moves
)

SELECT 'expired_and_renewed_alternate', id FROM moves WHERE coalesce(transition_before, 'renewed') = transition
UNION ALL
SELECT 'expiry_is_told', history.id
FROM stretches JOIN instance_history AS history
    ON history.id_instance = stretches.id_instance AND history.id >= stretches.first_id
    AND (stretches.next_first_id IS NULL OR history.id < stretches.next_first_id)
WHERE history.is_expired <> (stretches.transition = 'expired')
UNION ALL
SELECT 'expiry_is_told', history.id
FROM instance_history AS history
WHERE history.is_expired AND NOT EXISTS (
    SELECT 1 FROM instance_history AS earlier
    WHERE earlier.id_instance = history.id_instance
        AND (earlier.id < history.id OR earlier.run_id = history.run_id)
        AND earlier.transition = 'expired'
)
