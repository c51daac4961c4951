-- One row per version of an instance: what was true of it from valid_from until before valid_to (NULL: still), by all
-- that is known now. Without gap or overlap; neighbours differ. The first begins with its creation, the current one is
-- the row in instances.
SELECT
    id_instance,
    account,
    name,
    type_instance,
    messenger,
    tariff,
    is_free,
    is_partner,
    time_deleted,
    deleted,
    expiration_date,
    is_expired,
    CAST(FALSE AS BOOLEAN) AS missing,
    valid_from,
    valid_to
FROM past_versions
UNION ALL
SELECT
    id_instance,
    account,
    name,
    type_instance,
    messenger,
    tariff,
    is_free,
    is_partner,
    time_deleted,
    deleted,
    expiration_date,
    is_expired,
    missing_since IS NOT NULL,
    valid_from,
    NULL
FROM instances
