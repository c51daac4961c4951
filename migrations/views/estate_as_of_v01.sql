-- PostgreSQL only: the estate at a moment, as SELECT * FROM estate_as_of('2026-10-01').
SELECT * FROM instance_versions WHERE valid_from <= moment AND (valid_to IS NULL OR valid_to > moment)
