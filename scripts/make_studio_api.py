"""Write docs/studio-api.json: what the studio's page and server say to each other, as OpenAPI.

    python scripts/make_studio_api.py

The types stand in src/xmtf/studio/interface/; a test holds the file to them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from xmtf.studio.app import OPERATIONS, Operation
from xmtf.studio.interface.browsing import Conflict, ErrorBody
from xmtf.studio.interface.trying import TryEvents

OUT = Path(__file__).parents[1] / "docs" / "studio-api.json"
_REFS = "#/components/schemas/{model}"
_CONFLICTS = ("PUT", "DELETE")


def main() -> None:
    """Write the file anew."""
    OUT.write_text(schema_text(), encoding="utf-8")
    print(OUT)


def schema_text() -> str:
    """Return the content of the file."""
    models: dict[type[Any], str] = {ErrorBody: "serialization", Conflict: "serialization"}
    for operation in OPERATIONS:
        models |= {operation.request: "validation", operation.answer: "serialization"}
    refs, definitions = models_json_schema(list(models.items()), ref_template=_REFS)  # type: ignore[arg-type]
    paths: dict[str, dict[str, object]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, refs, models)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "xmtf template serve", "version": "1"},
        "paths": paths,
        "components": {"schemas": definitions["$defs"]},
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _described(operation: Operation, refs: Any, models: dict[type[Any], str]) -> dict[str, object]:
    """Return one operation; what it does is the first line of its function's docstring."""

    def ref(model: type[Any]) -> dict[str, str]:
        found: dict[str, str] = refs[model, models[model]]
        return found

    kind = "text/event-stream" if operation.answer is TryEvents else "application/json"
    answers = {"200": _body("done", ref(operation.answer), kind), "default": _body("refused", ref(ErrorBody))}
    if operation.method in _CONFLICTS:
        answers["409"] = _body("the file changed on disk", ref(Conflict))
    about: dict[str, object] = {"summary": (operation.function.__doc__ or "").partition("\n")[0], "responses": answers}
    if operation.method == "GET":
        about["parameters"] = [
            {"name": name, "in": "query", "required": field.is_required(), "schema": _schema_of(operation, name)}
            for name, field in operation.request.model_fields.items()
        ]
    else:
        about["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(operation.request)}}}
    return about


def _schema_of(operation: Operation, name: str) -> object:
    return operation.request.model_json_schema()["properties"][name]


def _body(about: str, schema: object, kind: str = "application/json") -> dict[str, object]:
    return {"description": about, "content": {kind: {"schema": schema}}}


if __name__ == "__main__":
    main()
