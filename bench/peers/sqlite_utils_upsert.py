"""sqlite-utils: `upsert_all`. Usage: URL DATABASE."""

import json
import sys
import urllib.request

import sqlite_utils

url, database = sys.argv[1:]
items = json.load(urllib.request.urlopen(f"{url}/partner/getInstances/x"))
sqlite_utils.Database(database.removeprefix("sqlite:///"))["estate"].upsert_all(items, pk="idInstance")
