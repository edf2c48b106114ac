"""The scan relay with python-socketio, a client library of other authors, over both transports."""

import base64
import hashlib
import hmac
import json
import os
import queue
import re
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import socketio

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("SIGNALBOX_BIN", ROOT / "target/debug/signalbox")
SECRET = "python-tests-secret-0123456789-0123456789"


def token(user, role):
    def part(raw):
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    claims = {"sub": user, "role": role, "exp": int(time.time()) + 3600}
    body = ".".join(part(json.dumps(half).encode()) for half in ({"alg": "HS256"}, claims))
    return f"{body}.{part(hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).digest())}"


class Relay(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.server = subprocess.Popen(
            [str(BINARY)],
            cwd=self.dir.name,
            env={
                "PORT": "0", "HOST": "127.0.0.1", "SOCKET_JWT_SECRET": SECRET, "LOG_CONSOLE": "off",
                "EVENT_RATE": "1000000", "EVENT_BURST": "1000000",
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.server.stdout.readline()
        self.url = re.search(r"http://\S+", line).group()

    def tearDown(self):
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()
        self.dir.cleanup()

    def client(self, user, role, session, transports):
        client = socketio.Client(reconnection=False)
        joined = queue.Queue()
        client.on("joinedSession", joined.put)
        client.connect(self.url, auth={"token": token(user, role)}, transports=transports)
        client.emit("registerClient", {"role": role})
        client.emit("joinSession", {"sessionId": session})
        self.assertEqual(joined.get(timeout=10)["sessionId"], session)
        return client

    def relay(self, transports):
        monitor = self.client("m", "monitor", "s", transports)
        seen = queue.Queue()
        monitor.on("navigate", seen.put)
        phone = self.client("p", "mobile", "s", transports)
        own = queue.Queue()
        phone.on("navigate", own.put)
        orders = []
        for i in range(200):
            phone.emit("scanOrder", {"sessionId": "s", "orderNo": f"O-{i}", "ts": i})
            # This library gives up on a polling answer of more than 16 packets, whatever the server. The phone
            # gets its scans back, so it is waited for as well.
            if i % 8 == 7:
                orders += [seen.get(timeout=20) for _ in range(8)]
                self.assertEqual([own.get(timeout=20)["orderNo"] for _ in range(8)], [o["orderNo"] for o in orders[-8:]])
        self.assertEqual([o["orderNo"] for o in orders], [f"O-{i}" for i in range(200)])
        self.assertEqual([o["seq"] for o in orders], list(range(1, 201)))
        ack = phone.call("scanOrder", {"sessionId": "other", "orderNo": "x", "ts": 1}, timeout=10)
        self.assertEqual(ack["error"]["code"], "FORBIDDEN")
        phone.disconnect()
        monitor.disconnect()

    def test_over_websocket(self):
        self.relay(["websocket"])

    def test_over_polling(self):
        self.relay(["polling"])

    def test_over_polling_with_the_upgrade(self):
        self.relay(["polling", "websocket"])

    def test_a_bad_token_is_told(self):
        client = socketio.Client(reconnection=False)
        errors = queue.Queue()
        client.on("connect_error", errors.put)
        with self.assertRaises(socketio.exceptions.ConnectionError):
            client.connect(self.url, auth={"token": "x"})
        self.assertEqual(errors.get(timeout=10), {"message": "Invalid authentication token"})


if __name__ == "__main__":
    unittest.main()
