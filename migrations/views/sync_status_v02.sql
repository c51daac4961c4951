-- One row per account: how far its mirror can be relied on now.
-- state, the first that is true: never (no answer was accepted yet), held (so ended the last run), clock (the last
-- accepted answer lies more than 5 minutes ahead), stale (it is older than 3 intervals), failing (so ended the last run),
-- ok. live, deleted: instances listed at data_as_of; expired: those of the live that are. warning: of the run of the
-- last accepted answer.
WITH last_runs AS (
    SELECT sync_runs.account, started_at, status, error
    FROM sync_runs
    JOIN (
        SELECT account, MAX(id) AS id FROM sync_runs WHERE status <> 'running' GROUP BY account
    ) AS latest ON latest.id = sync_runs.id
),
failures AS (
    SELECT sync_runs.account, COUNT(*) AS n
    FROM sync_runs
    JOIN accounts ON accounts.account = sync_runs.account
    WHERE status IN ('failed', 'held') AND id > COALESCE(accounts.last_accepted_run_id, 0)
    GROUP BY sync_runs.account
),
counts AS (
    SELECT
        account,
        COUNT(*) AS listed,
        SUM(CASE WHEN deleted THEN 1 ELSE 0 END) AS deleted,
        SUM(CASE WHEN is_expired AND NOT deleted THEN 1 ELSE 0 END) AS expired
    FROM instances
    WHERE missing_since IS NULL
    GROUP BY account
),
ages AS (
    SELECT
        account,
        interval_seconds,
        last_accepted_at,
        last_accepted_run_id,
        @seconds_between(last_accepted_at, @now) AS age_seconds
    FROM accounts
)
SELECT
    ages.account,
    @as_text(CASE
        WHEN ages.age_seconds IS NULL THEN 'never'
        WHEN last_runs.status = 'held' THEN 'held'
        WHEN ages.age_seconds < -300 THEN 'clock'
        WHEN ages.age_seconds > 3 * COALESCE(ages.interval_seconds, 300) THEN 'stale'
        WHEN last_runs.status = 'failed' THEN 'failing'
        ELSE 'ok'
    END) AS state,
    ages.last_accepted_at AS data_as_of,
    CAST(CASE WHEN ages.age_seconds < 0 THEN 0 ELSE ages.age_seconds END AS BIGINT) AS age_seconds,
    last_runs.started_at AS last_run_at,
    last_runs.status AS last_status,
    CAST(COALESCE(failures.n, 0) AS BIGINT) AS consecutive_failures,
    last_runs.error AS last_error,
    CAST(COALESCE(counts.listed, 0) AS BIGINT) AS listed,
    CAST(COALESCE(counts.listed - counts.deleted, 0) AS BIGINT) AS live,
    CAST(COALESCE(counts.deleted, 0) AS BIGINT) AS deleted,
    CAST(COALESCE(counts.expired, 0) AS BIGINT) AS expired,
    accepted.warning
FROM ages
LEFT JOIN sync_runs AS accepted ON accepted.id = ages.last_accepted_run_id
LEFT JOIN last_runs ON last_runs.account = ages.account
LEFT JOIN failures ON failures.account = ages.account
LEFT JOIN counts ON counts.account = ages.account
