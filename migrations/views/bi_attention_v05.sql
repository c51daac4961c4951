-- One row per instance and reason to look at it; severity 1: money is lost, 2: soon, 3: to know.
-- expired_not_deleted: it is charged although nobody can use it. not_renewed: it renews itself, lives, and its
-- expiration date did not move at the last 00:00 (UTC+3) that lay two hours before the account's last accepted answer;
-- since is when it last moved, or was first seen. expiring_soon: within 7 days. vanished: not listed any more for at
-- most 30 days. lived_under_a_day: deleted in the last 30 days, less than 24 hours after its creation. claimed_twice:
-- the last answer of another account lists it too.
SELECT id_instance, account, name, @as_text(reason) AS reason, since, CAST(severity AS INTEGER) AS severity
FROM (
    SELECT
        instances.id_instance,
        instances.account,
        instances.name,
        'expired_not_deleted' AS reason,
        @as_moment(COALESCE(
            (
                SELECT MAX(past_versions.valid_to)
                FROM past_versions
                WHERE past_versions.id_instance = instances.id_instance AND NOT past_versions.is_expired
            ),
            (SELECT MIN(past_versions.valid_from) FROM past_versions WHERE past_versions.id_instance = instances.id_instance),
            instances.valid_from
        )) AS since,
        1 AS severity
    FROM instances
    WHERE is_expired AND NOT deleted AND missing_since IS NULL
    UNION ALL
    SELECT
        instances.id_instance,
        instances.account,
        instances.name,
        'not_renewed',
        @as_moment(COALESCE(renewed_at, first_seen_at)),
        1
    FROM instances
    JOIN accounts ON accounts.account = instances.account
    WHERE NOT deleted
        AND missing_since IS NULL
        AND COALESCE(is_partner, substr(tariff, 1, 7) = 'PARTNER', FALSE)
        AND COALESCE(renewed_at, first_seen_at) < @midnight(@settled_day(accounts.last_accepted_at))
    UNION ALL
    SELECT id_instance, account, name, 'expiring_soon', @as_moment(@whole_days_later(expiration_date, -7)), 2
    FROM instances
    WHERE NOT deleted
        AND missing_since IS NULL
        AND NOT is_expired
        AND NOT COALESCE(is_partner, substr(tariff, 1, 7) = 'PARTNER', FALSE)
        AND expiration_date >= @now
        AND expiration_date < @whole_days_later(@now, +7)
    UNION ALL
    SELECT id_instance, account, name, 'vanished', @as_moment(missing_since), 3
    FROM instances
    WHERE missing_since >= @whole_days_later(@now, -30) AND NOT deleted
    UNION ALL
    SELECT instances.id_instance, account, name, 'lived_under_a_day', @as_moment(lives.ended_at), 3
    FROM (
        SELECT id_instance, MIN(began_at) AS began_at, MAX(ended_at) AS ended_at
        FROM ended_lives
        GROUP BY id_instance
        HAVING MAX(ended_at) >= @whole_days_later(@now, -30)
    ) AS lives
    JOIN instances ON instances.id_instance = lives.id_instance
    WHERE deleted AND lives.ended_at < @whole_days_later(lives.began_at, +1)
    UNION ALL
    SELECT instances.id_instance, instances.account, instances.name, 'claimed_twice', @as_moment(claimed.since), 3
    FROM (
        SELECT claims.id_instance, MIN(sync_runs.finished_at) AS since
        FROM claims
        JOIN sync_runs ON sync_runs.id = claims.since_run_id
        GROUP BY claims.id_instance
    ) AS claimed
    JOIN instances ON instances.id_instance = claimed.id_instance
) AS reasons
