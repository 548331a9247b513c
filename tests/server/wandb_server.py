"""A loopback double of the W&B server: what ``wandb sweep``, ``wandb agent``, ``wandb sync`` and runs ask of it.

It keeps what it is sent as the real one does: a streamed file is lines at offsets, so that a line sent again replaces
itself, and a client that resumes a run has to ask how many lines there are. A fault is a function of the operation's
name (that of the GraphQL operation, ``file_stream`` or ``upload``), asked before each answer: it may take its time, and
returns the status to refuse with or None.
"""

import base64
import gzip
import itertools
import json
import random
import re
import threading
import uuid
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

ENTITY = "team"
ADDRESS = re.compile(r"/(graphql|files/[^/]+/([^/]+)/([^/]+)/file_stream|upload/([^/]+)/(.+))")
HISTORY, SUMMARY, EVENTS = "wandb-history.jsonl", "wandb-summary.json", "wandb-events.jsonl"


@dataclass
class Run:
    """One run; ``lines`` are those of each streamed file by their offset, ``uploads`` whole files."""

    name: str
    project: str
    sweep: str | None = None
    state: str = "pending"
    fields: dict = field(default_factory=dict)
    configured: dict = field(default_factory=dict)
    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)

    @property
    def history(self):
        return [json.loads(line) for _, line in sorted(self.lines.get(HISTORY, {}).items())]

    @property
    def summary(self):
        return json.loads(self.lines.get(SUMMARY, {}).get(0, "{}"))

    @property
    def config(self):
        return {key: entry["value"] for key, entry in self.configured.items() if key != "_wandb"}

    @property
    def started(self):
        """Whether a client has opened it, and not only an agent been told to."""
        return self.state != "pending"

    def tail(self, name):
        lines = self.lines.get(name, {})
        return json.dumps([lines[max(lines)]] if lines else [])


class Sweep:
    """Hands out settings: all combinations for ``grid``, draws for ``random``, at most ``run_cap``."""

    def __init__(self, config):
        self.name, self.config, self.state = uuid.uuid4().hex[:8], config, "PENDING"
        choices = {
            key: spec["values"] if "values" in spec else [spec["value"]] for key, spec in config["parameters"].items()
        }
        found = {"grid": grid, "random": draws}[config["method"]](choices)
        self.coming = itertools.islice(found, config.get("run_cap"))

    def next(self):
        return next(self.coming, None)


def grid(choices):
    return (dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values()))


def draws(choices):
    generator = random.Random(0)
    while True:
        yield {key: generator.choice(values) for key, values in choices.items()}


