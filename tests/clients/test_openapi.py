"""What /api/openapi.json says, held against what the server does: by hand, and by schemathesis, which reads
the description and sends what it allows and what it forbids."""

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import socketio

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("SIGNALBOX_BIN", ROOT / "target/debug/signalbox")
SECRET = "openapi-tests-secret-0123456789-0123456789"

LIMITED = {429}
STORED = LIMITED | {500, 503}
# Every path of the server, with what it can answer. HEAD goes with GET; any other method is 405.
OPERATIONS = {
    ("get", "/health"): {200},
    ("get", "/livez"): {200},
    ("get", "/readyz"): {200, 503},
    ("get", "/version"): {200},
    ("get", "/status"): {200, 400, 401},
    ("get", "/metrics"): {200, 401},
    ("get", "/api/flows"): {200, 400, 401} | LIMITED,
    ("get", "/api/flows/{id}"): {200, 400, 401, 404} | LIMITED,
    ("get", "/api/admin/log-level"): {200, 401} | LIMITED,
    ("put", "/api/admin/log-level"): {200, 400, 401, 413} | LIMITED,
    ("get", "/api/admin/blocks"): {200, 401} | LIMITED,
    ("delete", "/api/admin/blocks/{address}"): {200, 400, 401, 404} | LIMITED,
    ("get", "/api/chat/rooms"): {200, 401} | STORED,
    ("post", "/api/chat/rooms"): {201, 400, 401, 409, 413} | STORED,
    ("get", "/api/openapi.json"): {200} | LIMITED,
    ("post", "/api/auth/register"): {201, 400, 409, 413} | STORED,
    ("post", "/api/auth/login"): {200, 400, 401, 413} | STORED,
    ("post", "/api/auth/refresh"): {200, 400, 401, 413} | STORED,
    ("post", "/api/auth/logout"): {200, 400, 401, 413} | STORED,
    ("get", "/api/auth/me"): {200, 401, 404} | STORED,
    ("post", "/api/auth/demo"): {200, 400, 413} | STORED,
    ("post", "/api/pair"): {200, 400, 403, 413, 429, 500},
    ("get", "/api/rooms"): {200, 400, 401} | STORED,
    ("get", "/api/rooms/{id}"): {200, 400, 401, 404} | STORED,
    ("get", "/api/rooms/{id}/participants"): {200, 400, 401, 403, 404} | STORED,
    ("get", "/api/ice-servers"): {200, 401} | STORED,
    ("post", "/api/queue/check/{event}"): {200, 400, 401} | STORED,
    ("get", "/api/queue/status/{event}"): {200, 400, 401} | STORED,
    ("post", "/api/queue/leave/{event}"): {200, 400, 401} | STORED,
    ("get", "/api/queue/admin/{event}"): {200, 400, 401, 403} | STORED,
    ("put", "/api/queue/admin/{event}"): {200, 400, 401, 403, 413} | STORED,
    ("post", "/api/queue/admin/clear/{event}"): {200, 400, 401, 403} | STORED,
    ("get", "/api/seats/admin/{event}"): {200, 400, 401, 403} | STORED,
    ("put", "/api/seats/admin/{event}"): {200, 400, 401, 403, 413} | STORED,
}
# The path says it all.
BODILESS = {"/api/queue/check/{event}", "/api/queue/leave/{event}", "/api/queue/admin/clear/{event}"}

NAMES = [
    "", "x", " x ", "xx", " xx ", "김철수", "Ünal O'Neil", "李 雷", "👍👍", "x" * 50, "x" * 51, "👍" * 50, "👍" * 51,
    " " * 60 + "김철수" + " " * 60, "   ", "\n\t", "\nkim\n", "ki\nm", "ki\tm", "kim\0", "\0kim", "kim\x1f", "k\x7fm", "k\x85m",
    "\x85kim\x85", "\u3000김 철수\u2003", "\ufeffk", "k\u200b", "k\u2028m", "\u2028m", "\u180em", "<b>kim</b>", '"', "--",
]
ADDRESSES = [
    "", "kim", "@", "k@", "@k", "k@k", "김@김", " k@Example.COM\n", "k@a@b", "k@.a", "k@a.", "k@a..b", "k@.", "k@a.b", "k m@a", "k@a b",
    "k\u2003m@a", "k\0@a", "k@a\x7f", "k\x85@a", "\x85k@a\x85", "\ufeff@a", ".k.@a", '"k"@[::1]', "k*'+/=@a*",
    "k" * 64 + "@a", "k" * 65 + "@a", "İ" * 64 + "@a", "👍" * 64 + "@a",
    "k@" + "a" * 252, "k@" + "a" * 253, " k@" + "a" * 252, "k@" + "👍" * 252, "k@" + "İ" * 252,
]


