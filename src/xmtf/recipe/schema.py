"""Every key of a recipe: its meaning, unit and default.

The models are frozen and refuse unknown keys. ``xmtf recipe schema`` prints them as JSON schema.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from xmtf.plugins import plugins
from xmtf.recipe.effects import Effect, affects, within
from xmtf.recipe.quantities import Bytes, Seconds, Steps, Tokens
from xmtf.recipe.sections.mixture import CapPolicy, HeldOut, Mixture, OwnTask, PromptedFolder, Rates, TaskSelection
from xmtf.recipe.sections.processes import EvaluationParallel, Parallel, Timeouts, check_cut
from xmtf.recipe.sections.section import Name, Section, is_auto, is_false, is_none
from xmtf.recipe.sections.served import ServedModel
from xmtf.recipe.sections.tokenization import Packing, SpecialTokensPolicy, Tokenization, TokenizerChoice, uses_chat

__all__ = [
    "CapPolicy",
    "Evaluation",
    "Execution",
    "HeldOut",
    "Lora",
    "Mixture",
    "Model",
    "Optimizer",
    "OwnTask",
    "Packing",
    "Parallel",
    "PromptedFolder",
    "QuantizeKind",
    "Rates",
    "Recipe",
    "Report",
    "Schedule",
    "Section",
    "SpecialTokensPolicy",
    "Suite",
    "TaskSelection",
    "Timeouts",
    "Tokenization",
    "TokenizerChoice",
    "Training",
    "ValidationText",
]


def _length(recipe: Recipe) -> Effect:
    """More steps resume what was learnt where neither the schedule nor the choice of the best knows the last step."""
    training = recipe.training
    knows = training.schedule.name in ("linear", "cosine") or training.export == "best"
    return "result" if knows else "continues"


def _if_chosen(recipe: Recipe) -> Effect:
    return "result" if recipe.training.export == "best" else "none"


def _read_if_chosen(recipe: Recipe) -> Effect:
    return "read" if recipe.training.export == "best" else "none"


def _of_micro_batches(recipe: Recipe) -> Effect:
    """Micro-batches decide the weights of ``target_compat``, and each draws its own dropout."""
    lora = recipe.model.lora
    draws = recipe.model.dropout > 0 or (lora is not None and lora.dropout > 0)
    return "result" if recipe.training.loss == "target_compat" or draws else "rounding"


QuantizeKind = Literal["nf4", "int8"]
TRACKERS = ("tensorboard", "wandb", "trackio")
"""The trackers that are built in."""
_NAME_BYTES = 200
UNSEEN = affects()
SHAPE = affects(initial="result", training="result")
LEARNT = affects(training="result")
LENGTH = affects(training=_length)
CHOOSING = affects(training=_if_chosen)
ASKED = affects(guard="read", evaluation="result")
ANSWERED = affects(evaluation="result")


class Execution(Section):
    """How shard work is run; never changes a byte of what comes out."""

    engine: Annotated[Literal["inline", "pool", "ray"], UNSEEN] = "pool"
    """`inline` in this process, `pool` in worker processes, `ray` on Ray, on one machine or many."""
    workers: Annotated[int | Literal["auto"], UNSEEN] = Field(default="auto")
    """Worker processes; `auto` is one per core. A cluster of Ray uses what it has."""
    address: Annotated[Name, UNSEEN] = "auto"
    """Of Ray: `auto` is the cluster that this machine belongs to, `local` starts Ray here for this command,
    `host:port` or `ray://host:port` is a cluster elsewhere."""

    @field_validator("workers")
    @classmethod
    def _some_workers(cls, value: int | Literal["auto"]) -> int | Literal["auto"]:
        if value != "auto" and not 1 <= value <= 4096:
            raise ValueError(f"give 1 to 4,096 processes, or auto, not {value}")
        return value


class Lora(Section):
    """Low-rank adapters instead of full weights (LoRA); the export is a folder that PEFT loads."""

    rank: Annotated[int, LEARNT] = Field(default=16, ge=1)
    """Inner size of the adapters."""
    alpha: Annotated[float, LEARNT] = Field(default=32.0, gt=0)
    """The adapter's output is multiplied with alpha / rank."""
    dropout: Annotated[float, LEARNT] = Field(default=0.0, ge=0, lt=1)
    """On the adapter's input."""
    targets: Annotated[Literal["all-linear"] | tuple[Name, ...], LEARNT] = "all-linear"
    """Linear layers by their names in transformers (`query_key_value`, `q`); `all-linear` is all but the head."""
    rank_stabilised: Annotated[bool, LEARNT] = False
    """Multiply with alpha / sqrt(rank) instead."""
    merge: Annotated[bool, affects(export="result")] = False
    """Export full weights with the adapters added, instead of the adapters alone."""


