-- gone_and_reappeared_alternate (instance_history): Within an instance, `vanished` or `purged` and `reappeared` follow one another in turn.
-- nothing_happens_while_gone (instance_history): Between `vanished` or `purged` and `reappeared` an instance has no history.
-- missing_is_told (instance_history): `missing` is true in rows of `vanished` and `purged`, and in no others.
-- purged_was_deleted (instance_history): A deleted instance is `purged` and any other `vanished`, never the other way round.
WITH moves AS MATERIALIZED (
    SELECT
        id, id_instance, transition = 'reappeared' AS is_back,
        lag(transition) OVER life = 'reappeared' AS was_back,
        lead(id) OVER life AS next_id
    FROM instance_history
    WHERE transition IN ('vanished', 'purged', 'reappeared')
    WINDOW life AS (PARTITION BY id_instance ORDER BY id)
)

SELECT 'gone_and_reappeared_alternate', id FROM moves WHERE coalesce(was_back, TRUE) = is_back
UNION ALL
SELECT 'nothing_happens_while_gone', history.id
FROM moves JOIN instance_history AS history
    ON history.id_instance = moves.id_instance AND history.id > moves.id
    AND (moves.next_id IS NULL OR history.id < moves.next_id)
WHERE NOT moves.is_back
UNION ALL
SELECT 'missing_is_told', id FROM instance_history WHERE missing <> (transition IN ('vanished', 'purged'))
UNION ALL
SELECT 'purged_was_deleted', id FROM instance_history
WHERE transition IN ('vanished', 'purged') AND deleted <> (transition = 'purged')
