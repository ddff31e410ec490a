"""Templates are code from strangers: whatever they try ends in a TemplateError, within two seconds."""

import sys
from pathlib import Path

import pytest

from xmtf.errors import TemplateError
from xmtf.templates import Template

ROW = {"text": "word " * 100, "items": ["a", "b"], "label": 1, "answers": {"text": ["x"]}}


def grown(start, step, end=""):
    """Return a template that makes a value again and again from itself."""
    return (
        f"{{% set ns = namespace(s={start}) %}}{{% for i in range(99) %}}{{% set ns.s = {step} %}}{{% endfor %}}{end}"
    )


ESCAPES = [
    "{{ ''.__class__ }}{{ ''.__class__.__mro__ }}",
    "{{ ''['__class__']['__mro__'] }}",
    "{{ text | attr('__class__') }}",
    "{{ items | map(attribute='__class__') | map(attribute='__mro__') | join }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(text) }}",
    "{{ '{x.__class__}'.format_map({'x': 1}) }}",
    "{{ ('{0.__class__}' | string).format(range) }}",
    "{{ ['{0.__class__}'] | map('format', range) | join }}{{ range.__globals__.x }}",
    "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
    "{{ namespace.__init__.__globals__.x }}",
    "{{ range.__init__.__globals__.x }}",
    "{{ self.__init__.__globals__.x }}",
    "{{ self._TemplateReference__context.environment }}{{ self.x.y }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__.os }}",
    "{{ joiner.__init__.x }}",
    "{{ dict.__base__.__subclasses__() }}",
    "{{ (1).__class__.__base__.__subclasses__() }}",
    "{{ text.encode().decode() }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'x' import y %}",
    "{% extends 'x' %}",
    "{% block x %}{% endblock %}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__.x }}",
    "{% for x in items %}{{ loop.__class__.x.y }}{% endfor %}",
    "{% for x in items %}{{ loop._iterable.x.y }}{% endfor %}",
    "{{ range(3) | groupby('__class__') }}{{ x.y.z }}",
    "{{ items | sort(attribute='__class__.__mro__.x') }}",
    "{{ text | safe }}",
    "{{ items | tojson | pprint }}",
    "{{ text | urlize }}",
    "{{ (text.upper)['__self__']['x']['y'] }}",
    "{{ text.upper.__self__.x.y }}",
    "{{ text.maketrans('a', 'b') }}",
    "{{ (1).to_bytes(9, 'big') }}",
    "{{ answers.fromkeys('ab') }}",
]

LOOPS = [
    "{% for i in range(10**9) %}{% endfor %}",
    "{{ range(10**9) | list }}",
    "{{ range(-5, 10**12, 3) | length }}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "{% for i in range(99999) if text in text * 900 %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) if false %}{% endfor %}" * 50,
    "{% for i in range(9999) %}{{ range(99999) | list | length }}{% endfor %}",
    "{% for i in range(9999) %}{{ range(99999) | sum }}{% endfor %}",
    "{% for i in range(9999) %}{{ range(99999) | select('in', [1]) | list }}{% endfor %}",
    "{% set big = 'ab' * 4000000 %}{% for i in range(9999) %}{% if 'ac' in big %}{% endif %}{% endfor %}",
    "{% set big = 'ab' * 4000000 %}{% for i in range(9999) %}{{ 'ac' is in big }}{% endfor %}",
    "{% set big = 'ab' * 4000000 %}{{ [1] * 900 | map('string') | select('in', big) | list }}",
    "{% set big = 'a' * 4000000 %}{% for i in range(9999) %}{% if big == big.lower() %}{% endif %}{% endfor %}",
    "{% set big = 'a' * 4000000 %}{% for i in range(9999) %}{% set x = big[1:] %}{% endfor %}",
    "{% set big = 'a b ' * 1000000 %}{% for i in range(9999) %}{% set x = big.split() %}{% endfor %}",
    "{% set big = 'a' * 4000000 %}{% for i in range(9999) %}{% set x = big.count('aab') %}{% endfor %}",
    "{% set big = 'a' * 4000000 %}{% for c in big %}{% set x = c %}{% endfor %}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% macro f(n) %}{% if n %}{% call f(n - 1) %}{% endcall %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% for x in [items, items] recursive %}{{ loop([[x, x], [x, x]]) }}{% endfor %}",
    "{% for x in items recursive %}{{ loop(items) }}{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for i in range(99999) %}{% for j in range(99999) %}{% set ns.n = ns.n + 1 %}"
    "{% endfor %}{% endfor %}",
    "{{ [0] | map('string') | cycle }}",
    "{% for i in range(99999) %}{{ text | wordwrap(1) | length }}{% endfor %}",
    "{% for i in range(99999) %}{{ [3, 1, 2] * 3000 | sort | length }}{% endfor %}",
    "{{ range(99999) | map('string') | map('center', 9999) | join | length }}",
    "{{ range(99999) | batch(1) | map('list') | map('join', 'x' * 9999) | list | length }}",
    "{{ range(99999) | sort(attribute='x') | map('default', text) | map('upper') | unique | groupby('x') | list }}",
]

