-- Of the irregular instances: one row per stretch of life under one account, type and tariff; live_to is NULL while it
-- lives. A stretch begins where the instance was created, restored or seen again, or seen with another account, type
-- or tariff; it ends where the next one begins, where the instance was deleted, or where it was missed.
SELECT
    id_instance,
    account,
    type_instance,
    tariff,
    began_with,
    live_from,
    ended_with,
    live_to,
    created_at,
    created_account
FROM (
    SELECT
        id_instance,
        account,
        type_instance,
        tariff,
        transition AS began_with,
        occurred_at AS live_from,
        LEAD(transition) OVER life AS ended_with,
        LEAD(occurred_at) OVER life AS live_to,
        FIRST_VALUE(occurred_at) OVER life AS created_at,
        FIRST_VALUE(account) OVER life AS created_account
    FROM instance_history
    WHERE id_instance @irregular_ids
        AND (
            transition IN ('created', 'restored', 'deleted', 'vanished')
            OR (transition = 'reappeared' AND NOT deleted)
            OR (
                transition = 'changed' AND NOT deleted
                AND (@has_key(changes, account) OR @has_key(changes, type_instance) OR @has_key(changes, tariff))
            )
        )
    WINDOW life AS (PARTITION BY id_instance ORDER BY id)
) AS steps
WHERE began_with NOT IN ('deleted', 'vanished') AND (live_to IS NULL OR live_to > live_from)
