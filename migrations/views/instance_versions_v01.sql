-- One row per version of an instance: its state from valid_from until valid_to (NULL: now), without gap or overlap.
-- A version begins when its transition occurred; the first one at the instance's creation.
-- History rows hold the state after a whole observation: a deletion or expiry that the same observation dates later
-- is taken back from the versions before it, so that an instance first seen deleted is shown alive while it lived.
SELECT
    id_instance,
    account,
    name,
    type_instance,
    messenger,
    tariff,
    is_free,
    is_partner,
    CASE WHEN deleted_at > occurred_at THEN NULL ELSE time_deleted END AS time_deleted,
    CASE WHEN deleted_at > occurred_at THEN FALSE ELSE deleted END AS deleted,
    expiration_date,
    CASE WHEN expired_at > occurred_at THEN FALSE ELSE is_expired END AS is_expired,
    missing,
    valid_from,
    valid_to
FROM (
    SELECT
        begun.*,
        LEAD(valid_from) OVER (
            PARTITION BY id_instance ORDER BY observation, transition <> 'created', occurred_at, id
        ) AS valid_to
    FROM (
        SELECT
            observed.*,
            MAX(occurred_at) OVER (
                PARTITION BY id_instance ORDER BY observation, transition <> 'created', occurred_at, id
                ROWS UNBOUNDED PRECEDING
            ) AS valid_from
        FROM (
            SELECT
                instance_history.*,
                MIN(id) OVER observation AS observation,
                MAX(CASE WHEN transition = 'deleted' THEN occurred_at END) OVER observation AS deleted_at,
                MAX(CASE WHEN transition = 'expired' THEN occurred_at END) OVER observation AS expired_at
            FROM instance_history
            WINDOW observation AS (PARTITION BY id_instance, run_id)
        ) AS observed
    ) AS begun
) AS versions
WHERE valid_to IS NULL OR valid_to > valid_from