class Model(Section):
    """Which model: a pretrained one, or a shape with random weights."""

    base: Annotated[str | None, affects(tokens="read", training="read")] = None
    """Hub id (`id@revision`), folder or GGUF file to start from; empty makes random weights."""
    architecture: Annotated[
        Literal["bloom", "mt5", "hub"] | None, affects(tokens="read", initial="result", training="result")
    ] = None
    """Own BLOOM or mT5, or any causal model of transformers; read from `base` where that is given."""
    hidden_size: Annotated[int | None, SHAPE] = Field(default=None, ge=8, le=1 << 20)
    """Size of the hidden states."""
    num_layers: Annotated[int | None, SHAPE] = Field(default=None, ge=1, le=4096)
    """Layers of a causal model, or of each of encoder and decoder."""
    num_heads: Annotated[int | None, SHAPE] = Field(default=None, ge=1, le=1 << 16)
    """Attention heads of a layer."""
    head_size: Annotated[int | None, SHAPE] = Field(default=None, ge=4)
    """mT5 only; default hidden_size / num_heads."""
    feedforward_size: Annotated[int | None, SHAPE] = Field(default=None, ge=8, le=1 << 22)
    """mT5 only; BLOOM's is 4 x hidden_size."""
    vocab_size: Annotated[int | None, affects(tokens="result", initial="result", training="result")] = Field(
        default=None, ge=8, le=1 << 26
    )
    """Rows of the embedding; default the tokenizer's size, rounded up to a multiple of 128."""
    dropout: Annotated[float, SHAPE] = Field(default=0.0, ge=0, lt=1)
    """Share of activations that training sets to zero."""
    absolute_alibi: Annotated[bool, SHAPE] = Field(default=False, exclude_if=is_false)
    """BLOOM only, for comparison with the original: position bias `slope * key` in the number format of computation,
    which in bf16 is wrong by up to 4.0; the default is relative and computed in fp32."""
    lora: Lora | None = Field(default=None, exclude_if=is_none)
    """Train low-rank adapters; everything else is frozen."""
    quantize: Annotated[QuantizeKind | None, LEARNT] = Field(default=None, exclude_if=is_none)
    """Keep the frozen matrices alongside adapters in 4 bits (`nf4`, QLoRA) or 8 (`int8`); the export is the adapters,
    and merging adds them to the base in full precision."""

    @model_validator(mode="after")
    def _check(self) -> Model:
        if self.quantize is not None and self.lora is None:
            raise ValueError("quantize stores frozen weights in few bits while adapters train; give `lora`, or omit it")
        if self.base is None:
            missing = [
                key for key in ("architecture", "hidden_size", "num_layers", "num_heads") if getattr(self, key) is None
            ]
            if missing:
                raise ValueError(f"give `base` (a pretrained model), or the shape: {', '.join(missing)} missing")
            if self.architecture == "hub":
                raise ValueError("architecture `hub` needs `base`: an id, a folder or a GGUF file")
        return self


class Optimizer(Section):
    """The optimizer."""

    name: Annotated[Literal["adamw", "adafactor", "adamw_8bit"], LEARNT] = "adamw"
    """AdamW, Adafactor, or AdamW with its state in 8 bits (extra `gpu`)."""
    learning_rate: Annotated[float, LEARNT] = Field(default=2e-5, gt=0)
    """Its peak; the schedule leads to it and from it."""
    weight_decay: Annotated[float, LEARNT] = Field(default=1e-4, ge=0)
    """Decoupled; not applied to biases and norms."""
    beta1: Annotated[float, LEARNT] = Field(default=0.9, ge=0, lt=1)
    """Decay of the mean of gradients (AdamW)."""
    beta2: Annotated[float, LEARNT] = Field(default=0.95, ge=0, lt=1)
    """Decay of the mean of squared gradients (AdamW)."""
    epsilon: Annotated[float, LEARNT] = Field(default=1e-8, gt=0)
    """Added to the denominator of an update (AdamW)."""
    decay_rate: Annotated[float, LEARNT] = Field(default=0.8, gt=0)
    """Adafactor's second-moment decay exponent."""
    clip_norm: Annotated[float | None, LEARNT] = Field(default=1.0, gt=0)
    """Global gradient norm."""


