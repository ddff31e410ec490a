"""Models that are asked and not loaded: behind a server (``openai:URL#NAME``) or in the package vllm (``vllm:ID``).

``backend`` is what either must be able to do, ``over_http`` and ``in_vllm`` do it, ``token_scores`` gets the
log-probabilities of given tokens out of a server, ``subject`` is such a model under evaluation, and ``prompting`` one
that is asked by hand: one prompt, its answer as it comes.
"""
