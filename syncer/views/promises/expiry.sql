-- expired_and_renewed_alternate (instance_history): Within an instance, `expired` and `renewed` follow one another in turn, `expired` first.
-- expiry_is_told (instance_history): `is_expired` is as the last `expired` or `renewed` says in each row of the history.
WITH moves AS MATERIALIZED (
    SELECT
        id, id_instance, run_id, transition,
        lag(transition) OVER life AS transition_before,
        lead(run_id) OVER life AS next_run_id
    FROM instance_history
    WHERE transition IN ('expired', 'renewed')
    WINDOW life AS (PARTITION BY id_instance ORDER BY id)
)

SELECT 'expired_and_renewed_alternate', id FROM moves WHERE coalesce(transition_before, 'renewed') = transition
UNION ALL
SELECT 'expiry_is_told', history.id
FROM moves JOIN instance_history AS history
    ON history.id_instance = moves.id_instance AND history.run_id >= moves.run_id
    AND (moves.next_run_id IS NULL OR history.run_id < moves.next_run_id)
WHERE history.is_expired <> (moves.transition = 'expired')
UNION ALL
SELECT 'expiry_is_told', history.id
FROM instance_history AS history
WHERE history.is_expired AND NOT EXISTS (
    SELECT 1 FROM instance_history AS earlier
    WHERE earlier.id_instance = history.id_instance AND earlier.run_id <= history.run_id
        AND earlier.transition = 'expired'
)
