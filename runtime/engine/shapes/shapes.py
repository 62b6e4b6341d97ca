"""Shapes of published models: the values of their config.json, and the tensors that follow from them.

Nothing else of those models is here. Every tensor is drawn from a seed of its own, so a folder and a GGUF file of one
shape hold the same weights, and nothing larger than one tensor is in memory while they are written.
"""

import zlib
from collections.abc import Iterator

import torch

QWEN = {
    "hidden_act": "silu", "initializer_range": 0.02, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "torch_dtype": "bfloat16",
    "use_cache": True, "use_sliding_window": False, "attention_dropout": 0.0,
}  # fmt: skip
QWEN2 = QWEN | {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "max_position_embeddings": 32768, "sliding_window": 32768,
    "bos_token_id": 151643, "eos_token_id": 151645,
}  # fmt: skip
LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "initializer_range": 0.02,
    "rms_norm_eps": 1e-5, "attention_bias": False, "attention_dropout": 0.0, "mlp_bias": False, "pretraining_tp": 1,
    "torch_dtype": "bfloat16", "use_cache": True, "tie_word_embeddings": True,
}  # fmt: skip

SHAPES = {
    "qwen2.5-0.5b": QWEN2 | {
        "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "max_window_layers": 21,
        "num_attention_heads": 14, "num_key_value_heads": 2, "tie_word_embeddings": True,
    },
    "qwen2.5-1.5b": QWEN2 | {
        "vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "max_window_layers": 21,
        "num_attention_heads": 12, "num_key_value_heads": 2, "tie_word_embeddings": True,
    },
    "qwen2.5-7b": QWEN2 | {
        "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "max_window_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False, "sliding_window": 131072,
    },
    "qwen3-0.6b": QWEN | {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024,
        "intermediate_size": 3072, "num_hidden_layers": 28, "max_window_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": True, "max_position_embeddings": 40960,
        "attention_bias": False, "rope_scaling": None, "sliding_window": None, "bos_token_id": 151643, "eos_token_id": 151645,
    },
    "smollm2-360m": LLAMA | {
        "vocab_size": 49152, "hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 32, "num_attention_heads": 15,
        "num_key_value_heads": 5, "max_position_embeddings": 8192, "rope_theta": 100000, "rope_scaling": None,
        "rope_interleaved": False, "is_llama_config": True, "pad_token_id": 2, "bos_token_id": 1, "eos_token_id": 2,
    },
    "llama-3.2-1b": LLAMA | {
        "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 131072, "rope_theta": 500000.0,
        "rope_scaling": {
            "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
        "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009],
    },
}  # fmt: skip


def head_dim(config: dict) -> int:
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def tensors(config: dict) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes as in the model's safetensors files, in their order."""
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    queries, keys = (config[f"num_{kind}_heads"] * head_dim(config) for kind in ["attention", "key_value"])
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        for name, rows in [("q", queries), ("k", keys), ("v", keys)]:
            yield f"{at}.self_attn.{name}_proj.weight", (rows, hidden)
            if config["model_type"] == "qwen2":
                yield f"{at}.self_attn.{name}_proj.bias", (rows,)
        yield f"{at}.self_attn.o_proj.weight", (hidden, queries)
        if config["model_type"] == "qwen3":
            yield f"{at}.self_attn.q_norm.weight", (head_dim(config),)
            yield f"{at}.self_attn.k_norm.weight", (head_dim(config),)
        yield f"{at}.mlp.gate_proj.weight", (wide, hidden)
        yield f"{at}.mlp.up_proj.weight", (wide, hidden)
        yield f"{at}.mlp.down_proj.weight", (hidden, wide)
        yield f"{at}.input_layernorm.weight", (hidden,)
        yield f"{at}.post_attention_layernorm.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], hidden)


def drawn(name: str, shape: tuple[int, ...], seed: int, spread: float) -> torch.Tensor:
    """A tensor in bf16: ones for a norm, else normal with the spread that training starts from."""
    if name.endswith("norm.weight"):
        return torch.ones(shape, dtype=torch.bfloat16)
    source = torch.Generator().manual_seed(zlib.crc32(f"{seed}:{name}".encode()))
    return torch.empty(shape, dtype=torch.bfloat16).normal_(0.0, spread, generator=source)
