-- Steps into and out of life by day, account, type and tariff, several rows a group: begun, ended, and of the ended
-- those that spared the day's 00:00 by ending at it. An instance whose tariff changes ends in one and begins in the
-- other. created and deleted count transitions.
SELECT
    @day(occurred_at) AS day,
    account,
    type_instance,
    tariff,
    SUM(CASE WHEN transition = 'created' THEN 1 ELSE 0 END) AS begun,
    SUM(CASE WHEN transition <> 'created' THEN 1 ELSE 0 END) AS ended,
    SUM(CASE WHEN transition <> 'created' AND @is_midnight(occurred_at) THEN 1 ELSE 0 END) AS spared,
    SUM(CASE WHEN transition = 'created' THEN 1 ELSE 0 END) AS created,
    SUM(CASE WHEN transition = 'deleted' THEN 1 ELSE 0 END) AS deleted
FROM instance_history
WHERE transition IN ('created', 'deleted', 'vanished')
    AND id_instance NOT IN (SELECT id_instance FROM irregular_instances)
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT @day(occurred_at), account, type_instance, tariff, COUNT(*), 0, 0, 0, 0
FROM instance_history
WHERE @regrouped AND id_instance NOT IN (SELECT id_instance FROM irregular_instances)
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT
    @day(occurred_at),
    account,
    CASE WHEN @has_key(changes, type_instance) THEN @old_value(changes, type_instance) ELSE type_instance END,
    CASE WHEN @has_key(changes, tariff) THEN @old_value(changes, tariff) ELSE tariff END,
    0, COUNT(*), 0, 0, 0
FROM instance_history
WHERE @regrouped AND id_instance NOT IN (SELECT id_instance FROM irregular_instances)
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT @day(live_from), account, type_instance, tariff, COUNT(*), 0, 0, 0, 0
FROM irregular_lives
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT
    @day(live_to),
    account,
    type_instance,
    tariff,
    0,
    COUNT(*),
    SUM(CASE WHEN ended_with IN ('deleted', 'vanished') AND @is_midnight(live_to) THEN 1 ELSE 0 END),
    0,
    0
FROM irregular_lives
WHERE live_to IS NOT NULL
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT
    @day(occurred_at),
    account,
    type_instance,
    tariff,
    0,
    0,
    0,
    SUM(CASE WHEN transition = 'created' THEN 1 ELSE 0 END),
    SUM(CASE WHEN transition = 'deleted' THEN 1 ELSE 0 END)
FROM instance_history
WHERE transition IN ('created', 'deleted') AND id_instance @irregular_ids
GROUP BY 1, 2, 3, 4
