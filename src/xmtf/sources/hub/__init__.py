"""The Hugging Face hub: first the caches of earlier downloads, then the network.

No dataset runs code here: ``datasets`` 4 and later refuse to. Datasets that were a script are read
from the Parquet files that the hub made of them (revision ``refs/convert/parquet``), straight from the
files; all others through ``datasets``.

============== =====================================================================================
``client``     the endpoint, tokens, what the libraries raise and what it means
``files``      a file, and all those of a revision
``listing``    asking for them, and the commit that a revision stands for
``layout``     which of them are a split
``download``   a file: resumed, verified, counted byte by byte
``cache``      the hub's cache on this machine
``converted``  splits that the hub converted to Parquet
``prepared``   splits that ``datasets`` prepares
============== =====================================================================================
"""

from xmtf.sources.hub.client import CONVERTED, network_forbidden

__all__ = ["CONVERTED", "network_forbidden"]
