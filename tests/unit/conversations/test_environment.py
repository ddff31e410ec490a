"""Chat templates are code from strangers: what they may not do ends in one line."""

import re

import pytest
from tests.unit.conversations.conftest import chat

from xmtf.conversations.template import ChatTemplate, TemplateRefusesError
from xmtf.errors import TemplateError

HOSTILE = {
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}": "steps|CPU time",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}": "recursion|steps",
    "{{ 'x' * 10 ** 9 }}": "characters|bits",
    "{% set n = namespace(t='xx') %}{% for a in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}": "characters",
    "{{ messages | tojson(indent=100000000) }}": "indentation",
    "{{ strftime_now('%100000000d') }}": "strftime_now",
    "{{ ''.__class__.__mro__ }}": "",
    "{{ messages.__class__ }}{{ self.__init__.__globals__ }}": "",
    "{{ raise_exception.__globals__ }}": "",
    "{{ ().__class__.__base__.__subclasses__() }}": "",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}": "",
    "{{ messages.append(1) }}": "may not be called|stay as they are",
    "{{ messages[0].update({'role': 'x'}) }}": "may not be called|stay as they are",
    "{% include 'other' %}": "not available",
    "{% for m in messages %}": "line 1",
    "{{ messages | unknown }}": "No filter",
}


def outcome(source, messages):
    """Return what a template renders, or what is said of it."""
    try:
        return ChatTemplate(source).render(messages)
    except (TemplateError, TemplateRefusesError) as error:
        return str(error)


@pytest.mark.parametrize("source", HOSTILE)
def test_hostile_templates_end_in_one_line_and_leak_nothing(source):
    messages = chat("a", "b")
    found = outcome(source, messages)
    assert "\n" not in found
    assert re.search(HOSTILE[source], found)
    assert not re.search("<class|root:|uid=", found)
    assert messages == chat("a", "b")


def test_a_generation_block_has_a_scope_of_its_own_and_marks_do_not_nest():
    source = "{% set x = 1 %}{% generation %}{% set x = 2 %}{% endgeneration %}{{ x }}"
    assert ChatTemplate(source).render(chat("a", "b"))[-1] == "1"
    with pytest.raises(TemplateError, match="Unexpected end of template"):
        ChatTemplate("{% generation %}x")


def test_break_and_continue_are_there():
    source = "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m.content }}{% endfor %}"
    assert ChatTemplate(source).render(chat("a", "b")) == "a"
