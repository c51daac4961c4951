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
    missing,
    observed_at AS valid_from,
    observed_at AS valid_to
FROM instance_history
WHERE FALSE -- no row of it: on SQLite the first SELECT lends the columns its types
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
    FALSE,
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
