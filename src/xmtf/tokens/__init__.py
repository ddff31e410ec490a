"""Text becomes packed rows: tokenizer, token files that Megatron reads, packing, blending, the loader."""

from xmtf.tokens.batches import CausalBatch, EncoderDecoderBatch
from xmtf.tokens.build import tokenize_mixture, tokenizer_for
from xmtf.tokens.learning import train_tokenizer
from xmtf.tokens.loader import Loader
from xmtf.tokens.loading import load_tokenizer
from xmtf.tokens.opening import NoExamplesError, open_loader
from xmtf.tokens.peek import peek_row
from xmtf.tokens.splits import published_weights, read_split_file, write_split_file
from xmtf.tokens.store import StoreWriter, TokenStore, open_store
from xmtf.tokens.tokenizer import Tokenizer

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
    "tokenize_mixture",
    "tokenizer_for",
    "train_tokenizer",
    "write_split_file",
]
