-- One row per day (UTC+3, on which it occurred), account and transition: how often; of the history as it was written.
SELECT
    @as_day(@day(occurred_at)) AS day,
    account,
    transition,
    CAST(COUNT(*) AS BIGINT) AS n
FROM instance_history
GROUP BY @day(occurred_at), account, transition
