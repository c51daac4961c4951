-- One row per life of an instance: a stretch under one account, type and tariff; what ended_with and what follows it
-- is NULL while it goes on. began_with: created, returned (restored, or listed again after a deletion), moved (from
-- another account) or regrouped (of another type or tariff before); ended_with: deleted, vanished, moved or regrouped.
-- first_day, last_day: the days (UTC+3) on which it began and ended. It is charged for the days from first_night until
-- before end_night: that of its creation, and each at whose 00:00 it is there.
SELECT
    id_instance, account, type_instance, tariff, began_with, first_day, first_night, ended_with, last_day, end_night
FROM ended_lives
UNION ALL
SELECT
    id_instance, account, type_instance, tariff, life_began_with, life_first_day, life_first_night, NULL, NULL, NULL
FROM instances
WHERE life_began_with IS NOT NULL
