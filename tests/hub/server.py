"""A hub of its own in a thread: what `huggingface_hub` and `datasets` ask for, and what goes wrong on the way.

Large files are redirected to a second host (``localhost`` beside ``127.0.0.1``), which refuses the token.
"""

import base64
import json
import re
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.repositories import LARGE, Repository, blob_id, content, sha256

READER, WRITER, STRANGER = "hf_reader", "hf_writer", "hf_stranger"
"""Tokens: one that may read gated repositories, one that may also write, one that may neither."""

PAGE = 3
"""Entries in a page of a tree."""


class HubServer:
    """The server, what it holds, and what was asked of it.

    ``faults`` maps a part of a path to what goes wrong with its next requests, one after the other: a status
    (``503``, or ``(429, seconds)``), ``"cut"``, ``"wrong"``, ``"short"`` or ``("slow", seconds)``.
    """

    def __init__(self):
        self.repositories, self.faults, self.objects = {}, defaultdict(list), {}
        self.requests, self.sent = [], defaultdict(int)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.other_host = f"http://localhost:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def add(self, repository):
        self.repositories[repository.kind, repository.name] = repository
        return repository

    def asked(self, part, method=None):
        """Return the requests whose path holds a text."""
        return [each for each in self.requests if part in each[1] and method in (None, each[0])]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self._route()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - the names that the base class looks for

    def _route(self):
        split = urlsplit(self.path)
        path, self.query = split.path, parse_qs(split.query)
        self.body = self._read_body()
        shown = unquote(path)
        self.hub.requests.append((self.command, shown, self.headers.get("Range"), self.headers.get("Authorization")))
        self.fault = self._next_fault(shown)
        if isinstance(self.fault, int):
            self.fault = (self.fault, None)
        if isinstance(self.fault, tuple) and isinstance(self.fault[0], int):
            status, wait = self.fault
            return self._json({"error": "at fault"}, status, {} if wait is None else {"Retry-After": str(wait)})
        for method, pattern, answer in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                return answer(self, **{name: unquote(text or "") for name, text in found.groupdict().items()})
        return self._error(404, "EntryNotFound", f"no route {self.command} {shown}")

    def _read_body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _next_fault(self, path):
        for part, faults in self.hub.faults.items():
            elsewhere = "/resolve/" in path and path.endswith(LARGE)  # the bytes come from the other host
            if part in path and faults and self.command != "HEAD" and not (elsewhere and _of_bytes(faults[0])):
                return faults.pop(0)
        return None

    # What every answer is made of.

    def _send(self, data, status=200, headers=None, *, kind="application/octet-stream"):
        self.send_response(status)
        whole = len(data)
        if self.fault == "wrong":
            data = bytes(255 - each for each in data)
        if self.fault == "short":
            whole = len(data) // 2
            data = data[:whole]
        for name, value in {"Content-Type": kind, "Content-Length": str(whole), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(self.fault, tuple) and self.fault[0] == "slow":
            time.sleep(self.fault[1])
        if self.fault == "cut":
            data = data[: len(data) // 2]
            self.close_connection = True
        self.wfile.write(data)
        self.hub.sent[unquote(urlsplit(self.path).path)] += len(data)
        if self.fault == "cut":
            self.wfile.flush()
            self.connection.shutdown(2)

    def _json(self, value, status=200, headers=None):
        self._send(json.dumps(value).encode(), status, headers, kind="application/json")

    def _error(self, status, code, message):
        self._json({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message})

    @property
    def _token(self):
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _repository(self, kind, name):
        """Return a repository that may be seen; answers and returns None otherwise."""
        found = self.hub.repositories.get((kind.rstrip("s") or "model", name))
        if found is None or (found.private and self._token not in (READER, WRITER)):
            self._error(404 if self._token else 401, "RepoNotFound", "Repository not found")
            return None
        return found

    def _revision(self, repository, revision):
        found = repository.resolve(revision or "main")
        if found is None:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found

    def _may_read(self, repository):
        if not repository.gated or self._token in (READER, WRITER):
            return True
        where = f"{self.hub.url}/datasets/{repository.name}"
        if not self._token:
            self._error(401, "GatedRepo", f"Access to dataset {repository.name} is restricted. Please log in.")
        else:
            self._error(403, "GatedRepo", f"Ask for access at {where}; your account is not in the authorized list.")
        return False

    # Reading.

    def info(self, kind, name, revision=""):
        repository = self._repository(kind, name)
        if repository is None or (found := self._revision(repository, revision)) is None:
            return
        commit, files = found
        self._json(
            {
                "_id": commit[:24],
                "id": name,
                "author": name.partition("/")[0],
                "sha": commit,
                "private": repository.private,
                "gated": "manual" if repository.gated else False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "cardData": repository.card,
                "siblings": [{"rfilename": path} for path in sorted(files)],
            }
        )

    def refs(self, kind, name):
        if repository := self._repository(kind, name):
            answer = {"branches": [], "converts": [], "tags": []}
            for revision in repository.revisions:
                kind, ref = ("converts", revision) if "/" in revision else ("branches", f"refs/heads/{revision}")
                commit = repository.commit(revision)
                answer[kind].append({"name": revision.split("/")[-1], "ref": ref, "targetCommit": commit})
            self._json(answer)

    def tree(self, kind, name, revision, folder):
        repository = self._repository(kind, name)
        if repository is None or (found := self._revision(repository, revision)) is None:
            return None
        _, files = found
        inside = f"{folder}/" if folder else ""
        entries = {}
        for path, data in sorted(files.items()):
            if not path.startswith(inside):
                continue
            parts = path.removeprefix(inside).split("/")
            for depth in range(1, len(parts)):
                where = inside + "/".join(parts[:depth])
                entries[where] = {"type": "directory", "path": where, "oid": blob_id(where.encode()), "size": 0}
            entries[path] = _entry(path, content(data))
        if self.query.get("recursive", ["false"])[0].lower() not in ("true", "1"):
            entries = {path: entry for path, entry in entries.items() if "/" not in path.removeprefix(inside)}
        if not entries and folder:
            return self._error(404, "EntryNotFound", f"{folder} does not exist on {revision}")
        start = int(self.query.get("cursor", ["0"])[0])
        listed, headers = list(entries.values()), {}
        if start + PAGE < len(listed):
            query = "&".join(f"{k}={v[0]}" for k, v in self.query.items() if k != "cursor")
            following = f"{self.hub.url}{urlsplit(self.path).path}?{query}&cursor={start + PAGE}"
            headers = {"Link": f'<{following}>; rel="next"'}
        return self._json(listed[start : start + PAGE], 200, headers)

    def paths_info(self, kind, name, revision):
        repository = self._repository(kind, name)
        if repository is None or (found := self._revision(repository, revision)) is None:
            return
        asked, (_, files) = json.loads(self.body)["paths"], found
        entries = [_entry(path, content(files[path])) for path in asked if path in files]
        folders = [path for path in asked if any(name.startswith(f"{path}/") for name in files)]
        entries += [{"type": "directory", "path": p, "oid": blob_id(p.encode()), "size": 0} for p in folders]
        self._json(entries)

    def resolve(self, name, revision, path, kind=""):
        repository = self._repository(kind.strip("/"), name)
        if repository is None or not self._may_read(repository):
            return
        if (found := self._revision(repository, revision)) is None:
            return
        commit, files = found
        if path not in files:
            self._error(404, "EntryNotFound", f"{path} does not exist on {revision}")
            return
        data = content(files[path])
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if not path.endswith(LARGE):
            self._ranged(data, headers | {"ETag": f'"{blob_id(data)}"'})
            return
        digest = sha256(data)
        self.hub.objects[digest] = data
        headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data)), "ETag": f'"{blob_id(data)}"'}
        place = f"{self.hub.other_host}/storage/{digest}/{path.replace('/', '-')}"
        self._send(b"Found", 302, headers | {"Location": place})

    def storage(self, digest, name):
        if self.headers.get("Authorization"):
            self._json({"error": "the token was sent to another host"}, 400)
            return
        self._ranged(self.hub.objects[digest], {"ETag": f'"{digest}"'})

    def _ranged(self, data, headers):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not wanted:
            self._send(data, 200, headers)
            return
        first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
        if first >= len(data):
            self._send(b"", 416, headers | {"Content-Range": f"bytes */{len(data)}"})
            return
        self._send(data[first : last + 1], 206, headers | {"Content-Range": f"bytes {first}-{last}/{len(data)}"})

    # Writing.

    def whoami(self):
        if self._token not in (READER, WRITER, STRANGER):
            self._error(401, "", "Invalid user token.")
            return
        role = "write" if self._token == WRITER else "read"
        self._json({"type": "user", "name": "me", "orgs": [], "auth": {"accessToken": {"role": role}}})

    def _may_write(self):
        if self._token == WRITER:
            return True
        self._error(403 if self._token in (READER, STRANGER) else 401, "", "You may not write here.")
        return False

    def create(self):
        if not self._may_write():
            return
        asked = json.loads(self.body)
        kind = asked.get("type") or "model"
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        url = f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in self.hub.repositories:
            self._json({"error": "You already created this repo", "url": url}, 409)
            return
        self.hub.add(Repository(name, kind, private=asked.get("visibility") == "private" or bool(asked.get("private"))))
        self._json({"url": url, "name": name})

    def validate_yaml(self):
        self._json({"errors": [], "warnings": []})

    def preupload(self, kind, name, revision):
        repository = self._repository(kind, name)
        if repository is None or not self._may_write():
            return
        _, files = repository.resolve(revision)
        answers = []
        for each in json.loads(self.body)["files"]:
            path, large = each["path"], each["path"].endswith(LARGE)
            answer = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            if path in files:
                answer["oid"] = (sha256 if large else blob_id)(content(files[path]))
            answers.append(answer)
        self._json({"files": answers})

    def batch(self, name, kind=""):
        if self._repository(kind.strip("/"), name) is None or not self._may_write():
            return
        objects = []
        for each in json.loads(self.body)["objects"]:
            answer = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.hub.objects:
                answer["actions"] = {"upload": {"href": f"{self.hub.other_host}/upload/{each['oid']}"}}
            objects.append(answer)
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, digest):
        if sha256(self.body) != digest:
            self._json({"error": "the bytes are not those that were announced"}, 400)
            return
        self.hub.objects[digest] = self.body
        self._json({})

    def commit(self, kind, name, revision):
        repository = self._repository(kind, name)
        if repository is None or not self._may_write():
            return
        files = repository.revisions[revision]
        for line in self.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
        oid = repository.commit(revision)
        self._json(
            {"success": True, "commitOid": oid, "commitUrl": f"{self.hub.url}/{name}/commit/{oid}", "hookOutput": ""}
        )


