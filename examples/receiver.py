"""Receives what syncer sends, acts on each event once: SYNCER_SECRET=whsec_… python3 receiver.py 8081."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ["SYNCER_SECRET"].removeprefix("whsec_"))
done = set()  # better a unique column, filled in the transaction that acts


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        number, sent_at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        digest = hmac.digest(KEY, f"{number}.{sent_at}.".encode() + body, hashlib.sha256)
        ours = f"v1,{base64.b64encode(digest).decode()}" in self.headers["webhook-signature"].split()
        is_good = ours and abs(time.time() - int(sent_at)) < 300
        if is_good and number not in done:
            event = json.loads(body)
            print(event["type"], event["data"].get("id_instance"), event["data"].get("name"), flush=True)
            done.add(number)  # after it was acted on: what fails before is sent again
        self.send_response(204 if is_good else 401)
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
