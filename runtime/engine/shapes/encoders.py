"""Writes an embedder or a cross-encoder of the BERT family in a published shape, with random weights in f32.

    python encoders.py bge-small-en out/bge-small-en
"""

import argparse
import itertools
import json
import string
from pathlib import Path

import torch
from make import LEARNED_FROM, REPOSITORY
from safetensors.torch import save_file
from shapes import drawn
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

BERT = {
    "model_type": "bert", "vocab_size": 30522, "hidden_act": "gelu", "max_position_embeddings": 512, "type_vocab_size": 2,
    "layer_norm_eps": 1e-12, "pad_token_id": 0, "initializer_range": 0.02, "position_embedding_type": "absolute",
    "torch_dtype": "float32",
}  # fmt: skip
SMALL = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
CLASSIFIER = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
SHAPES = {
    "bge-small-en": BERT | SMALL | {"architectures": ["BertModel"], "num_hidden_layers": 12},
    "e5-base": BERT | BASE | {"architectures": ["BertModel"], "num_hidden_layers": 12},
    "ms-marco-minilm-l6": BERT | SMALL | CLASSIFIER | {"num_hidden_layers": 6},
}
POOLED_BY_FIRST = {"bge-small-en"}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("shape", choices=SHAPES)
    a.add_argument("out", type=Path, help="a folder")
    a.add_argument("--seed", type=int, default=0)
    a = a.parse_args()
    torch.set_num_threads(1)
    config = SHAPES[a.shape]
    a.out.mkdir(parents=True)
    is_classifier = "id2label" in config
    prefix = "bert." if is_classifier else ""
    tensors = {prefix + name: random(name, shape, a.seed) for name, shape in encoder(config)}
    if is_classifier:
        tensors |= {name: random(name, shape, a.seed) for name, shape in head(config)}
    save_file(tensors, a.out / "model.safetensors", metadata={"format": "pt"})
    (a.out / "model.safetensors").chmod(0o644)
    tokenizer(config["vocab_size"]).save(str(a.out / "tokenizer.json"))
    length = config["max_position_embeddings"]
    described = {"tokenizer_class": "BertTokenizerFast", "model_max_length": length, "do_lower_case": True}
    names = dict(zip(["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"], SPECIAL, strict=True))
    write(a.out / "config.json", config)
    write(a.out / "tokenizer_config.json", described | names)
    if not is_classifier:
        describe_pooling(a.out, config, a.shape in POOLED_BY_FIRST)


def describe_pooling(out: Path, config: dict, by_first: bool) -> None:
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(kinds)
    ]
    write(out / "modules.json", modules)
    (out / "1_Pooling").mkdir()
    modes = {"pooling_mode_cls_token": by_first, "pooling_mode_mean_tokens": not by_first}
    write(out / "1_Pooling/config.json", {"word_embedding_dimension": config["hidden_size"]} | modes)
    (out / "2_Normalize").mkdir()
    write(out / "sentence_bert_config.json", {"max_seq_length": config["max_position_embeddings"], "do_lower_case": False})


def encoder(config: dict):
    """Names and shapes of BERT's tensors."""
    width, wide = config["hidden_size"], config["intermediate_size"]
    for name, rows in [("word", "vocab_size"), ("position", "max_position_embeddings"), ("token_type", "type_vocab_size")]:
        yield f"embeddings.{name}_embeddings.weight", (config[rows], width)
    yield from norm("embeddings.LayerNorm", width)
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        for name in ["query", "key", "value"]:
            yield from linear(f"{at}.attention.self.{name}", width, width)
        yield from linear(f"{at}.attention.output.dense", width, width)
        yield from norm(f"{at}.attention.output.LayerNorm", width)
        yield from linear(f"{at}.intermediate.dense", wide, width)
        yield from linear(f"{at}.output.dense", width, wide)
        yield from norm(f"{at}.output.LayerNorm", width)


def head(config: dict):
    width = config["hidden_size"]
    yield from linear("bert.pooler.dense", width, width)
    yield from linear("classifier", 1, width)


def linear(name: str, rows: int, columns: int):
    yield f"{name}.weight", (rows, columns)
    yield f"{name}.bias", (rows,)


def norm(name: str, width: int):
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def random(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Three times as wide as training starts from, so that texts differ in what comes out."""
    is_scale = name.endswith("LayerNorm.weight")
    return torch.ones(shape) if is_scale else drawn(name, shape, seed, 0.06).float()


def tokenizer(size: int) -> Tokenizer:
    """Pieces learned from this repository's texts, then endings of three letters, up to the published number."""
    learning = bare(models.WordPiece(unk_token="[UNK]"))
    files = [file for pattern in LEARNED_FROM for file in sorted(REPOSITORY.glob(pattern))]
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False)
    learning.train_from_iterator((file.read_text() for file in files), trainer)
    learned = learning.get_vocab()
    endings = ("##" + "".join(letters) for letters in itertools.product(string.ascii_lowercase + string.digits, repeat=3))
    pieces = dict.fromkeys(itertools.chain(sorted(learned, key=learned.get), endings))
    vocabulary = {piece: number for number, piece in enumerate(itertools.islice(pieces, size))}
    made = bare(models.WordPiece(vocabulary, unk_token="[UNK]"))
    first, last = ((name, vocabulary[name]) for name in ["[CLS]", "[SEP]"])
    made.post_processor = processors.BertProcessing(last, first)
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(SPECIAL)
    return made


def bare(model: models.WordPiece) -> Tokenizer:
    made = Tokenizer(model)
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def write(file: Path, value) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n")


if __name__ == "__main__":
    main()
