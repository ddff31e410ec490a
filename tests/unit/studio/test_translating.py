"""Translations: suggested by an engine, decided by a person, written by the rules of the exchange."""

import pytest

ORIGINAL = "22222222-2222-4222-8222-222222222222"


class Engine:
    """Knows few sentences."""

    name, version, styles = "toy", "1", ("xml", "braces")

    def translate(self, texts, source, target):
        return [text.replace("Say it again", "Dis-le encore").replace("Is it good", "Est-ce bon") for text in texts]


@pytest.fixture
def engine(studio, monkeypatch):
    monkeypatch.setattr("xmtf.studio.translating.open_engine", lambda name: Engine())
    monkeypatch.setattr(studio.session, "options", studio.options(engines=("toy",)))
    return studio


def decision(studio, **body):
    version = studio.get("templates", key="toy")["version"]
    sent = {"key": "toy", "version": version, "language": "fr", "original": ORIGINAL, "reviewer": "A. Reader"}
    return sent | body


def test_a_suggestion_is_reviewed_and_keeps_its_engine(engine) -> None:
    found = engine.get("translations", key="toy", language="fr")
    assert [entry["state"] for entry in found["entries"]] == [None, None]
    assert found["progress"] == {"done": 0, "total": 2, "by_state": {"missing": 2}}
    made = engine.ask("POST", "translations/suggest", key="toy", language="fr", id=ORIGINAL, engine="toy")
    assert made["jinja"] == "{{text}} Dis-le encore. ||| {{text}}"
    assert made["problems"] == []
    body = decision(engine, jinja=made["jinja"], decision="accept")
    done = engine.ask("PUT", "translations", **body)
    assert done["state"] == "reviewed"
    assert engine.file("toy").read_text(encoding="utf-8").startswith(engine.KEYED)
    found = engine.get("translations", key="toy", language="fr")
    assert (found["version"], found["progress"]["done"]) == (done["version"], 1)
    entry = found["entries"][1]
    assert (entry["state"], entry["reviewer"], entry["translation"]["engine"]) == ("reviewed", "A. Reader", "toy")
    template = engine.get("templates", key="toy")["templates"][2]
    assert (template["name"], template["language"], template["translated_from"]) == ("again_frht", "fr", "again")
    states = engine.get("collection")["entries"][1]["states"]
    assert states == {"original": 2, "reviewed": 1}


def test_an_edit_is_unreviewed_and_a_rejection_names_who(studio) -> None:
    first = "11111111-1111-4111-8111-111111111111"
    french = "{{text}}\nEst-ce bon ? ||| {{ answer_choices[label] }}"
    body = decision(studio, original=first, jinja=french, answer_choices="Non ||| Oui", decision="edit", reviewer="")
    assert studio.ask("PUT", "translations", **body)["state"] == "unreviewed"
    body = decision(studio, original=first, jinja=french, answer_choices="Non ||| Oui", decision="reject", reviewer="")
    assert "give the reviewer's name" in studio.ask("PUT", "translations", 400, **body)["error"]["message"]
    assert studio.ask("PUT", "translations", **body | {"reviewer": "B"})["state"] == "rejected"
    better = body | {"version": studio.get("templates", key="toy")["version"], "reviewer": "C", "decision": "accept"}
    better |= {"jinja": french.replace("bon", "bien")}
    assert studio.ask("PUT", "translations", **better)["state"] == "reviewed"
    entry = studio.get("translations", key="toy", language="fr")["entries"][0]
    assert (entry["reviewer"], entry["translation"]["jinja"]) == ("C", better["jinja"])


@pytest.mark.parametrize(
    ("jinja", "said"),
    [
        ("{{texte}} Dis-le encore. ||| {{text}}", "lost {{text}}; new {{texte}}"),
        ("{{text}} Dis-le encore. ||| {{text | upper}}", "the code differs from the original's"),
        ("{{text}} Dis-le encore.", "the code differs from the original's"),
        ("{{text}} {{ Dis-le ||| {{text}}", "does not compile"),
        ("{{text}} ||| {{text}}", "inputs of 'again': is empty"),
    ],
)
def test_broken_placeholders_are_refused(studio, jinja: str, said: str) -> None:
    refused = studio.ask("PUT", "translations", 400, **decision(studio, jinja=jinja, decision="accept"))
    assert said in refused["error"]["message"]
    assert studio.file("toy").read_text(encoding="utf-8") == studio.KEYED


def test_a_decision_on_a_file_that_changed_is_a_conflict(studio) -> None:
    body = decision(studio, jinja="{{text}} Dis-le encore. ||| {{text}}", decision="accept")
    changed = studio.KEYED.replace("Say it again", "Repeat it")
    studio.file("toy").write_text(changed, encoding="utf-8")
    conflict = studio.ask("PUT", "translations", 409, **body)
    assert "again_frht" in conflict["mine"]["text"]
    assert studio.file("toy").read_text(encoding="utf-8") == changed


def test_only_engines_of_the_command_line_are_asked(studio) -> None:
    body = {"key": "toy", "language": "fr", "id": ORIGINAL, "engine": "command:rm -rf /"}
    assert "unknown engine" in studio.ask("POST", "translations/suggest", 404, **body)["error"]["message"]