def _of_bytes(fault):
    return isinstance(fault, str) or (isinstance(fault, tuple) and fault[0] == "slow")


def _entry(path, data):
    entry = {"type": "file", "path": path, "oid": blob_id(data), "size": len(data)}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 134}
    return entry


_NAME = r"(?P<name>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>datasets|models)/{_NAME}"
_ROUTES = [
    (("GET",), "/api/whoami-v2", _Handler.whoami),
    (("POST",), "/api/repos/create", _Handler.create),
    (("POST",), "/api/validate-yaml", _Handler.validate_yaml),
    (("GET",), f"{_API}/refs", _Handler.refs),
    (("GET",), rf"{_API}(/revision/(?P<revision>[^/]+))?", _Handler.info),
    (("GET",), rf"{_API}/tree/(?P<revision>[^/]+)(/(?P<folder>.*))?", _Handler.tree),
    (("POST",), rf"{_API}/paths-info/(?P<revision>[^/]+)", _Handler.paths_info),
    (("POST",), rf"{_API}/preupload/(?P<revision>[^/]+)", _Handler.preupload),
    (("POST",), rf"{_API}/commit/(?P<revision>[^/]+)", _Handler.commit),
    (("POST",), rf"/(?P<kind>datasets/)?{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    (("PUT",), r"/upload/(?P<digest>[0-9a-f]{64})", _Handler.upload),
    (("GET", "HEAD"), rf"/(?P<kind>datasets/)?{_NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _Handler.resolve),
    (("GET", "HEAD"), r"/storage/(?P<digest>[0-9a-f]{64})/(?P<name>.+)", _Handler.storage),
]
"""Method, path, answer; the first that matches counts."""
