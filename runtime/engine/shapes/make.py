"""Writes a language model of a published shape with random weights: a folder of safetensors, or a GGUF file.

    python make.py qwen2.5-0.5b bf16 out/qwen2.5-0.5b
    python make.py qwen2.5-0.5b q4_k_m out/qwen2.5-0.5b-q4_k_m.gguf
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import torch
from blocks import SUPER_BLOCK, quantised
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import save_file
from shapes import SHAPES, drawn, head_dim, tensors
from tokenizers import Tokenizer
from vocabulary import Format, learn

REPOSITORY = Path(__file__).resolve().parents[3]
# What the vocabulary is learned from: texts of this repository.
LEARNED_FROM = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "runtime/samples/handbook/**/*.md", "runtime/src/**/*.rs"]
DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32}
FILE_TYPES = {"q8_0": gguf.LlamaFileType.MOSTLY_Q8_0, "q4_k_m": gguf.LlamaFileType.MOSTLY_Q4_K_M}


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("shape", choices=SHAPES)
    a.add_argument("form", choices=[*DTYPES, *FILE_TYPES])
    a.add_argument("out", type=Path, help="a folder for bf16 and f32, else a file")
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--spread", type=float, help="standard deviation of the weights (default: the model's initializer_range)")
    a.add_argument("--shard-bytes", type=int, default=5_000_000_000, help="largest safetensors file")
    a.add_argument("--threads", type=int, default=1)
    a = a.parse_args()
    torch.set_num_threads(a.threads)
    config = SHAPES[a.shape]
    form = Format(config)
    tokenizer = learn(form, [file for pattern in LEARNED_FROM for file in sorted(REPOSITORY.glob(pattern))])
    spread = a.spread or config["initializer_range"]
    draw = lambda name, shape: lambda: drawn(name, shape, a.seed, spread)
    weights = ((name, shape, draw(name, shape)) for name, shape in tensors(config))
    if a.form in DTYPES:
        weights = ((name, shape, lambda d=draw: d().to(DTYPES[a.form])) for name, shape, draw in weights)
        config = config | {"torch_dtype": str(DTYPES[a.form]).removeprefix("torch.")}
        write_folder(a.out, config, form, tokenizer, weights, a.shard_bytes)
    else:
        write_gguf(a.out, a.form, config, form, tokenizer, list(weights))


def write_folder(out: Path, config: dict, form: Format, tokenizer: Tokenizer, weights: Iterator, shard_bytes: int) -> None:
    out.mkdir(parents=True)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    ends = config["eos_token_id"]
    generation = {"eos_token_id": ends if isinstance(ends, list) else [ends], "do_sample": False}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config["max_position_embeddings"],
        "bos_token": form.beginning, "eos_token": form.end, "pad_token": form.padding, "add_bos_token": False,
        "clean_up_tokenization_spaces": False, "chat_template": form.template,
    }  # fmt: skip
    (out / "tokenizer_config.json").write_text(json.dumps(described, indent=2) + "\n")
    tokenizer.save(str(out / "tokenizer.json"))
    files, shard = [], {}

    def save():
        files.append(out / f"{len(files)}.unnamed")
        save_file(shard, files[-1], metadata={"format": "pt"})
        files[-1].chmod(0o644)
        shards.append(list(shard))
        shard.clear()

    shards = []
    for name, _, draw in weights:
        tensor = draw()
        if shard and sum(one.nbytes for one in shard.values()) + tensor.nbytes > shard_bytes:
            save()
        shard[name] = tensor
    save()
    places = {}
    for number, (file, names) in enumerate(zip(files, shards, strict=True), 1):
        named = f"model-{number:05}-of-{len(files):05}.safetensors" if len(files) > 1 else "model.safetensors"
        file.rename(out / named)
        places |= dict.fromkeys(names, named)
    if len(shards) > 1:
        index = {"metadata": {}, "weight_map": places}
        (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_gguf(out: Path, form_name: str, config: dict, form: Format, tokenizer: Tokenizer, weights: list) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    kind = config["model_type"]
    writer = gguf.GGUFWriter(out, kind)
    writer.add_file_type(FILE_TYPES[form_name])
    describe(writer, config)
    describe_vocabulary(writer, config, form, tokenizer)
    architecture = next(one for one, name in gguf.MODEL_ARCH_NAMES.items() if name == kind)
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    chosen = []
    if scaling := config.get("rope_scaling"):
        factors = position_factors(config, scaling)
        writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes, raw_dtype=Kind.F32)
    for name, shape, draw in weights:
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        quantisation = quantisation_of(target, shape, form_name, config)
        chosen.append((name, quantisation, draw))
        length = shape[-1] // gguf.GGML_QUANT_SIZES[quantisation][0] * gguf.GGML_QUANT_SIZES[quantisation][1]
        data_shape = shape if quantisation == Kind.F32 else (*shape[:-1], length)
        data_type = np.dtype(np.float32 if quantisation == Kind.F32 else np.uint8)
        data_bytes = int(np.prod(data_shape)) * data_type.itemsize
        writer.add_tensor_info(target, data_shape, data_type, data_bytes, raw_dtype=quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if scaling:
        writer.write_tensor_data(factors)
    for name, quantisation, draw in chosen:
        values = draw().float().numpy()
        if kind == "llama" and ("q_proj" in name or "k_proj" in name):
            values = interleaved(values, config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"])
        writer.write_tensor_data(in_pieces(values, quantisation))
    writer.close()


def position_factors(config: dict, scaling: dict) -> np.ndarray:
    """By how much each frequency of Llama 3's positions is lowered, as llama.cpp's conversion stores it."""
    width = head_dim(config)
    lengths = 2 * np.pi * config["rope_theta"] ** (np.arange(0, width, 2) / width)
    turns = scaling["original_max_position_embeddings"] / lengths
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / scaling["factor"] + smooth)).astype(np.float32)


def in_pieces(values: np.ndarray, kind: Kind, rows: int = 4096) -> np.ndarray:
    """Some rows at a time, so that what quantising needs beside them stays small."""
    if values.ndim == 1:
        return values
    return np.concatenate([quantised(values[at : at + rows], kind) for at in range(0, len(values), rows)])


def interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries and keys in the order in which llama.cpp rotates them."""
    return values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def describe(writer: gguf.GGUFWriter, config: dict) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    if config["model_type"] == "llama":
        writer.add_rope_dimension_count(head_dim(config))
        writer.add_vocab_size(config["vocab_size"])
    if "head_dim" in config:
        writer.add_key_length(head_dim(config))
        writer.add_value_length(head_dim(config))


