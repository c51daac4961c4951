-- One row per day (UTC+3, on which it occurred), account and transition: how often.
SELECT
    @day(occurred_at) AS day,
    account,
    transition,
    COUNT(*) AS n
FROM instance_history
GROUP BY @day(occurred_at), account, transition
