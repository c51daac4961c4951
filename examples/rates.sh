#!/bin/sh
# Prices of an instance-day (the API has none), and what this month costs so far.
set -eu
syncer rates set PARTNER_23 12.50 RUB --from 2026-01-01
syncer rates set BUSINESS_USD 0.40 USD --from 2026-01-01
syncer rates list
syncer bill "$(date -u +%Y-%m)"