def describe_vocabulary(writer: gguf.GGUFWriter, config: dict, form: Format, tokenizer: Tokenizer) -> None:
    """Ids that have no token become unused ones, as llama.cpp's conversion has it."""
    texts = [tokenizer.id_to_token(number) for number in range(config["vocab_size"])]
    types = gguf.TokenType
    kinds = [
        types.UNUSED if text is None
        else types.CONTROL if form.is_control(text)
        else types.USER_DEFINED if text in form.text
        else types.NORMAL
        for text in texts
    ]  # fmt: skip
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(form.pre)
    writer.add_token_list([text if text is not None else f"[PAD{number}]" for number, text in enumerate(texts)])
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_eos_token_id(tokenizer.token_to_id(form.end))
    writer.add_pad_token_id(tokenizer.token_to_id(form.padding))
    writer.add_bos_token_id(tokenizer.token_to_id(form.beginning or form.padding))
    writer.add_add_bos_token(False)
    writer.add_chat_template(form.template)


def quantisation_of(name: str, shape: tuple[int, ...], form_name: str, config: dict) -> Kind:
    """The choice of llama.cpp's llama-quantize, with what it falls back to where a row is no multiple of 256."""
    if len(shape) == 1:
        return Kind.F32
    if form_name == "q8_0":
        return Kind.Q8_0
    is_output = name == "output.weight" or (name == "token_embd.weight" and config["tie_word_embeddings"])
    is_finer = is_output or (("attn_v" in name or "ffn_down" in name) and is_finer_layer(name, config["num_hidden_layers"]))
    if shape[-1] % SUPER_BLOCK:
        return Kind.Q8_0 if is_finer else Kind.Q5_0
    return Kind.Q6_K if is_finer else Kind.Q4_K


def is_finer_layer(name: str, layers: int) -> bool:
    """The first and the last eighth, and every third between."""
    layer = int(name.split(".")[1])
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


if __name__ == "__main__":
    main()
