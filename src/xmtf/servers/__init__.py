"""Models behind servers that speak OpenAI's interface: how one is named, asked, retried, limited and paid for.

``reference`` is what ``--model openai:URL#NAME`` means, ``client`` asks, ``spending`` counts and limits, ``chat`` has
conversations answered. Who asks (an evaluation, an engine of translation) stands elsewhere.
"""
