"""Rows are rendered as a build renders them, and a hostile template costs its author one line."""

import time

import pytest

from xmtf.studio.process.worker import Worker, WorkerError


def test_a_draft_is_rendered_with_targets_and_choices(studio, draft) -> None:
    found = studio.ask(
        "POST", "render", key="toy", rows=[1, 2], draft=draft("{{text}}? ||| {{answer_choices[label]}}", "no ||| yes")
    )
    first = found["renderings"][0]
    assert (first["inputs"], first["targets"], first["choices"], first["target_index"]) == (
        "row 1 Straße?",
        ["yes"],
        ["no", "yes"],
        1,
    )
    assert found["renderings"][1]["row"] == 2


def test_all_templates_of_a_file_are_rendered_over_one_row(studio, draft) -> None:
    found = studio.ask("POST", "render", key="toy", rows=[7])["renderings"]
    assert [each["name"] for each in found] == ["is it good", "again"]
    assert found[0]["inputs"] == "row 7 Straße\nIs it good?"
    assert found[1]["inputs"] == "row 7 Straße Say it again."
    one = studio.ask("POST", "render", key="toy", rows=[0], draft=draft("{{text}} ||| a", "a"))["renderings"][0]
    assert one["dropped"].startswith("fewer than two answer choices")
    assert "two or more answer choices" in one["remedy"]


@pytest.mark.parametrize(
    ("jinja", "said", "line"),
    [
        ("a\n{{ b c }} ||| d", "does not compile", 2),
        ("{% for a in b %} ||| d", "does not compile", 1),
        ("{{ ''.__class__.__mro__ }} ||| d", "", None),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }} ||| d", "recursion", None),
        ("{{ 'x' * 3900000 }} ||| {{ 'x' * 3900000 }}", "renders too much", None),
        ("{{ 'x' * 10**9 }} ||| d", "", None),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %} ||| d", "", None),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }} ||| d", "", None),
        ("no target", "", None),
    ],
)
def test_hostile_templates_are_a_line(studio, draft, jinja: str, said: str, line: int | None) -> None:
    found = studio.ask("POST", "render", key="toy", rows=[0], draft=draft(jinja))
    if said:
        assert found["renderings"] == []
        assert said in found["error"]["message"]
        assert found["error"]["line"] == line
        assert "\n" not in found["error"]["message"]
    else:
        assert found["renderings"][0]["inputs"] is None
        assert found["renderings"][0]["dropped"]
        assert "\n" not in found["renderings"][0]["dropped"]
    assert studio.ask("POST", "render", key="toy", rows=[0])["error"] is None


def test_a_script_in_a_row_or_template_is_only_data(studio, draft) -> None:
    jinja = "<script>alert(1)</script>{{text}}? ||| <img src=x onerror=alert(1)>"
    answer = studio.client.post("/api/render", json={"key": "toy", "rows": [0], "draft": draft(jinja)})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["renderings"][0]["inputs"].startswith("<script>alert(1)</script>row 0")


_PROGRAM = """
import sys, types
def hang():
    while True: pass
def grow():
    return {"size": len(bytearray(10**9))}
jobs = types.ModuleType("xmtf.studio.process.jobs")  # without what rendering needs, it starts at once
jobs.JOBS = {"hang": hang, "grow": grow, "work": lambda: {"done": 1}}
sys.modules["xmtf.studio.process.jobs"] = jobs
from xmtf.studio.process.sandboxed import main
main(float(sys.argv[1]), int(sys.argv[2]))
"""


def test_what_the_sandbox_misses_is_killed_and_the_next_is_answered() -> None:
    worker = Worker(limit_s=1.0, memory_mib=300, program=("-c", _PROGRAM))
    try:
        began = time.process_time()
        with pytest.raises(WorkerError, match="took longer than 1 s"):
            worker.ask("hang")
        assert time.process_time() - began < 0.5  # the server itself does not work
        with pytest.raises(WorkerError, match="memory"):
            worker.ask("grow")
        assert worker.ask("work") == {"done": 1}
    finally:
        worker.close()


def test_only_what_the_command_line_names_can_be_chosen(studio) -> None:
    answer = studio.ask("POST", "render", 404, key="toy", rows=[0], tokenizer="/etc/passwd")
    assert "unknown tokenizer" in answer["error"]["message"]