class Schedule(Section):
    """Learning rate over steps."""

    name: Annotated[Literal["constant", "linear", "cosine", "inverse_sqrt"], LEARNT] = "constant"
    """How the learning rate changes after the warm-up."""
    warmup: Annotated[Steps, LEARNT] = 0
    """Steps over which the learning rate rises from zero (`10 steps`)."""
    final_fraction: Annotated[float, LEARNT] = Field(default=0.0, ge=0, le=1)
    """Learning rate at the end, as a fraction of the peak, for `linear` and `cosine`."""


class ValidationText(Section):
    """Plain text whose loss is watched while training: how much the model forgets of its pretraining."""

    name: Annotated[Name, CHOOSING] = "pretraining text"
    """Name of the group in the log."""
    path: Annotated[Name, affects(training=_read_if_chosen)]
    """Parquet, JSONL (also .gz), CSV or TSV file; relative to the recipe."""
    column: Annotated[Name, CHOOSING] = "text"
    """Column that holds the text."""
    rows: Annotated[int, CHOOSING] = Field(default=16, ge=1)
    """Rows of `packing.sequence_length` tokens to measure on: the first of the file."""
    optional: Annotated[bool, UNSEEN] = Field(default=False, exclude_if=is_false)
    """Leave the group out, and say so, where there is no such file."""


