"""dlt with its own history, `scd2`. Usage: URL DATABASE."""

import json
import os
import sys
import urllib.request
from pathlib import Path

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
import dlt

url, database = sys.argv[1:]
folder = Path(os.environ["BENCH_STATE"]) / "dlt"


@dlt.resource(name="estate", primary_key="idInstance", write_disposition={"disposition": "merge", "strategy": "scd2"})
def estate():  # type: ignore[no-untyped-def]
    yield json.load(urllib.request.urlopen(f"{url}/partner/getInstances/x"))


destination = (
    dlt.destinations.sqlalchemy(database) if database.startswith("sqlite") else dlt.destinations.postgres(database)
)
dlt.pipeline("bench", pipelines_dir=str(folder), destination=destination, dataset_name="bench").run(estate())
