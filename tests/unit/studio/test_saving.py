"""A save changes what it says and no other byte; what changed on disk meanwhile is never lost."""

import pytest

ONE = "11111111-1111-4111-8111-111111111111"
TWO = "22222222-2222-4222-8222-222222222222"


def fields(found: dict) -> dict:
    return {key: found[key] for key in ("name", "language", "jinja", "answer_choices", "metadata", "reference")}


def test_a_save_keeps_every_other_byte(studio) -> None:
    found = studio.get("templates", key="toy")
    first = fields(found["templates"][0])
    same = studio.ask("PUT", "templates", key="toy", version=found["version"], id=ONE, template=first)
    assert same["version"] == found["version"]
    assert studio.file("toy").read_text(encoding="utf-8") == studio.KEYED
    first["jinja"] = "{{text}}\nIs it fine? ||| {{ answer_choices[label] }}"
    first["metadata"] |= {"metrics": ["Accuracy", "BLEU"], "choices_in_prompt": True}
    first["reference"] = "mine: own"
    saved = studio.ask("PUT", "templates", key="toy", version=found["version"], id=ONE, template=first)
    text = studio.file("toy").read_text(encoding="utf-8")
    assert text[text.index(f"  {TWO}") :] == studio.KEYED[studio.KEYED.index(f"  {TWO}") :]
    assert text.startswith(studio.KEYED[: studio.KEYED.index("    jinja")])
    now = studio.get("templates", key="toy")
    assert (now["version"], now["templates"][0]["line"]) == (saved["version"], 4)
    assert fields(now["templates"][0]) == first
    diff = studio.get("diff", key="toy")["diff"]
    assert "-      Is it good?" in diff
    assert "+      - BLEU" in diff


@pytest.mark.parametrize(
    ("key", "which", "change"),
    [
        ("toy", 0, {"answer_choices": None}),
        ("toy", 0, {"answer_choices": "Nein ||| Ja"}),
        ("toy", 0, {"name": "yes"}),
        ("toy", 0, {"metadata": {"metrics": [], "original_task": None}}),
        ("toy", 0, {"language": "fr", "metadata": {"metrics": ["x, y"], "languages": ["fr"]}}),
        ("toy", 1, {"answer_choices": "a ||| b", "metadata": {"choices_in_prompt": False, "metrics": ["BLEU"]}}),
        ("toy", 1, {"jinja": "{{text}}\n\n# no comment: 'x' \\n \"y\" ||| {{text}}", "reference": "- a: b"}),
        ("plain", 0, {"answer_choices": "a ||| b", "reference": "r", "metadata": {"original_task": True}}),
        ("plain", 1, {"name": "third", "jinja": "  leading\n\ttabs ||| {{label}}  "}),
        (
            "plain",
            1,
            {"language": "ar", "metadata": {"languages": ["ar"]}, "jinja": "{{text}}\nهل هذا سيئ؟ ||| {{label}}"},
        ),
    ],
)
def test_every_field_is_read_back_as_it_was_saved(studio, key: str, which: int, change: dict) -> None:
    found = studio.get("templates", key=key)
    wanted = fields(found["templates"][which])
    metadata = wanted["metadata"] | change.get("metadata", {})
    wanted |= change | {"metadata": metadata}
    name = found["templates"][which]["id"]
    saved = studio.ask("PUT", "templates", key=key, version=found["version"], id=name, template=wanted)
    now = studio.get("templates", key=key)["templates"]
    assert fields(now[which]) == wanted
    assert now[1 - which] | {"line": 0} == found["templates"][1 - which] | {"line": 0}
    assert now[which]["id"] == saved["id"]
    assert saved["id"] == (f"name:{wanted['name']}" if key == "plain" else name)


def test_a_new_template_gets_an_id_that_stays(studio, draft) -> None:
    version = studio.get("templates", key="toy")["version"]
    new = draft("{{text}} New? ||| {{answer_choices[label]}}", "no ||| yes", name="neu", language="en")
    saved = studio.ask("PUT", "templates", key="toy", version=version, id=None, template=new)
    assert studio.file("toy").read_text(encoding="utf-8").startswith(studio.KEYED)
    again = studio.get("templates", key="toy")["templates"][2]
    assert (again["id"], again["name"], again["jinja"]) == (saved["id"], "neu", new["jinja"])
    twice = studio.ask("PUT", "templates", 400, key="toy", version=saved["version"], id=None, template=new)
    assert "another template is already called 'neu'" in twice["error"]["message"]
    gone = studio.ask("DELETE", "templates", key="toy", version=saved["version"], id=saved["id"])
    assert studio.file("toy").read_text(encoding="utf-8") == studio.KEYED
    last = studio.ask("DELETE", "templates", key="toy", version=gone["version"], id=ONE)
    refused = studio.ask("DELETE", "templates", 400, key="toy", version=last["version"], id=TWO)
    assert "delete the file instead" in refused["error"]["message"]