class Training(Section):
    """Finetuning."""

    steps: Annotated[Steps | None, LENGTH] = Field(default=None, ge=1)
    """Optimizer steps: `500` or `500 steps`."""
    tokens: Annotated[Tokens | None, LENGTH] = None
    """Token budget (`2.09e9 tokens`), padding included, instead of steps."""
    global_batch_rows: Annotated[int, LEARNT] = Field(default=32, ge=1, le=1_048_576)
    """Packed rows per optimizer step, over all ranks."""
    micro_batch_rows: Annotated[int, affects(training=_of_micro_batches)] = Field(default=8, ge=1)
    """Packed rows per forward pass on one rank."""
    loss: Annotated[Literal["target", "token", "target_compat"], LEARNT] = "target"
    """`target`: each target counts once in the global batch; `token`: each token; `target_compat`: as BLOOMZ."""
    z_loss: Annotated[float, LEARNT] = Field(default=0.0, ge=0)
    """Weight of log(Z)^2 (T5X uses 1e-4)."""
    precision: Annotated[Literal["fp32", "bf16", "bf16_pure"], LEARNT] = "fp32"
    """`bf16` computes in bf16 with fp32 master weights."""
    prefix_lm: Annotated[bool, affects(training="result", evaluation="result")] = False
    """Bidirectional attention over inputs (causal models)."""
    activation_checkpointing: Annotated[bool, affects(training="rounding")] = False
    """Compute activations again in the backward pass: less memory, about a third more time."""
    attention: Annotated[Literal["auto", "sdpa", "flex"], affects(training="rounding")] = "auto"
    """BLOOM's kernel: `sdpa` attends document by document, `flex` in one kernel per row (GPUs, no dropout); `auto`
    takes `flex` on GPUs. Other models choose their own."""
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    parallel: Parallel = Parallel()
    timeouts: Timeouts = Timeouts()
    save_every: Annotated[Steps | None, UNSEEN] = None
    """Steps between checkpoints; the last step always saves one."""
    save_in_background: Annotated[bool, UNSEEN] = False
    """Continue training while a checkpoint is written; takes the memory of a copy of weights and optimizer."""
    keep_checkpoints: Annotated[int, UNSEEN] = Field(default=2, ge=1)
    """Newest checkpoints that stay; older ones are removed."""
    validate_every: Annotated[Steps | None, CHOOSING] = None
    """Steps between validations; default a tenth of the run, more in runs of very few rows."""
    validation_rows: Annotated[int | None, CHOOSING] = Field(default=None, ge=1, le=10_000_000)
    """Packed rows of each validation; default 64, or fewer: all validations together read at most a tenth of the rows
    that are trained on."""
    validation_texts: tuple[ValidationText, ...] = ()
    """Plain texts to watch the loss of alongside the held-out examples."""
    validation_suites: Annotated[tuple[Name, ...], CHOOSING] = ()
    """Suites of `evaluation.suites` (names or patterns) to measure at every validation. Where there are any, the best
    checkpoint is that with the highest geometric mean of what rank and generation suites come to."""
    validation_examples: Annotated[int, CHOOSING] = Field(default=50, ge=1)
    """Most examples of each task and template of those suites: a seeded choice."""
    export: Annotated[Literal["last", "best"], LEARNT] = "last"
    """Which weights become the model: the last, or the best by `validation_suites` (without them, by the loss on
    held-out examples). `best` saves a checkpoint whenever a validation finds a new best."""
    trackers: Annotated[tuple[Name, ...], UNSEEN] = ()
    """Where the events of `log.jsonl` go as well: `tensorboard`, `wandb`, `trackio`, or the tracker of a plug-in."""
    log_every: Annotated[Steps, UNSEEN] = 10
    """Steps between lines of the log."""
    wall_clock_limit: Annotated[Seconds | None, UNSEEN] = None
    """Save and stop before this much time has passed since training began, reading the model included (`5.5 h`)."""
    max_skipped_steps: Annotated[int, UNSEEN] = Field(default=10, ge=1)
    """Stop after so many non-finite losses in a row."""
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], affects(training="rounding", evaluation="rounding")] = (
        "auto"
    )
    """`auto` is the CUDA GPU where there is one; `mps`, the GPU of a Mac, is used on request alone, in fp32."""
    threads: Annotated[int | None, affects(training="rounding", evaluation="rounding")] = Field(
        default=None, ge=1, le=4096
    )
    """CPU threads of torch; default its own choice."""

    @field_validator("trackers")
    @classmethod
    def _known_trackers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = (*TRACKERS, *plugins("trackers", frozenset(TRACKERS)))
        for name in value:
            if name not in known:
                raise ValueError(f"{name!r} is not one of {', '.join(map(repr, known))}")
        return value

    @field_validator("precision", mode="before")
    @classmethod
    def _no_fp16(cls, value: object) -> object:
        if value in ("fp16", "float16"):
            raise ValueError(
                "fp16 is not supported: feed-forward outputs of the T5 family exceed its range (66,246 was observed, "
                "the maximum is 65,504) and become NaN, and other models would need loss scaling; use `bf16`"
            )
        return value

    @model_validator(mode="after")
    def _check(self) -> Training:
        if (self.steps is None) == (self.tokens is None):
            raise ValueError("give exactly one of `steps` and `tokens`")
        return self


class Shots(Section):
    """Examples with their answers before each prompt; never the item itself or a translation of it."""

    number: Annotated[int, ANSWERED] = Field(ge=1, le=100)
    """Examples before each prompt. Where they do not fit the model, whole ones are left out, and counted."""
    split: Annotated[Name | None, ANSWERED] = None
    """Split of the task that they are rows of; default what the catalogue lists for `shots`, `validation`, `train`."""
    choice: Annotated[Literal["fixed", "first", "nearest"], ANSWERED] = "fixed"
    """`fixed`: the same for all items, drawn by the seed; `first`: the first rows; `nearest`: most like each item."""
    language: Annotated[Name, ANSWERED] = "same"
    """Language that they are in: that of the item, or a code."""
    seed: Annotated[int | None, ANSWERED] = Field(default=None, ge=0, lt=2**31)
    """Of the choice; default the recipe's."""
    pool: Annotated[int, ANSWERED] = Field(default=1000, ge=1, le=20_000)
    """Rows that `nearest` chooses among: a seeded choice."""


