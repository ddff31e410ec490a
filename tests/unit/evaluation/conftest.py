"""Tiny models and a tokenizer that have the protocols, so that no other room is needed."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from xmtf.records import Origin, Request

VOCAB = "\0\1\2 abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,?!éß字漢"
PAD, EOS, BOS = 0, 1, 2


class CharacterTokenizer:
    """One token a character; unknown characters become ``?``."""

    vocab_size = len(VOCAB)
    pad = PAD
    eos = EOS
    bos = BOS
    fingerprint = "characters"
    special_ends = ((), ())
    ends = (EOS,)
    begin = ()
    puts_space = False

    def __init__(self):
        self.encoded = []

    def encode(self, texts):
        self.encoded.extend(texts)
        return [np.array([max(3, VOCAB.find(c)) for c in text], dtype=np.int64) for text in texts]

    def decode(self, ids):
        return "".join(VOCAB[i] for i in ids if i > BOS)


@dataclass
class Memory:
    """The cache of the recurrent models: one state a row."""

    state: torch.Tensor | None = None

    def select(self, rows):
        return Memory(None if self.state is None else self.state.index_select(0, rows))


class Recurrent(torch.nn.Module):
    """``state = 0.5 * state + embedding``: order matters, padding does not, and it can be checked by hand."""

    def __init__(self, hidden_size=8):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.vocab_size, self.hidden_size = len(VOCAB), hidden_size
        self.embedding = torch.nn.Parameter(torch.randn(self.vocab_size, hidden_size, generator=generator))
        self.head = torch.nn.Parameter(torch.randn(self.vocab_size, hidden_size, generator=generator))
        self.positions = []  # shape of every pass
        self.logit_positions = 0

    def walk(self, tokens_RT, segment_ids_RT, state_RH):
        if segment_ids_RT is None:
            segment_ids_RT = torch.ones_like(tokens_RT)
        states = []
        for column in range(tokens_RT.shape[1]):
            real_R1 = (segment_ids_RT[:, column] > 0)[:, None]
            state_RH = torch.where(real_R1, 0.5 * state_RH + self.embedding[tokens_RT[:, column]], state_RH)
            states.append(torch.tanh(state_RH))
        return torch.stack(states, dim=1), state_RH

    def zero(self, rows):
        return torch.zeros(rows, self.hidden_size, device=self.head.device)

    def logits(self, hidden_PH, tokens=None):
        self.logit_positions += len(hidden_PH)
        return hidden_PH @ (self.head if tokens is None else self.head[tokens]).T

    def head_weight(self):
        return self.head

    def new_cache(self):
        return Memory()


class TinyCausal(Recurrent):
    family = "causal"
    max_positions = None

    def hidden_states(self, tokens_RT, *, segment_ids_RT=None, is_input_RT=None, cache=None):
        self.positions.append(tuple(tokens_RT.shape))
        state_RH = self.zero(len(tokens_RT)) if cache is None or cache.state is None else cache.state
        hidden, state_RH = self.walk(tokens_RT, segment_ids_RT, state_RH)
        if cache is not None:
            cache.state = state_RH
        return hidden


class TinyEncoderDecoder(Recurrent):
    family = "encoder-decoder"
    max_positions = None
    decoder_start = PAD

    def encode(self, tokens_RS, *, segment_ids_RS=None):
        self.positions.append(tuple(tokens_RS.shape))
        return self.walk(tokens_RS, segment_ids_RS, self.zero(len(tokens_RS)))[0]

    def decode(self, tokens_RT, encoded_RSH, *, segment_ids_RT=None, encoder_segment_ids_RS=None, cache=None):
        self.positions.append(tuple(tokens_RT.shape))
        if cache is None or cache.state is None:
            weights = torch.ones(encoded_RSH.shape[:2]) if encoder_segment_ids_RS is None else encoder_segment_ids_RS
            weights = weights[:, :, None].float()
            state_RH = (encoded_RSH * weights).sum(1) / weights.sum(1)
        else:
            state_RH = cache.state
        hidden, state_RH = self.walk(tokens_RT, segment_ids_RT, state_RH)
        if cache is not None:
            cache.state = state_RH
        return hidden


@pytest.fixture(params=[TinyCausal, TinyEncoderDecoder], ids=["causal", "encoder-decoder"])
def model(request):
    return request.param()


@pytest.fixture(scope="session")
def tiny():
    """The classes themselves, for property tests."""
    return CharacterTokenizer, (TinyCausal, TinyEncoderDecoder)


@pytest.fixture
def causal():
    return TinyCausal()


@pytest.fixture
def tokenizer():
    return CharacterTokenizer()


@pytest.fixture
def ask():
    def make(prompt, *choices, gold=0, row=0, references=()):
        return Request(prompt, choices, gold if choices else None, references, Origin("own", "", "test", row))

    return make
