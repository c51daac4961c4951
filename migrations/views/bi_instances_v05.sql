-- One row per instance that was ever seen. Days are calendar days at UTC+3.
-- age_days: from its creation until its last life ended, or until today. billable_days: one for the creation, and one
-- for every 00:00 at which it existed and was not deleted, until now. customer: today's.
SELECT
    instances.id_instance,
    instances.account,
    instances.name,
    instances.type_instance,
    instances.messenger,
    instances.tariff,
    @as_text(CASE
        WHEN instances.missing_since IS NOT NULL AND instances.deleted THEN 'purged'
        WHEN instances.missing_since IS NOT NULL THEN 'vanished'
        WHEN instances.deleted THEN 'deleted'
        WHEN instances.is_expired THEN 'expired'
        ELSE 'active'
    END) AS status,
    instances.is_partner,
    instances.is_free,
    instances.time_created,
    instances.time_deleted,
    instances.expiration_date,
    CAST(@days_between(@today, @day(instances.expiration_date)) AS INTEGER) AS days_to_expiration,
    CAST(@days_between(
        COALESCE(past.first_day, instances.life_first_day),
        CASE WHEN instances.life_first_day IS NULL THEN past.last_day ELSE @today END
    ) AS INTEGER) AS age_days,
    CAST(
        COALESCE(past.nights, 0) + COALESCE(@days_between(instances.life_first_night, @next_day(@today)), 0) AS BIGINT
    ) AS billable_days,
    instances.renewed_at,
    instances.first_seen_at,
    @as_moment(CASE
        WHEN instances.missing_since IS NULL THEN COALESCE(accounts.last_accepted_at, instances.changed_at)
        ELSE (
            SELECT instance_history.previous_observed_at
            FROM instance_history
            WHERE instance_history.id_instance = instances.id_instance
                AND instance_history.observed_at = instances.missing_since
                AND instance_history.transition IN ('vanished', 'purged')
            ORDER BY instance_history.run_id DESC
            LIMIT 1
        )
    END) AS last_seen_at,
    instances.changed_at,
    instances.missing_since,
    instances.partner_user_uiid,
    @as_text(CASE
        WHEN EXISTS (SELECT 1 FROM customers) THEN (
            SELECT customers.customer
            FROM customers
            WHERE customers.id_instance = instances.id_instance
                AND customers.valid_from <= @today
                AND (customers.valid_to IS NULL OR customers.valid_to >= @today)
            ORDER BY customers.valid_from DESC
            LIMIT 1
        )
    END) AS customer
FROM instances
JOIN accounts ON accounts.account = instances.account
LEFT JOIN (
    SELECT
        id_instance,
        MIN(first_day) AS first_day,
        MAX(last_day) AS last_day,
        SUM(@days_between(first_night, end_night)) AS nights
    FROM ended_lives
    GROUP BY id_instance
) AS past ON past.id_instance = instances.id_instance
