-- Of the irregular instances: one row per stretch of life under one account, type and tariff; live_to is NULL while it
-- lives. A stretch begins where the instance was created, restored or seen again, or seen with another account, type
-- or tariff; it ends where the next one begins, where the instance was deleted, or where it was missed.
-- The upstream may tell a deletion late: it ends every stretch since the deletion before it, and what was seen to begin
-- after it had occurred was no life.
SELECT
    id_instance,
    account,
    type_instance,
    tariff,
    began_with,
    live_from,
    CASE WHEN deleted_at <= live_to THEN 'deleted' ELSE ended_with END AS ended_with,
    CASE WHEN deleted_at <= live_to THEN deleted_at ELSE live_to END AS live_to,
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
        FIRST_VALUE(account) OVER life AS created_account,
        MAX(CASE WHEN transition = 'deleted' THEN occurred_at END) OVER (
            PARTITION BY id_instance, deletions_to_come
        ) AS deleted_at
    FROM (
        SELECT
            id,
            id_instance,
            account,
            type_instance,
            tariff,
            transition,
            occurred_at,
            COUNT(CASE WHEN transition = 'deleted' THEN 1 END) OVER (
                PARTITION BY id_instance ORDER BY id DESC
            ) AS deletions_to_come
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
    ) AS counted
    WINDOW life AS (PARTITION BY id_instance ORDER BY id)
) AS steps
WHERE began_with NOT IN ('deleted', 'vanished')
    AND (live_to IS NULL OR live_to > live_from)
    AND (deleted_at IS NULL OR deleted_at > live_from)
