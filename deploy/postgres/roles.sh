#!/bin/bash
# Run once by the image of PostgreSQL on an empty volume: syncer owns its database, reader gets no right of its own here.
set -euo pipefail

export SECRETS_FOLDER=${SECRETS_FOLDER:-/run/secrets}

psql --quiet -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "${POSTGRES_DB:-postgres}" <<'SQL'
\set syncer_password `cat "$SECRETS_FOLDER/syncer_password"`
\set reader_password `cat "$SECRETS_FOLDER/reader_password"`
CREATE ROLE syncer LOGIN PASSWORD :'syncer_password';
CREATE ROLE reader LOGIN PASSWORD :'reader_password';
CREATE DATABASE syncer OWNER syncer;
REVOKE ALL ON DATABASE syncer FROM PUBLIC;
GRANT CONNECT ON DATABASE syncer TO reader;
SQL
