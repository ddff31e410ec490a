"""The interface from Python: what ``import xmtf`` gives, each function one call of the rooms below.

A module a noun, so that a name loads only what it needs: reading results loads no torch.
"""
