-- One row per month, account, type_instance and tariff that was charged for; the month under way until today.
-- A rate counts from its day. amount and currency are NULL when a charged day has no rate, or two have different ones.
WITH rates AS (
    SELECT
        tariff,
        currency,
        CAST(ROUND(daily_rate * 1000000) AS BIGINT) AS millionths,
        valid_from,
        LEAD(valid_from) OVER (PARTITION BY tariff ORDER BY valid_from) AS valid_to
    FROM tariff_rates
),
charged AS (
    SELECT
        @month_of_day(bi_daily.day) AS month,
        bi_daily.account,
        bi_daily.type_instance,
        bi_daily.tariff,
        bi_daily.billable,
        rates.currency,
        rates.millionths
    FROM bi_daily
    LEFT JOIN rates
        ON rates.tariff = bi_daily.tariff
        AND rates.valid_from <= bi_daily.day
        AND (rates.valid_to IS NULL OR rates.valid_to > bi_daily.day)
    WHERE bi_daily.billable > 0
)
SELECT
    month,
    account,
    type_instance,
    tariff,
    CAST(SUM(billable) AS BIGINT) AS instance_days,
    CASE WHEN COUNT(*) = COUNT(currency) AND MIN(currency) = MAX(currency) THEN MIN(currency) END AS currency,
    CASE
        WHEN COUNT(*) = COUNT(currency) AND MIN(currency) = MAX(currency) THEN @amount(SUM(billable * millionths))
    END AS amount
FROM charged
GROUP BY month, account, type_instance, tariff
