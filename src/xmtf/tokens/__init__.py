"""Text becomes packed rows: tokenizer, token files that Megatron reads, packing, blending, the loader."""

from xmtf.tokens.build.build import run_token_tasks, tokenize_mixture, tokenizer_for, write_tokens_plan
from xmtf.tokens.rows.batches import CausalBatch, EncoderDecoderBatch
from xmtf.tokens.rows.loader import Loader
from xmtf.tokens.rows.opening import NoExamplesError, open_loader
from xmtf.tokens.rows.peek import peek_row
from xmtf.tokens.rows.splits import published_weights, read_split_file, write_split_file
from xmtf.tokens.store.store import StoreWriter, TokenStore, open_store
from xmtf.tokens.tokenizer.loading import load_tokenizer
from xmtf.tokens.tokenizer.tokenizer import Tokenizer
from xmtf.tokens.tokenizer.training import train_tokenizer

__all__ = [
    "CausalBatch",
    "EncoderDecoderBatch",
    "Loader",
    "NoExamplesError",
    "StoreWriter",
    "TokenStore",
    "Tokenizer",
    "load_tokenizer",
    "open_loader",
    "open_store",
    "peek_row",
    "published_weights",
    "read_split_file",
    "run_token_tasks",
    "tokenize_mixture",
    "tokenizer_for",
    "train_tokenizer",
    "write_split_file",
    "write_tokens_plan",
]
