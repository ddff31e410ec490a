"""From a mixture to token files, one shard task a Parquet shard."""