class Suite(Section):
    """One evaluation suite: tasks measured together, before and after training."""

    name: Annotated[Name, ASKED]
    """Heading in tables, such as `held-out languages`."""
    axis: Annotated[Literal["rows", "templates", "languages", "datasets", "clusters", "none"], ASKED] = "none"
    """What about these tasks the mixture does not contain."""
    tasks: Annotated[tuple[TaskSelection, ...], within("guard", "evaluation")] = Field(min_length=1)
    """What is asked: tasks of the catalogue, and which of their rows and templates."""
    kind: Annotated[Literal["rank", "generation"] | None, ASKED] = None
    """Only tasks of this kind; empty takes each task as its own kind."""
    shots: Shots | None = Field(default=None, exclude_if=is_none)
    """Examples with their answers before each prompt (few-shot); empty shows none."""

    @model_validator(mode="after")
    def _check(self) -> Suite:
        if any(part.cap_policy is not None or part.cap_score is not None for part in self.tasks):
            raise ValueError("suites use a seeded sample; cap_policy and cap_score are for mixtures only")
        if any(part.quality or part.identify or part.near_duplicates for part in self.tasks):
            raise ValueError(
                "quality, identify and near_duplicates are for mixtures only; suites select rows with `where`"
            )
        return self


class Generation(Section):
    """How answers are generated; greedily by default."""

    min_new_tokens: Annotated[int, ANSWERED] = Field(default=0, ge=0)
    """The end of text is not taken before."""
    temperature: Annotated[float, ANSWERED] = Field(default=0.0, ge=0.0)
    """0 takes the most likely token; above, tokens are drawn from logits divided by it, seeded per prompt."""
    top_k: Annotated[int, ANSWERED] = Field(default=0, ge=0)
    """Draw from so many most likely tokens; 0 from all."""
    top_p: Annotated[float, ANSWERED] = Field(default=1.0, gt=0.0, le=1.0)
    """Draw from the most likely tokens that together have this probability."""
    beams: Annotated[int, ANSWERED] = Field(default=1, ge=1)
    """Continuations kept at every step of beam search; 1 is none."""
    length_penalty: Annotated[float, ANSWERED] = 1.0
    """Beam search divides log-probabilities by the length to this power."""
    stops: Annotated[tuple[str, ...], ANSWERED] = ()
    """Texts that end an answer, such as `"\\n"`."""


class Evaluation(Section):
    """Zero-shot evaluation."""

    suites: tuple[Suite, ...] = ()
    """What the model is measured on, before and after training."""
    scoring: Annotated[Literal["bloomz", "characters", "bytes", "tokens", "pmi", "lm_eval"], ANSWERED] = "bloomz"
    """Sum of log-probabilities (BLOOMZ); divided by characters, bytes or tokens of the choice; less the sum after
    an empty prompt (`pmi`); or tokenised and cut as lm-evaluation-harness does."""
    also: Annotated[tuple[Literal["pmi", "lm_eval"], ...], ANSWERED] = ()
    """Also compute and keep what these need, so that `xmtf evaluate rescore` can switch to them."""
    before: Annotated[bool, UNSEEN] = True
    """Also evaluate the model as it was before training."""
    max_new_tokens: Annotated[int, ANSWERED] = Field(default=64, ge=1)
    """Most tokens of a generated answer."""
    generation: Generation = Generation()
    max_prompt_tokens: Annotated[int | None, ANSWERED] = Field(default=None, ge=1)
    """Longer prompts are cut on `truncation_side` and counted; default the model's own length, else 2048."""
    truncation_side: Annotated[Literal["left", "right"], ANSWERED] = "left"
    """The side that overlong prompts lose; the question usually is at the end."""
    chat: Annotated[Literal["auto", "on", "off"], ANSWERED] = Field(default="auto", exclude_if=is_auto)
    """Ask in the model's chat format: prompts as the user's turn, answers as the assistant's. `auto` does so for models
    that were trained so: those whose training wrote conversations with a chat template."""
    dtype: Annotated[Literal["auto", "fp32", "bf16", "fp16"], ANSWERED] = "auto"
    """What the model is computed in; `auto` is what its weights are stored in (of fp16: bf16). Log-probabilities are
    summed in fp32."""
    quantize: Annotated[QuantizeKind | None, ANSWERED] = Field(default=None, exclude_if=is_none)
    """Matrices of the model in 4 bits (`nf4`) or 8 (`int8`); empty leaves them as they are, also of a model that was
    trained alongside quantised ones."""
    batch_tokens: Annotated[int | None, affects(evaluation="rounding")] = Field(default=None, ge=64)
    """Prompt and choice positions computed together; default what the device's memory holds."""
    parallel: EvaluationParallel | None = Field(default=None, exclude_if=is_none)
    """The model over several processes; empty keeps it whole in each of them. Needs `xmtf launch`, or `torchrun`."""
    answer_after: Annotated[Name | None, ANSWERED] = Field(default=None, exclude_if=is_none)
    """Text that ends a model's reasoning, such as `</think>`: only what it writes after the last one is judged."""
    server: ServedModel | None = Field(default=None, exclude_if=is_none)
    """How a model behind a server is asked, where `--model` names one; empty asks with the defaults."""
    samples: Annotated[int | None, ANSWERED] = Field(default=None, ge=0)
    """Sample generations shown in the report; by default 10 where a suite writes answers, and none where all rank."""

    @model_validator(mode="after")
    def _check(self) -> Evaluation:
        if self.quantize is not None and self.parallel is not None and self.parallel.processes > 1:
            raise ValueError("quantised weights (quantize) cannot be cut; omit it, or set parallel.tp and pp to 1")
        names = [suite.name for suite in self.suites]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"two suites are named {twice[0]!r}, and results are stored by name; give each a unique name"
            )
        return self