class WandbServer(ThreadingHTTPServer):
    """Listens on a free port of this machine from the start until :meth:`close`."""

    daemon_threads = True

    def __init__(self, fault=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.fault, self.dead = fault or (lambda operation: None), threading.Event()
        self.lock = threading.Lock()
        self.runs: dict[str, Run] = {}
        self.sweeps: dict[str, Sweep] = {}
        self.agents: dict[str, Sweep] = {}
        self.artifacts: dict[str, dict] = {}
        self.operations: Counter[str] = Counter()
        self.unknown: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        """Stop listening, and answer nobody any more."""
        if not self.dead.is_set():
            self.dead.set()
            self.shutdown()
            self.server_close()

    def handle_error(self, request, client_address):
        """A client that went away is no error."""

    def run(self, name, project):
        return self.runs.setdefault(name, Run(name, project))

    # GraphQL ------------------------------------------------------------------------------------------------------

    def answer(self, operation, given):
        """The ``data`` of an operation, called by its name."""
        answer = getattr(self, f"do_{operation}", None)
        if answer is None:
            self.unknown.append(operation)
            return {}
        return answer(given)

    def do_Viewer(self, given):
        teams = {"edges": [{"node": {"name": ENTITY}}]}
        viewer = {"entity": ENTITY, "username": "somebody", "email": "somebody@nowhere", "flags": "{}", "teams": teams}
        return {"viewer": {"id": code("User:1"), **viewer}}

    do_GetDefaultEntity = do_Viewer

    def do_ServerFeaturesQuery(self, given):
        return {"serverInfo": {"features": []}}

    def do_OrganizationCoreWeaveOrganizationID(self, given):
        return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}

    def do_RunStoppedStatus(self, given):
        return {"project": {"run": {"stopped": False}}}

    def do_RunResumeStatus(self, given):
        run = self.runs.get(given["name"])
        bucket = self.bucket(run) if run and run.project == given["project"] else None
        return {"model": {**project(given["project"]), "bucket": bucket}}

    def do_UpsertBucket(self, given):
        new = given["name"] not in self.runs
        run = self.run(given["name"], given.get("project"))
        run.sweep, run.state = run.sweep or given.get("sweep"), "running"
        run.fields |= {key: given[key] for key in ("displayName", "groupName", "jobType") if given.get(key)}
        if given.get("config"):
            run.configured = json.loads(given["config"])
        return {"upsertBucket": {"bucket": self.bucket(run), "inserted": new}}

    def bucket(self, run):
        counts = {"historyLineCount": HISTORY, "eventsLineCount": EVENTS, "logLineCount": "output.log"}
        return {
            "id": code(f"Run:{run.name}"),
            "name": run.name,
            "displayName": run.fields.get("displayName", run.name),
            "description": None,
            "notes": None,
            "tags": [],
            "sweepName": run.sweep,
            "config": json.dumps(run.configured),
            "wandbConfig": json.dumps({"t": 1}),
            "summaryMetrics": json.dumps(run.summary),
            "historyTail": run.tail(HISTORY),
            "eventsTail": run.tail(EVENTS),
            **{key: len(run.lines.get(name, ())) for key, name in counts.items()},
            "project": project(run.project),
        }

    def do_CreateRunFiles(self, given):
        files = [{"name": name, "uploadUrl": self.upload_url(given["run"], name)} for name in given["files"]]
        return {"createRunFiles": {"runID": code(f"Run:{given['run']}"), "uploadHeaders": [], "files": files}}

    def upload_url(self, run, name):
        return f"{self.url}/upload/{run}/{name}"

    # Artifacts: each file of one is an upload of the run "artifact-<id>" ------------------------------------------

    def do_ArtifactType(self, given):
        """That there is no such artifact yet."""
        return {"project": {"artifact": None}}

    def do_CreateArtifact(self, given):
        name = f"artifact-{len(self.artifacts)}"
        self.artifacts[name] = {"state": "PENDING", **given["input"]}
        sequence = {"latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": name, "state": "PENDING", "artifactSequence": sequence}}}

    def do_CreateArtifactManifest(self, given):
        return {"createArtifactManifest": self.manifest(given["artifactID"])}

    def do_UpdateArtifactManifest(self, given):
        return {"updateArtifactManifest": self.manifest(given["artifactManifestID"])}

    def manifest(self, name):
        file = {"id": name, "uploadUrl": self.upload_url(name, "manifest.json"), "uploadHeaders": []}
        return {"artifactManifest": {"id": name, "file": file}}

    def do_CreateArtifactFiles(self, given):
        nodes = [
            {
                "storagePath": spec["name"],
                "uploadUrl": self.upload_url(spec["artifactID"], spec["name"]),
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": spec["artifactID"]},
            }
            for spec in given["input"]["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def do_CommitArtifact(self, given):
        artifact = self.artifacts[given["artifactID"]]
        artifact["state"] = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": artifact["digest"]}}}

    # Sweeps -------------------------------------------------------------------------------------------------------

    def do_UpsertSweep(self, given):
        sweep = Sweep(yaml.safe_load(given["config"]))
        sweep.project = given["projectName"]
        self.sweeps[sweep.name] = sweep
        found = {"name": sweep.name, "project": project(sweep.project)}
        return {"upsertSweep": {"sweep": found, "configValidationWarnings": []}}

    def do_SweepWithRuns(self, given):
        sweep = self.sweeps[given["sweep"]]
        known = {"name": sweep.name, "state": sweep.state, "config": yaml.safe_dump(sweep.config)}
        return {"project": {"sweep": {"id": code(f"Sweep:{sweep.name}"), **known, "runs": {"edges": []}}}}

    def do_CreateAgent(self, given):
        name = uuid.uuid4().hex[:8]
        self.agents[name] = self.sweeps[given["sweep"]]
        return {"createAgent": {"agent": {"id": name}}}

    def do_Heartbeat(self, given):
        """An agent without a run is given the next one, or sent home."""
        sweep, commands = self.agents[given["id"]], []
        if not json.loads(given["runState"]):
            settings = sweep.next()
            if settings is None:
                sweep.state, commands = "FINISHED", [{"type": "exit"}]
            else:
                arguments = {key: {"value": value} for key, value in settings.items()}
                run = self.run(uuid.uuid4().hex[:8], sweep.project)
                run.sweep, run.configured = sweep.name, arguments
                program = sweep.config.get("program")
                commands = [{"type": "run", "run_id": run.name, "program": program, "args": arguments}]
        return {"agentHeartbeat": {"agent": {"id": given["id"]}, "commands": json.dumps(commands)}}

    # Streams and files --------------------------------------------------------------------------------------------

    def stream(self, run, given):
        for name, file in (given.get("files") or {}).items():
            lines = run.lines.setdefault(name, {})
            lines |= enumerate(file["content"], file["offset"])
        if given.get("complete"):
            run.state = "finished" if given.get("exitcode") == 0 else "failed"
        return {"exitcode": None, "limits": {}}


class Handler(BaseHTTPRequestHandler):
    """HTTP, and which method of the server a request is for."""

    protocol_version = "HTTP/1.1"
    server: WandbServer

    def log_message(self, *words):
        pass

    def handle_request(self):
        body = self.body()
        operation, found = "", ADDRESS.fullmatch(self.path)
        if found and found[1] == "graphql":
            given = json.loads(body)
            operation = re.search(r"(?:query|mutation)\s+(\w+)", given["query"])[1]
        elif found:
            operation = "upload" if found[4] else "file_stream"
        with self.server.lock:
            self.server.operations[operation] += 1
        status = self.server.fault(operation)
        if self.server.dead.is_set():
            self.close_connection = True
            return
        answer = {"errors": [{"message": "refused"}]} if status else {}
        if not status:
            with self.server.lock:
                if operation == "upload":
                    self.server.run(found[4], None).uploads[found[5]] = body
                elif operation == "file_stream":
                    answer = self.server.stream(self.server.run(found[3], found[2]), json.loads(body))
                elif operation:
                    answer = {"data": self.server.answer(operation, given.get("variables") or {})}
        self.send(status or 200, json.dumps(answer).encode())

    do_GET = do_POST = do_PUT = do_HEAD = handle_request

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def send(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def code(name):
    return base64.b64encode(name.encode()).decode()


def project(name):
    return {"id": code(f"Project:{name}"), "name": name, "entity": {"id": code("Entity:1"), "name": ENTITY}}
