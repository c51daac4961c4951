-- One row per instance that was ever seen. Days are calendar days at UTC+3.
-- billable_days: one for the creation, and one for every 00:00 at which it existed and was not deleted, until now.
SELECT
    instances.id_instance,
    instances.account,
    instances.name,
    instances.type_instance,
    instances.messenger,
    instances.tariff,
    CASE
        WHEN instances.missing_since IS NOT NULL AND instances.deleted THEN 'purged'
        WHEN instances.missing_since IS NOT NULL THEN 'vanished'
        WHEN instances.deleted THEN 'deleted'
        WHEN instances.is_expired THEN 'expired'
        ELSE 'active'
    END AS status,
    instances.is_partner,
    instances.is_free,
    instances.time_created,
    instances.time_deleted,
    instances.expiration_date,
    @days_between(@today, @day(instances.expiration_date)) AS days_to_expiration,
    CASE
        WHEN @day(ended_at) < first_day THEN 0
        ELSE @days_between(first_day, COALESCE(@day(ended_at), @today))
    END AS age_days,
    CAST(
        1 + CASE
            WHEN irregular.id_instance IS NOT NULL THEN irregular.midnights
            WHEN @day(ended_at) <= first_day THEN 0
            WHEN ended_at IS NULL THEN @days_between(first_day, @today)
            WHEN @is_midnight(ended_at) THEN @days_between(first_day, @day_before(@day(ended_at)))
            ELSE @days_between(first_day, @day(ended_at))
        END AS BIGINT
    ) AS billable_days,
    instances.renewed_at,
    instances.first_seen_at,
    CASE
        WHEN instances.missing_since IS NULL THEN COALESCE(accounts.last_accepted_at, instances.changed_at)
        ELSE (
            SELECT MAX(instance_history.previous_observed_at)
            FROM instance_history
            WHERE instance_history.id_instance = instances.id_instance
                AND instance_history.transition IN ('vanished', 'purged')
        )
    END AS last_seen_at,
    instances.changed_at,
    instances.missing_since
FROM (
    SELECT
        instances.id_instance,
        instances.account,
        instances.name,
        instances.type_instance,
        instances.messenger,
        instances.tariff,
        instances.deleted,
        instances.is_expired,
        instances.is_partner,
        instances.is_free,
        instances.time_created,
        instances.time_deleted,
        instances.expiration_date,
        instances.renewed_at,
        instances.first_seen_at,
        instances.changed_at,
        instances.missing_since,
        @day(CASE WHEN time_created <= first_seen_at THEN time_created ELSE first_seen_at END) AS first_day,
        CASE
            WHEN NOT deleted THEN missing_since
            WHEN deletions.n = 1 THEN deletions.occurred_at
            ELSE (
                SELECT instance_history.occurred_at
                FROM instance_history
                WHERE instance_history.id_instance = instances.id_instance AND instance_history.transition = 'deleted'
                ORDER BY instance_history.id DESC
                LIMIT 1
            )
        END AS ended_at
    FROM instances
    LEFT JOIN (
        -- nearly always one; of several the last told counts, which need not be the last that occurred
        SELECT id_instance, MAX(occurred_at) AS occurred_at, COUNT(*) AS n
        FROM instance_history
        WHERE transition = 'deleted'
        GROUP BY id_instance
    ) AS deletions ON deletions.id_instance = instances.id_instance
) AS instances
JOIN accounts ON accounts.account = instances.account
LEFT JOIN (
    SELECT id_instance, SUM(midnights) AS midnights
    FROM (
        SELECT id_instance, 0 AS midnights FROM irregular_instances
        UNION ALL
        SELECT
            id_instance,
            CASE
                WHEN live_to IS NULL THEN @days_between(@day(live_from), @today)
                WHEN ended_with IN ('deleted', 'vanished') AND @is_midnight(live_to)
                    THEN @days_between(@day(live_from), @day_before(@day(live_to)))
                ELSE @days_between(@day(live_from), @day(live_to))
            END
        FROM irregular_lives
    ) AS lived
    GROUP BY id_instance
) AS irregular ON irregular.id_instance = instances.id_instance