class Report(Section):
    """The report."""

    title: Annotated[str | None, affects(report="result")] = None
    """Heading; default the name of the run."""
    figures: Annotated[tuple[Literal["svg", "png", "pdf"], ...], affects(report="result")] = ("svg", "png")
    """Formats in which figures are written."""
    items: Annotated[int, affects(report="result")] = Field(default=1000, ge=0)
    """Items of each dataset that the page shows, whole rows with all their templates."""


class Recipe(Section):
    """A whole run: data, model, training, evaluation and report."""

    name: Annotated[Name, affects(mixture="continues", tokens="result", report="read")]
    """Name of the run; its folder is `runs/<name>`."""
    description: Annotated[str, affects(mixture="continues", report="read")] = ""
    """One paragraph for people; is in the report and the model card."""
    seed: Annotated[
        int, affects(mixture="result", guard="read", initial="result", training="result", evaluation="result")
    ] = Field(default=42, ge=0, lt=2**31)
    """Seeds everything that draws: sampling, shuffling, packing, weights, dropout."""
    run_folder: Annotated[str | None, UNSEEN] = None
    """Where the run is kept; default `runs/<name>` under the current folder."""
    offline: Annotated[bool, UNSEEN] = False
    """Turn any network access into an error that names what is missing."""
    catalogues: Annotated[tuple[str, ...], affects(mixture="read", guard="read", evaluation="read")] = ()
    """More catalogue files, relative to the recipe."""
    pins: Annotated[Name | None, UNSEEN] = Field(default=None, exclude_if=is_none)
    """YAML file of the commits of datasets that are read, and no others, relative to the recipe: dataset -> revision ->
    commit, as `xmtf data pin` writes it."""
    own_tasks: tuple[OwnTask, ...] = ()
    """Tasks on the user's own files."""
    execution: Execution = Execution()
    mixture: Mixture
    tokens: Tokenization = Tokenization()
    model: Model
    training: Training
    evaluation: Evaluation = Evaluation()
    report: Report = Report()
    memory_limit: Annotated[Bytes | None, UNSEEN] = None
    """Refuse to start what is estimated to need more (`4 GiB`)."""

    @model_validator(mode="after")
    def _fit_together(self) -> Recipe:
        shape = None if self.model.base else (self.model.num_layers or 0, self.model.num_heads or 0)
        check_cut(self.evaluation.parallel, self.model.architecture, shape)
        if self.training.prefix_lm and self.tokens.chat_turns == "all" and uses_chat(self):
            raise ValueError(
                "training.prefix_lm: inputs see each other, so an earlier answer would see later questions; set "
                "tokens.chat_turns: last"
            )
        return self

    @field_validator("name")
    @classmethod
    def _one_file_name(cls, value: str) -> str:
        odd = next((letter for letter in value if letter in "/\\" or not letter.isprintable()), None)
        if odd is not None or value.startswith(".") or len(value.encode()) > _NAME_BYTES:
            raise ValueError(
                f"{value!r} is not a file name: no slashes, control characters or leading full stop, and at most "
                f"{_NAME_BYTES} bytes; to store a run elsewhere set run_folder"
            )
        return value

    def section(self, name: str) -> dict[str, Any]:
        """Return one section as plain JSON values: what manifests record and fingerprints hash."""
        value = getattr(self, name)
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