MEMORY = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ [0] * 10**9 }}",
    "{{ items * 10**9 }}",
    "{{ 10**(10**10) }}",
    "{{ 2**(2**40) }}",
    "{% set n = 7 ** 1000 %}{% for i in range(30) %}{% set n = n * n %}{% endfor %}{{ 7**1000 * 7**1000 }}",
    "{% set ns = namespace(n=3) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    grown("'ab'", "ns.s ~ ns.s"),
    grown("'ab'", "ns.s + ns.s"),
    grown("['ab']", "ns.s + ns.s"),
    grown("['ab']", "[ns.s, ns.s]", "{{ ns.s }}"),
    grown("['ab']", "(ns.s, ns.s)", "{{ ns.s | unique }}"),
    grown("['ab']", "{'a': ns.s, 'b': ns.s}", "{{ ns.s }}"),
    grown("[1, 2]", "zip(ns.s, ns.s) | list", "{{ ns.s }}"),
    "{% set n = namespace(s='ab') %}{% for i in range(99) %}{% set n.s %}{{ n.s }}{{ n.s }}{% endset %}{% endfor %}",
    grown("'ab'", "ns.s | replace('a', ns.s)"),
    grown("'ab'", "ns.s.replace('a', ns.s)"),
    grown("'ab'", "ns.s.join([ns.s, ns.s, ns.s])"),
    grown("'ab'", "'%s%s' | format(ns.s, ns.s)"),
    grown("'ab'", "'%s%s' % (ns.s, ns.s)"),
    "{% set n = namespace() %}{% set n.a = n %}{{ n }}",
    "{% set a = namespace(x=1) %}{% set b = [a, a] %}{{ b }}",
    "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
    "{% set l = ['ab'] %}{% for i in range(99) %}{% set _ = l.extend(l) %}{% endfor %}{{ l }}",
    "{% set l = [] %}{% set ns = namespace(s=l) %}{% for i in range(18) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}"
    "{% set _ = l.append('x' * 9999999) %}{{ ns.s }}",
    "{% set l = [] %}{% set ns = namespace(s=l) %}{% for i in range(18) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}"
    "{% set _ = l.append('x' * 9999999) %}{{ ns.s | string | length }}",
    "{% set l = [] %}{% set ns = namespace(s=l) %}{% for i in range(18) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}"
    "{% set _ = l.append('x' * 9999999) %}{% set y = ns.s ~ '' %}",
    "{{ 'a' | center(10**9) }}",
    "{{ 'a'.center(10**9) }}",
    "{{ 'a'.ljust(10**9) }}{{ 'a'.zfill(10**9) }}",
    "{{ ('\\t' * 9999).expandtabs(10**6) }}",
    "{{ text | indent(10**9) }}",
    "{{ ('\\n' * 99999) | indent(9999) }}",
    "{{ ('\\n' * 99999) | indent('x' * 9999) }}",
    "{{ text | wordwrap(1, wrapstring='x' * 9999999) }}",
    "{{ items | batch(10**9, 'x') | list }}",
    "{{ items | slice(10**9) | list }}",
    "{{ 1.5 | round(10**9, 'ceil') }}",
    "{{ '%999999999d' | format(1) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%*d' % (999999999, 1) }}",
    "{{ '%.*f' | format(999999999, 1) }}",
    "{{ '%.999999999f' % 1.5 }}",
    "{{ '%(a)999999999d' % {'a': 1} }}",
    "{{ ('%s' * 99999) % (('x' * 9999,) * 99999) }}",
    "{{ range(99999) | join('x' * 99999) }}",
    "{{ ('x' * 99999).join(range(99999) | map('string')) }}",
    "{{ [[1] * 9999] * 9999 }}",
    "{{ [[1] * 9999] | sum(start=[]) }}",
    "{% for i in range(9999) %}{{ text * 100 }}{% endfor %}",
    "{% set big = 'x' * 9999999 %}" + "{{ big }}" * 50,
    "{% set big = 'x' * 9999999 %}{% set l = [big, big, big] %}{{ l | join }}{{ l | join }}",
    "{% set x %}{% for i in range(99999) %}{{ text }}{{ text }}{{ text }}{% endfor %}{% endset %}",
    "{{ '9' * 5000 | int }}{{ ('9' * 5000) | int(5) / 0 }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "-" * 50_000 + "1 }}",
    "{{ " + "[" * 5000 + "]" * 5000 + " }}",
    "{{ " + " + ".join(["1"] * 30_000) + " }}",
    "{% if x %}" * 3000 + "{% endif %}" * 3000,
    "{% for x in items %}" * 60 + "{% endfor %}" * 60,
    "x" * 200_000,
    "{{ 1" + "0" * 90_000 + " }}",
]


def resident_mb(name):
    """Return what this process holds: VmRSS now, VmHWM the most since the peak was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000


@pytest.fixture
def memory_stays_free():
    """Fail a test whose process has taken more than half a gigabyte of memory meanwhile."""
    if sys.platform != "linux":
        yield
        return
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident_mb("VmRSS")
    yield
    assert resident_mb("VmHWM") - before < 500


@pytest.mark.usefixtures("memory_stays_free")
@pytest.mark.parametrize("jinja", ESCAPES + LOOPS + MEMORY, ids=lambda jinja: jinja[:60])
def test_hostile_template_ends_in_an_error(jinja):
    """In the first or second second, as bench/guards.py measures; what never ended would meet pytest's timeout."""
    with pytest.raises(TemplateError):
        Template("hostile", jinja + " ||| x").render(ROW)


@pytest.mark.usefixtures("memory_stays_free")
@pytest.mark.parametrize("jinja", MEMORY, ids=lambda jinja: jinja[:60])
def test_legacy_mode_is_guarded_too(jinja):
    try:
        rendered = Template("hostile", jinja + " ||| x").render(ROW, mode="legacy")
    except TemplateError:
        rendered = None
    assert rendered is None or len(rendered.inputs) < 5000


def test_answer_choices_are_guarded_too():
    with pytest.raises(TemplateError):
        Template("hostile", "a ||| b", "{{ 'a' * 10**9 }}").render(ROW)
    with pytest.raises(TemplateError):
        Template("hostile", "a ||| b", "{% for i in range(10**9) %}{% endfor %}{{ text }}").render(ROW)
