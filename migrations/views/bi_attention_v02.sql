-- One row per instance and reason to look at it.
-- not_renewed: it renews itself, lives, and its expiration date has not moved since the last 00:00 (UTC+3) before the
-- account's last accepted answer; since is when it last moved, or was first seen.
SELECT id_instance, account, name, 'expired_not_deleted' AS reason, expired_at AS since
FROM (
    SELECT
        id_instance,
        account,
        name,
        COALESCE(
            (
                SELECT instance_history.occurred_at
                FROM instance_history
                WHERE instance_history.id_instance = instances.id_instance AND instance_history.transition = 'expired'
                ORDER BY instance_history.id DESC
                LIMIT 1
            ),
            instances.expiration_date
        ) AS expired_at
    FROM instances
    WHERE is_expired AND NOT deleted AND missing_since IS NULL
) AS expired
UNION ALL
SELECT
    instances.id_instance, instances.account, instances.name, 'not_renewed', COALESCE(renewed_at, first_seen_at)
FROM instances
JOIN accounts ON accounts.account = instances.account
WHERE NOT deleted
    AND missing_since IS NULL
    AND COALESCE(is_partner, substr(tariff, 1, 7) = 'PARTNER', FALSE)
    AND COALESCE(renewed_at, first_seen_at) < @midnight(@day(COALESCE(accounts.last_accepted_at, @now)))
UNION ALL
SELECT id_instance, account, name, 'expiring_soon', @whole_days_later(expiration_date, -7)
FROM instances
WHERE NOT deleted
    AND missing_since IS NULL
    AND NOT is_expired
    AND NOT COALESCE(is_partner, substr(tariff, 1, 7) = 'PARTNER', FALSE)
    AND expiration_date >= @now
    AND expiration_date < @whole_days_later(@now, +7)
UNION ALL
SELECT id_instance, account, name, 'vanished', missing_since
FROM instances
WHERE missing_since IS NOT NULL AND NOT deleted
UNION ALL
SELECT id_instance, account, name, 'lived_under_a_day', time_deleted
FROM instances
WHERE deleted AND time_deleted >= time_created AND time_deleted < @whole_days_later(time_created, +1)
