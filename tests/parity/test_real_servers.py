"""Real servers over small models of random weights: the scores and texts that the same models give in this process."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file

from xmtf.evaluation.engine.encoding import prompt_rules
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.generation.generate import generate
from xmtf.evaluation.prompting.prompt_file import answer_file
from xmtf.evaluation.ranking.rank import rank
from xmtf.evaluation.served.over_http import HttpBackend
from xmtf.evaluation.served.prompting import open_prompts
from xmtf.evaluation.served.subject import ServedSubject
from xmtf.evaluation.served.token_scores import find_token_scores
from xmtf.models import load_model
from xmtf.records import Origin, Request
from xmtf.servers.client import ModelServer
from xmtf.servers.reference import parse_served
from xmtf.tokens import load_tokenizer

LAYERS, HEADS, KV_HEADS, HEAD_SIZE = 3, 4, 2, 16
HIDDEN = HEADS * HEAD_SIZE
LLAMA_SERVER = """
import sys, time, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port = sys.argv[1], ["127.0.0.1"], int(sys.argv[2])
p.n_ctx, p.n_parallel, p.warmup, p.verbosity = 2048, 2, False, 0
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
p.cache_type_k = p.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
server = xllamacpp.Server(p)
time.sleep(3600)
"""


@contextlib.contextmanager
def running(log, program, *arguments):
    """Start a server on a free port, the last argument; yield its address once it is healthy."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with log.open("wb") as written:
        command = [program, *arguments, str(port)]
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(command, stdout=written, stderr=written, env=environment)
    try:
        for _ in range(120):
            assert process.poll() is None, log.read_text(errors="replace")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (urllib.error.URLError, TimeoutError):
                time.sleep(1)
        else:
            pytest.fail(log.read_text(errors="replace"))
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait(30)


def requests(choices=("yés", "no", "who knows")):
    prompts = [f"Is {number} even, and is {'the cat ' * number}True?" for number in range(5)]
    return [Request(prompt, choices, 0, choices[:1], Origin("d", "", "test", n)) for n, prompt in enumerate(prompts)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    """A Llama of random weights, large enough that its texts differ, with a byte-level tokenizer."""
    folder = Path(tiny_model(tmp_path_factory.mktemp("real") / "toy"))
    sizes = {"vocab_size": load_tokenizer(folder).vocab_size, "hidden_size": HIDDEN, "intermediate_size": 96}
    heads = {"num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS}
    torch.manual_seed(0)
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads, **special))
    for name, parameter in model.named_parameters():
        parameter.data.mul_(1.0 if "norm" in name else 8.0)
    model.save_pretrained(folder)
    return folder


def write_gguf(path, folder):
    """Write the model and the tokenizer of the folder in F32, as llama.cpp's converter lays them out."""
    core = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = sorted(core["model"]["vocab"], key=core["model"]["vocab"].get)
    special = {token["content"] for token in core["added_tokens"]}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(1024)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(96)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    kinds = gguf.TokenType
    writer.add_token_types([kinds.CONTROL if token in special else kinds.NORMAL for token in tokens])
    writer.add_token_merges([each if isinstance(each, str) else " ".join(each) for each in core["model"]["merges"]])
    writer.add_pad_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    for name, values in load_file(folder / "model.safetensors").items():
        if "q_proj" in name or "k_proj" in name:
            values = values.reshape(-1, 2, HEAD_SIZE // 2, HIDDEN).swapaxes(1, 2).reshape(values.shape)
        writer.add_tensor(names.get_name(name.removesuffix(".weight")) + ".weight", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.slow
def test_llama_cpp_that_computes_in_f32_gives_our_scores(tmp_path, folder):
    path = tmp_path / "toy.gguf"
    write_gguf(path, folder)
    tokenizer = load_tokenizer(path)
    model = load_model(str(path), device="cpu", dtype=torch.float32).model
    rules = prompt_rules(model, tokenizer)
    wanted = rank(model, tokenizer, requests(), rules=rules)
    with running(tmp_path / "log", sys.executable, "-c", LLAMA_SERVER, str(path)) as url:
        asked = ModelServer(url, "toy")
        backend = HttpBackend(asked, in_chat=False, scores=find_token_scores(asked, tokenizer))
        assert backend.ranking == "token by token"
        reference = parse_served(f"openai:{url}#toy")
        subject = ServedSubject(reference, backend, "toy", "f", "bloomz", Decoding(4), rules, tokenizer)
        found = dict(pair for batch in subject.ask(requests()) for pair in batch)
    assert set(found) == set(range(5))
    for index, prediction in enumerate(wanted):
        answer = found[index]
        apart = np.abs(np.subtract(answer.scores, prediction.scores)) / answer.num_tokens
        assert apart.max() < 1e-4, (answer.scores, prediction.scores)
        assert np.argmax(answer.scores) == np.argmax(prediction.scores)
    assert np.ptp([prediction.scores for prediction in wanted], axis=0).min() > 0.1, "prompts make no difference"


@pytest.mark.slow
def test_transformers_serve_in_fp32_gives_our_texts(tmp_path, folder):
    model, tokenizer = load_model(str(folder), device="cpu", dtype=torch.float32).model, load_tokenizer(folder)
    wanted = [each.text for each in generate(model, tokenizer, requests(), max_new_tokens=12)]
    assert len(set(wanted)) > 1
    assert all(wanted)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"prompt": each.prompt}) + "\n" for each in requests()))
    options = ("serve", "--dtype", "float32", "--device", "cpu", "--host", "127.0.0.1", "--port")
    program = Path(sys.executable).with_name("transformers")
    with running(tmp_path / "log", program, *options) as url:
        asked = open_prompts(f"openai:{url}#{folder}")
        assert not asked.in_chat, "it has no chat template"
        rows = answer_file(asked, Decoding(12), tmp_path / "in.jsonl", tmp_path / "out.jsonl")
        assert [row.line["output"] for row in rows] == wanted
