"""The interface in the docs is the one that is served."""

from pathlib import Path

from make_studio_api import OUT, schema_text
from xmtf.studio.app import OPERATIONS


def test_the_schema_in_the_docs_is_that_of_the_types() -> None:
    assert Path(OUT).read_text(encoding="utf-8") == schema_text(), "run python scripts/make_studio_api.py"


def test_every_operation_says_what_it_does() -> None:
    assert all(operation.function.__doc__ for operation in OPERATIONS)
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)


def test_a_request_with_unknown_keys_or_another_type_is_refused(studio) -> None:
    refused = studio.ask("POST", "render", 422, key="toy", rows=[0], nonsense=1)
    assert refused["error"]["message"].startswith("nonsense: ")
    assert studio.client.get("/api/rows", params={"key": "toy", "offset": "-1"}).status_code == 422
    form = studio.client.post("/api/render", content=b"key=toy", headers={"content-type": "text/plain"})
    assert form.status_code == 415
    broken = studio.client.post("/api/render", content=b"{", headers={"content-type": "application/json"})
    assert broken.status_code == 422
    assert studio.client.get("/api/nothing").json()["error"]["code"] == "not-found"
    assert studio.client.put("/api/rows", json={}).json()["error"]["code"] == "method"


def test_the_page_and_its_files_are_served(studio) -> None:
    page = studio.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script>" not in page.text  # which the policy would not run
    assert studio.client.get("/static/js/main.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert studio.client.get("/static/../app.py").status_code == 404