def test_a_file_that_changed_meanwhile_is_never_overwritten(studio) -> None:
    found = studio.get("templates", key="plain")
    theirs = studio.PLAIN.replace("Bad?", "Worse?")
    studio.file("plain").write_text(theirs, encoding="utf-8")
    mine = fields(found["templates"][0]) | {"jinja": "{{text}} Fine? ||| {{label}}"}
    body = {"key": "plain", "id": "name:ask", "template": mine}
    conflict = studio.ask("PUT", "templates", 409, version=found["version"], force=True, **body)
    assert conflict["error"]["code"] == "conflict"
    assert conflict["theirs"]["text"] == theirs
    assert conflict["mine"]["text"] == studio.PLAIN.replace("Good?", "Fine?")
    assert all(line in conflict["diff"] for line in ("-      Worse? ||| {{label}}", "+      Bad? ||| {{label}}"))
    assert studio.file("plain").read_text(encoding="utf-8") == theirs
    kept = [studio.ask("POST", "keep", key="plain", text=conflict["mine"]["text"])["file"] for _ in range(2)]
    assert [path.rpartition("/")[2] for path in kept] == ["templates.mine-1.yaml", "templates.mine-2.yaml"]
    studio.ask("PUT", "templates", version=conflict["theirs"]["version"], **body)
    assert studio.file("plain").read_text(encoding="utf-8") == theirs.replace("Good?", "Fine?")
    assert {entry["key"] for entry in studio.get("collection")["entries"]} == {"toy", "plain"}


def test_lines_of_other_systems_and_marks_stay(studio) -> None:
    path = studio.file("plain")
    path.write_bytes("\ufeff".encode() + studio.PLAIN.replace("\n", "\r\n").encode())
    found = studio.get("templates", key="plain")
    wanted = fields(found["templates"][1]) | {"jinja": "{{text}}\nBetter? ||| {{label}}"}
    studio.ask("PUT", "templates", key="plain", version=found["version"], id="name:other", template=wanted)
    assert path.read_bytes() == "\ufeff".encode() + studio.PLAIN.replace("Bad", "Better").replace("\n", "\r\n").encode()


def test_lint_says_what_is_wrong_with_its_line(studio, draft) -> None:
    found = studio.ask(
        "POST", "lint", key="toy", template=None, draft=draft("{{text}}\nGood?\n{{ labl }} ||| {{label}}")
    )
    undefined = next(each for each in found["findings"] if each["code"] == "undefined-name")
    assert (undefined["severity"], undefined["line"], undefined["template"]) == ("error", 3, "new")
    found = studio.ask("POST", "lint", key="plain", template="name:ask", draft=draft("a\n{{ b c }} ||| d", name="ask"))
    assert [(each["code"], each["line"]) for each in found["findings"]] == [("does-not-compile", 2)]
    counts = {entry["key"]: entry["findings"] for entry in studio.get("overview")["entries"]}
    assert counts["toy"]["error"] == 0
    assert studio.get("collection")["entries"][0]["findings"] is not None


def test_a_file_that_cannot_be_read_is_said_so(studio) -> None:
    studio.file("plain").write_text("templates: [", encoding="utf-8")
    entry = next(entry for entry in studio.get("overview")["entries"] if entry["key"] == "plain")
    assert "not valid YAML" in entry["problem"]
    assert "not valid YAML" in studio.ask("GET", "templates?key=plain", 400)["error"]["message"]


@pytest.mark.parametrize("key", ["toy", "plain"])
@pytest.mark.parametrize(
    "jinja",
    [
        "{{ b c }} ||| d",
        "{% if a %} ||| d",
        "",
        "a\u0085b\u2028c\x07 ||| d",
        "tab\there\r\nline ||| d",
        "'\"{}[]&*!|>%@`#: - ? ||| d",
        "x" * 20_000 + " ||| d",
        "🙂 😀 ||| é",
    ],
    ids=range(8),
)
def test_what_is_written_half_or_oddly_is_saved_as_it_is_or_refused(studio, draft, key: str, jinja: str) -> None:
    version = studio.get("templates", key=key)["version"]
    before = studio.file(key).read_bytes()
    body = {"key": key, "version": version, "id": None, "template": draft(jinja, name="odd", language="en")}
    answer = studio.client.put("/api/templates", json=body)
    if answer.status_code == 200:
        assert studio.file(key).read_bytes().startswith(before)
        assert studio.get("templates", key=key)["templates"][2]["jinja"] == jinja
    else:
        assert answer.status_code in (400, 422), answer.text
        assert studio.file(key).read_bytes() == before


def test_half_a_character_is_refused(studio) -> None:
    version = studio.get("templates", key="toy")["version"]
    body = f'{{"key": "toy", "version": "{version}", "template": {{"name": "odd", "jinja": "\\ud800 ||| a"}}}}'
    answer = studio.client.put("/api/templates", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert studio.file("toy").read_text(encoding="utf-8") == studio.KEYED
