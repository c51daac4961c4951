-- One row per rate and tariff, and the days from valid_from until before valid_to on which it holds; the days before a
-- tariff's first rate are a row without a price. millionths: the price of a day in millionths of the currency.
SELECT
    tariff,
    currency,
    CAST(ROUND(daily_rate * 1000000) AS BIGINT) AS millionths,
    valid_from,
    COALESCE(LEAD(valid_from) OVER (PARTITION BY tariff ORDER BY valid_from), @date(9999-12-31)) AS valid_to
FROM tariff_rates
UNION ALL
SELECT tariff, NULL, NULL, @date(0001-01-01), MIN(valid_from)
FROM tariff_rates
GROUP BY tariff
