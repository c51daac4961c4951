-- One row per live instance that does not renew itself, soonest first; days_left in calendar days at UTC+3,
-- negative once expired. Self-renewing: is_partner, or, where that is unknown, a tariff that starts with PARTNER.
SELECT
    id_instance,
    account,
    name,
    tariff,
    expiration_date,
    CAST(@days_between(@today, @day(expiration_date)) AS INTEGER) AS days_left
FROM instances
WHERE NOT deleted
    AND missing_since IS NULL
    AND NOT COALESCE(is_partner, substr(tariff, 1, 7) = 'PARTNER', FALSE)
ORDER BY expiration_date IS NULL, expiration_date, id_instance