def token(claims):
    def part(raw):
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    claims = {"exp": int(time.time()) + 3600, **claims}
    body = ".".join(part(json.dumps(half).encode()) for half in ({"alg": "HS256"}, claims))
    return f"{body}.{part(hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).digest())}"


def objects(node):
    """All objects in a document."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, (dict, list)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from objects(child)


def allows(schema, text):
    """The keywords that this API uses for texts. Not a validator's own: Python's `re` is one more reader of
    the patterns."""
    return (
        schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", sys.maxsize)
        and re.search(schema.get("pattern", ""), text) is not None
    )


class Description(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)
        cls.server = subprocess.Popen(
            [str(BINARY)],
            cwd=cls.dir.name,
            env={
                "PORT": "0", "HOST": "127.0.0.1", "SOCKET_JWT_SECRET": SECRET, "LOG_CONSOLE": "off",
                "HTTP_RATE_MAX": "1000000000", "LOGINS_PER_ACCOUNT": "1000000000", "LOGINS_PER_ADDRESS": "1000000000",
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        cls.addClassCleanup(cls.stop)
        cls.url = re.search(r"http://\S+", cls.server.stdout.readline()).group()
        cls.document = json.loads(cls.ask("GET", "/api/openapi.json")[1])
        cls.schemas = cls.document["components"]["schemas"]

    @classmethod
    def stop(cls):
        cls.server.kill()
        cls.server.wait()
        cls.server.stdout.close()

    @classmethod
    def ask(cls, method, path, body=None, bearer=None):
        headers = {"content-type": "application/json"}
        if bearer:
            headers["authorization"] = f"Bearer {bearer}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(cls.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), error.headers

    def operations(self):
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                yield (method, path), operation

    def broken(self):
        """What the server counts against itself."""
        text = self.ask("GET", "/metrics")[1]
        counted = re.findall(r"^(signalbox_(?:panics|errors)_total\S*) (\S+)$", text, re.MULTILINE)
        self.assertGreater(len(counted), 1)
        return dict(counted)

    def test_it_describes_every_path_with_its_answers(self):
        self.assertRegex(self.document["openapi"], r"^3\.1\.\d+$")
        described = {which: {int(status) for status in o["responses"]} for which, o in self.operations()}
        self.assertEqual(described, OPERATIONS)

    def test_nothing_is_without_words(self):
        for which, operation in self.operations():
            with self.subTest(which):
                self.assertTrue(operation["summary"].strip())
                self.assertTrue(operation["operationId"])
                for part in operation.get("parameters", []) + list(operation["responses"].values()):
                    self.assertTrue(part.get("description", "").strip(), part)
        for name, schema in self.schemas.items():
            self.assertTrue(schema.get("description", "").strip(), name)

    def test_every_reference_leads_somewhere(self):
        found = {o["$ref"] for o in objects(self.document) if "$ref" in o}
        self.assertEqual(found, {f"#/components/schemas/{name}" for name in self.schemas})

    def test_every_error_has_the_same_body(self):
        for which, operation in self.operations():
            for status, response in operation["responses"].items():
                # A probe that says no still says how things are.
                if int(status) < 400 or which == ("get", "/readyz"):
                    continue
                with self.subTest(which, status=status):
                    self.assertEqual(list(response["content"]), ["application/json"])
                    schema = response["content"]["application/json"]["schema"]
                    self.assertEqual(schema, {"$ref": "#/components/schemas/ErrorBody"})
                    self.assertEqual("Retry-After" in response.get("headers", {}), status == "429")

    def test_a_body_is_an_object(self):
        admin = token({"sub": "ann", "role": "admin"})
        for (method, path), operation in self.operations():
            with self.subTest(path):
                takes = method in ("post", "put") and path not in BODILESS
                self.assertEqual("requestBody" in operation, takes)
                if takes:
                    # Not its values in the order of the fields, which is what the library takes as well.
                    for wrong in ([], ["x"], ["kim", "kim@a", "12345678"], "x", 7):
                        self.assertEqual(self.ask(method.upper(), path, wrong, bearer=admin)[0], 400, wrong)

    def test_another_method_is_told_which_ones_there_are(self):
        for method, path in OPERATIONS:
            with self.subTest(path):
                wrong = "POST" if ("delete", path) in OPERATIONS else "DELETE"
                status, body, headers = self.ask(wrong, re.sub(r"{\w+}", "room-1", path))
                self.assertEqual(status, 405)
                taken = {name for name, where in OPERATIONS if where == path}
                self.assertEqual(set(headers["allow"].lower().split(",")), taken | ({"head"} if "get" in taken else set()))
                self.assertEqual(json.loads(body)["error"]["code"], "VALIDATION_ERROR")

    def test_names_and_addresses_are_described_as_they_are_checked(self):
        fields = self.schemas["Registration"]["properties"]
        for i, name in enumerate(NAMES):
            new = {"username": name, "email": f"name-{i}@example.com", "password": "12345678"}
            with self.subTest(name):
                taken = self.ask("POST", "/api/auth/register", new)[0] == 201
                self.assertEqual(taken, allows(fields["username"], name))
        for address in ADDRESSES:
            new = {"username": "kim", "email": address, "password": "12345678"}
            with self.subTest(address):
                taken = self.ask("POST", "/api/auth/register", new)[0] == 201
                self.assertEqual(taken, allows(fields["email"], address))
        for length in (7, 8, 128, 129):
            new = {"username": "kim", "email": f"password-{length}@example.com", "password": "가" * length}
            taken = self.ask("POST", "/api/auth/register", new)[0] == 201
            self.assertEqual(taken, allows(fields["password"], new["password"]), length)

    def test_schemathesis_finds_nothing(self):
        # The example of a login is one for the example of an account.
        example = self.schemas["Registration"]["example"]
        self.assertEqual(example, {**example, **self.schemas["Credentials"]["example"]})
        status, body, _ = self.ask("POST", "/api/auth/register", example)
        self.assertEqual(status, 201, body)
        # Not the token of its login: logging out is tried as well, and would end that for all others.
        kim = token({"sub": str(json.loads(body)["user"]["id"]), "role": "admin"})
        self.fill(kim)
        before = self.broken()
        run = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file", str(ROOT / "tests/clients/openapi.toml"),
                "run", f"{self.url}/api/openapi.json", "--checks", "all",
                "--phases", "examples,coverage,fuzzing,stateful", "--no-color", "--output-truncate", "false",
                # Or it leaves out the path that it has the description from.
                "--include-path-regex", ".",
            ],
            cwd=self.dir.name,
            env={**os.environ, "SIGNALBOX_TOKEN": kim},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertIn(f"Tested: {len(OPERATIONS)}", run.stdout)
        for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
            self.assertIn(f"✅ {phase}", run.stdout)
        self.assertEqual(json.loads(self.ask("GET", "/api/openapi.json")[1]), self.document)
        self.assertEqual(self.broken(), before)

    def fill(self, kim):
        """Rooms of kim's and of somebody else's, with people in them, and a scan session."""
        for bearer, rooms in ((kim, ["room-1", "room-2", "room-3"]), (token({"sub": "lee"}), ["room-4"])):
            client = socketio.Client(reconnection=False)
            client.connect(self.url, auth={"token": bearer}, transports=["websocket"])
            self.addCleanup(client.disconnect)
            for room in rooms:
                made = client.call("create-room", {"roomId": room, "name": f"방 {room} <b>"}, timeout=10)
                self.assertEqual(made, {"success": True, "roomId": room})
            client.emit("leave", {"roomId": rooms[0]})
            client.emit("registerClient", {"role": "mobile"})
            client.emit("joinSession", {"sessionId": f"session of {rooms[0]}"})
        # They are written down behind their makers' backs.
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            stored = json.loads(self.ask("GET", "/api/rooms", bearer=kim)[1])["rooms"]
            stays = json.loads(self.ask("GET", "/api/rooms/room-1/participants", bearer=kim)[1]).get("participants", [])
            if len(stored) == 4 and any("leftAt" in stay for stay in stays):
                return
            time.sleep(0.05)
        self.fail("the rooms were not written down")


if __name__ == "__main__":
    unittest.main()
