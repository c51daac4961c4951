-- One row per month, account, type_instance and tariff that was charged for; the month under way until today.
-- A rate counts from its day. amount is that of the days with a rate, NULL where none has; unpriced_days are the others.
SELECT
    @as_text(@month_of_day(bi_daily.day)) AS month,
    bi_daily.account,
    bi_daily.type_instance,
    bi_daily.tariff,
    CAST(SUM(bi_daily.billable) AS BIGINT) AS instance_days,
    @as_text(MAX(rate_periods.currency)) AS currency,
    @amount(SUM(bi_daily.billable * rate_periods.millionths)) AS amount,
    CAST(SUM(CASE WHEN rate_periods.currency IS NULL THEN bi_daily.billable ELSE 0 END) AS BIGINT) AS unpriced_days
FROM bi_daily
LEFT JOIN rate_periods
    ON rate_periods.tariff = bi_daily.tariff
    AND rate_periods.valid_from <= bi_daily.day
    AND rate_periods.valid_to > bi_daily.day
WHERE bi_daily.billable > 0
GROUP BY @month_of_day(bi_daily.day), bi_daily.account, bi_daily.type_instance, bi_daily.tariff
