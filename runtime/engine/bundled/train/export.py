"""Writes a checkpoint as a Qwen3 model folder (bf16) that transformers, PEFT and mistralrs load, and checks it."""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from layout import CHAT_TEMPLATE, END_OF_TEXT, TURN_END
from model import Pointer, Shape


def renamed(model: Pointer):
    s = model.shape
    queries, keys = s.heads * s.head_width, s.key_value_heads * s.head_width
    weights = {"model.embed_tokens.weight": model.embedding.weight, "model.norm.weight": model.final_norm.weight}
    for n, block in enumerate(model.blocks):
        q, k, v = block.qkv.weight.split([queries, keys, keys])
        gate, up = block.gate_up.weight.chunk(2)
        for name, weight in {
            "self_attn.q_proj": q, "self_attn.k_proj": k, "self_attn.v_proj": v, "self_attn.o_proj": block.out.weight,
            "self_attn.q_norm": block.query_norm.weight, "self_attn.k_norm": block.key_norm.weight,
            "input_layernorm": block.before_attention.weight, "post_attention_layernorm": block.before_feed_forward.weight,
            "mlp.gate_proj": gate, "mlp.up_proj": up, "mlp.down_proj": block.down.weight,
        }.items():  # fmt: skip
            weights[f"model.layers.{n}.{name}.weight"] = weight
    return {name: w.detach().to(torch.bfloat16).contiguous() for name, w in weights.items()}


def config(s: Shape, tokenizer):
    """Plain `rope_theta`, as loaders before transformers 5 expect it."""
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "torch_dtype": "bfloat16",
        "vocab_size": s.vocabulary, "hidden_size": s.width, "intermediate_size": s.inner_width, "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads, "num_key_value_heads": s.key_value_heads, "head_dim": s.head_width, "hidden_act": "silu",
        "max_position_embeddings": s.positions, "rope_theta": s.rope_theta, "rms_norm_eps": s.epsilon, "tie_word_embeddings": True,
        "attention_bias": False, "attention_dropout": 0.0, "initializer_range": 0.02, "use_cache": True,
        "sliding_window": None, "use_sliding_window": False, "max_window_layers": s.layers,
        "bos_token_id": tokenizer[END_OF_TEXT], "eos_token_id": tokenizer[TURN_END], "pad_token_id": tokenizer[END_OF_TEXT],
    }  # fmt: skip


def write(path: Path, content):
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--checkpoint", type=Path, required=True)
    a.add_argument("--tokenizer", type=Path, required=True)
    a.add_argument("--out", type=Path, required=True)
    a = a.parse_args()
    torch.set_num_threads(1)
    saved = torch.load(a.checkpoint)
    model = Pointer(Shape(**saved["shape"]))
    model.load_state_dict(saved["weights"])
    tokenizer = {t["content"]: t["id"] for t in json.loads(a.tokenizer.read_text())["added_tokens"]}
    a.out.mkdir(parents=True, exist_ok=True)
    save_file(renamed(model), a.out / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(a.tokenizer, a.out / "tokenizer.json")
    write(a.out / "config.json", config(model.shape, tokenizer))
    write(a.out / "generation_config.json", {"bos_token_id": tokenizer[END_OF_TEXT], "eos_token_id": [tokenizer[TURN_END]], "pad_token_id": tokenizer[END_OF_TEXT], "do_sample": False})
    write(a.out / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": model.shape.positions, "bos_token": END_OF_TEXT, "eos_token": TURN_END,
        "pad_token": END_OF_TEXT, "add_bos_token": False, "clean_up_tokenization_spaces": False, "chat_template": CHAT_TEMPLATE,
    })  # fmt: skip
    check(a.out, model)


def check(folder, model):
    """The folder, loaded by transformers, computes what the checkpoint computes."""
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.randint(5, model.shape.vocabulary - 80, (1, 300), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = (loaded(ids).logits - model.logits(model.hidden(ids, torch.arange(300)[None]))).abs().max().item()
        scale = loaded(ids).logits.abs().max().item()
    print(f"largest logit {scale:.2f}, largest difference from the checkpoint (bf16 rounding) {difference:.3f}")


if __name__ == "__main__":
    main()
