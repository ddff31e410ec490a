"""Folders and files at addresses (s3://, gs://, hf://): finished ones copied both ways, single ones read by copies."""
