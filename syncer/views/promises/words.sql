-- one_answer_once (instance_history): No answer gave an instance the same transition twice.
-- words_in_order (instance_history): The transitions of one observation stand in the order of the contract.
-- nothing_occurs_after_it_is_seen (instance_history): `occurred_at` is not after `observed_at`.
-- observed_times_are_observed (instance_history): Where `time_source` is `observed`, `occurred_at` is `observed_at`.
-- stated_times_are_the_states (instance_history): Where the upstream stated the time of `deleted` or `expired`, it is the row's own `time_deleted` or `expiration_date`.
-- transitions_are_known (instance_history): Each transition is a word of the contract.
WITH several AS MATERIALIZED (
    SELECT id_instance, run_id FROM instance_history GROUP BY id_instance, run_id HAVING count(*) > 1
),

placed AS MATERIALIZED (
    SELECT
        history.id, history.id_instance, history.run_id,
        CASE history.transition
            WHEN 'created' THEN 1 WHEN 'reappeared' THEN 2 WHEN 'restored' THEN 3 WHEN 'renewed' THEN 4
            WHEN 'extended' THEN 5 WHEN 'changed' THEN 6 WHEN 'token_rotated' THEN 7 WHEN 'expired' THEN 8
            WHEN 'deleted' THEN 9 WHEN 'vanished' THEN 10 WHEN 'purged' THEN 11
        END AS place
    FROM several JOIN instance_history AS history
        ON history.id_instance = several.id_instance AND history.run_id = several.run_id
),

neighbours AS MATERIALIZED (
    SELECT id, place, lag(place) OVER (PARTITION BY id_instance, run_id ORDER BY id) AS place_before FROM placed
),

judged AS (
    SELECT
        id,
        occurred_at > observed_at AS is_ahead,
        time_source = 'observed' AND occurred_at <> observed_at AS is_not_observed,
        time_source = 'upstream' AND occurred_at IS DISTINCT FROM CASE transition
            WHEN 'deleted' THEN time_deleted WHEN 'expired' THEN expiration_date WHEN 'created' THEN occurred_at
        END AS is_not_stated,
        transition NOT IN (
            'created', 'reappeared', 'restored', 'renewed', 'extended', 'changed', 'token_rotated', 'expired',
            'deleted', 'vanished', 'purged'
        ) AS is_unknown
    FROM instance_history
),

suspects AS MATERIALIZED (
    SELECT * FROM judged WHERE is_ahead OR is_not_observed OR is_not_stated OR is_unknown
)

SELECT 'one_answer_once', id FROM neighbours WHERE place = place_before
UNION ALL
SELECT 'words_in_order', id FROM neighbours WHERE place < place_before
UNION ALL
SELECT 'nothing_occurs_after_it_is_seen', id FROM suspects WHERE is_ahead
UNION ALL
SELECT 'observed_times_are_observed', id FROM suspects WHERE is_not_observed
UNION ALL
SELECT 'stated_times_are_the_states', id FROM suspects WHERE is_not_stated
UNION ALL
SELECT 'transitions_are_known', id FROM suspects WHERE is_unknown
