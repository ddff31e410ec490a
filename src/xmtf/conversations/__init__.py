"""Conversations: messages, the chat template that renders them, and which of the text an assistant says.

::

    messages.py      the canonical form of messages, and the layouts that they come in
    environment.py   the sandbox that a chat template runs in: that of prompts, with what chat templates use
    template.py      a chat template, compiled once
    answers.py       a rendered conversation and the stretches of it that the assistant says
    exchanges.py     a conversation without its oldest exchanges
"""
