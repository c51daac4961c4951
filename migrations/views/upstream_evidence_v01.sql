-- One row per account: what the births of its instances say of the offset of the upstream's times.
-- births: instances that were born between two polls less than 15 minutes apart. outside: those whose creation, read
-- with the configured offset, does not lie between these polls. lag: from an instance's creation to its first sight.
-- offset_suggested: the offset that the last three births agree on; NULL while nothing speaks against the configured one.
SELECT
    accounts.account,
    CAST(COUNT(instances.id_instance) AS BIGINT) AS births,
    CAST(COUNT(
        CASE WHEN instances.time_created NOT BETWEEN births.born_after AND births.born_before THEN 1 END
    ) AS BIGINT) AS outside,
    CAST(MIN(@minutes_between(instances.time_created, instances.first_seen_at)) AS BIGINT) AS least_lag_minutes,
    CAST(MAX(@minutes_between(instances.time_created, instances.first_seen_at)) AS BIGINT) AS most_lag_minutes,
    accounts.upstream_offset AS offset_configured,
    @as_text(NULLIF(accounts.suggested_offset, accounts.upstream_offset)) AS offset_suggested
FROM accounts
LEFT JOIN births ON births.account = accounts.account
LEFT JOIN instances ON instances.id_instance = births.id_instance AND instances.time_created IS NOT NULL
GROUP BY accounts.account, accounts.upstream_offset, accounts.suggested_offset
