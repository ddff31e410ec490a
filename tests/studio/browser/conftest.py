"""A studio in a thread, on a collection of its own, and a page of it in Chromium."""

import json
import threading
from types import SimpleNamespace

import pytest

ROWS = 10_000
SCRIPT = '<script>document.title="run"</script><img src=x onerror="document.title=1">'
ARABIC = "الفندق نظيف والطعام لذيذ"

TEMPLATES = """\
# A comment that saving keeps.
dataset: reviews
templates:
  5b0c2f0e-6b57-4c39-9b0e-0d8c9a5d1a01: !Template
    id: 5b0c2f0e-6b57-4c39-9b0e-0d8c9a5d1a01
    name: ask
    jinja: |-
      Review: {{ text }}
      Is this review good or bad?
      |||
      {{ answer_choices[label] }}
    answer_choices: bad ||| good
    reference: ''
    metadata: !TemplateMetadata {original_task: true, choices_in_prompt: true, languages: [en], metrics: [Accuracy]}
  5b0c2f0e-6b57-4c39-9b0e-0d8c9a5d1a02: !Template
    id: 5b0c2f0e-6b57-4c39-9b0e-0d8c9a5d1a02
    name: recommend
    jinja: |-
      A guest wrote: {{ text }}
      Would this guest recommend the place?
      |||
      {{ answer_choices[label] }}
    answer_choices: no ||| yes
    reference: ''
    metadata: !TemplateMetadata {original_task: true, choices_in_prompt: false, languages: [en], metrics: [Accuracy]}
  5b0c2f0e-6b57-4c39-9b0e-0d8c9a5d1a03: !Template
    id: 5b0c2f0e-6b57-4c39-9b0e-0d8c9a5d1a03
    name: ask_frmt
    jinja: |-
      Avis : {{ text }}
      Cet avis est-il bon ou mauvais ?
      |||
      {{ answer_choices[label] }}
    answer_choices: mauvais ||| bon
    reference: ''
    metadata: !TemplateMetadata {original_task: true, choices_in_prompt: true, languages: [fr], metrics: [Accuracy],
      state: machine, original: ask, engine: apertium, date: 2026-11-30}
  5b0c2f0e-6b57-4c39-9b0e-0d8c9a5d1a04: !Template
    id: 5b0c2f0e-6b57-4c39-9b0e-0d8c9a5d1a04
    name: ask_armt
    jinja: |-
      مراجعة: {{ text }}
      هل هذه المراجعة جيدة أم سيئة؟
      |||
      {{ answer_choices[label] }}
    answer_choices: سيئة ||| جيدة
    reference: ''
    metadata: !TemplateMetadata {original_task: true, choices_in_prompt: true, languages: [ar], metrics: [Accuracy],
      state: unreviewed, original: ask, engine: hand, date: 2026-11-30}
"""


def _row(index):
    special = {3: ARABIC, 5: SCRIPT, 7: "long " * 60_000}
    return {"text": special.get(index, f"Room {index} was {'fine' if index % 2 else 'cold'}"), "label": index % 2}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    with (folder / "reviews.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(_row(index)) + "\n" for index in range(ROWS))
    (folder / "templates.yaml").write_text(TEMPLATES, encoding="utf-8")
    (folder / "recipe.yaml").write_text(
        "name: reviews\nown_tasks:\n"
        f"  - {{id: reviews, path: {folder}/reviews.jsonl, templates: {folder}/templates.yaml, language: en,"
        " cluster: sentiment, kind: rank}\n"
        "mixture: {tasks: [{tasks: [reviews]}]}\nmodel: {base: none}\ntraining: {steps: 1}\n",
        encoding="utf-8",
    )
    (folder / "sentences.sed").write_text(
        "s/Is this review good or bad?/Cet avis est-il bon ou mauvais ?/\ns/A guest wrote/Un client a écrit/\n"
        "s/Would this guest recommend the place?/Ce client recommanderait-il ce lieu ?/\ns/^yes$/oui/\ns/^no$/non/\n",
        encoding="utf-8",
    )
    return folder


def _double(gate):
    """A model that answers word by word, and waits for the gate before the last one."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import StreamingResponse

    def event(name, data):
        return f"event: {name}\ndata: {json.dumps(data)}\n\n"

    async def answer(request):
        asked = await request.json()

        async def events():
            scores = [
                {"choice": text, "logprob": value, "normalised": value}
                for text, value in (("bad", -4.0), ("good", -1.0))
            ]
            yield event("choices", {"scores": scores, "picked": 1})
            yield event("text", {"piece": f"row {asked['row']} "})
            await run_in_threadpool(gate.wait, 30)
            yield event("text", {"piece": "is good"})
            yield event("done", {"tokens": 4, "seconds": 0.5})

        return StreamingResponse(events(), media_type="text/event-stream")

    return answer


@pytest.fixture(scope="session")
def studio(folder):
    import uvicorn
    from starlette.routing import Route

    from xmtf.loopback.address import listen
    from xmtf.loopback.checks import Guarded
    from xmtf.recipe import load_recipe
    from xmtf.studio.app import build_app
    from xmtf.studio.place import open_place
    from xmtf.studio.rows import RowReader
    from xmtf.studio.session import Options, Session
    from xmtf.tasks import load_catalogue

    tasks = load_catalogue(load_recipe(folder / "recipe.yaml")).tasks
    options = Options(models=("double",), engines=(f"command:sed -f {folder}/sentences.sed",), offline=True)
    session = Session(open_place("reviews", tasks), options, rows=RowReader(offline=True))
    app, gate = build_app(session), threading.Event()
    app.router.routes.insert(0, Route("/api/try", _double(gate), methods=["POST"]))
    socket, address = listen("127.0.0.1", 0)
    config = uvicorn.Config(Guarded(app, address), log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    yield SimpleNamespace(url=address.url, file=folder / "templates.yaml", gate=gate, script=SCRIPT, arabic=ARABIC)
    gate.set()
    server.should_exit = True
    thread.join(20)
    session.close()
    socket.close()


@pytest.fixture(scope="module")
def expect(chromium):
    """What waits until something holds in the page; the policy of the page forbids to evaluate texts there."""
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    return expect


@pytest.fixture(scope="module")
def window(chromium):
    """One window for the tests of a module, as a new one costs a second of processor time; its errors and requests."""
    page = chromium.new_context(color_scheme="light").new_page()
    page.set_default_timeout(60_000)
    faults, asked = [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("response", lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    page.on("request", lambda asking: asked.append(asking.url))
    page.on("dialog", lambda dialog: dialog.accept())  # drafts of the test before are left
    return SimpleNamespace(page=page, faults=faults, asked=asked)


@pytest.fixture
def page(window, studio):
    """A page that has come in by its token; afterwards nothing may have failed in it or gone out of it."""
    studio.file.write_text(TEMPLATES, encoding="utf-8")
    page = window.page
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    if page.url != "about:blank":
        page.evaluate("localStorage.clear()")
    page.goto(studio.url)
    page.wait_for_selector("#renderings .card")
    window.faults.clear()
    window.asked.clear()
    yield page
    assert [fault for fault in window.faults if "409 (Conflict)" not in fault and not fault.startswith("409 ")] == []
    origin = studio.url.partition("/?")[0]
    assert all(url.startswith(origin) for url in window.asked)
