"""A byte-level BPE tokenizer with as many tokens as a published model has, its control tokens, their ids and its chat format.

The vocabulary itself is our own: learned from the files it is given, then filled up with pairs of what was learned, so that
no id is without a text and a trie over the vocabulary is about as large as with the model's own.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_PATTERN = QWEN_PATTERN.replace(r"\p{N}|", r"\p{N}{1,3}|")
QWEN_CONTROL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
    "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
# Added to the vocabulary, but text.
QWEN_TEXT = [
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",
    "<|file_sep|>",
]  # fmt: skip
SMOLLM_CONTROL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>", "<gh_stars>",
    "<issue_start>", "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>", "<jupyter_code>",
    "<jupyter_output>", "<jupyter_script>", "<empty_output>",
]  # fmt: skip
LLAMA_CONTROL = {
    0: "<|begin_of_text|>", 1: "<|end_of_text|>", 4: "<|finetune_right_pad_id|>", 6: "<|start_header_id|>",
    7: "<|end_header_id|>", 8: "<|eom_id|>", 9: "<|eot_id|>", 10: "<|python_tag|>",
}  # fmt: skip

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_CHAT = (
    "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


class Format:
    """What differs from family to family: where the control tokens stand, and how a turn is written."""

    def __init__(self, config: dict):
        if config["model_type"].startswith("qwen"):
            self.before, self.control, self.text = [], QWEN_CONTROL, QWEN_TEXT
            self.learned, self.pattern, self.pre, self.template = 151643, QWEN_PATTERN, "qwen2", CHATML
            self.beginning, self.end, self.padding = None, "<|im_end|>", "<|endoftext|>"
        elif config["vocab_size"] == 49152:
            self.before, self.control, self.text = SMOLLM_CONTROL, [], []
            self.learned, self.pattern, self.pre, self.template = 49152 - len(SMOLLM_CONTROL), QWEN_PATTERN, "smollm", CHATML
            self.beginning, self.end, self.padding = "<|im_start|>", "<|im_end|>", "<|im_end|>"
        else:
            names = (LLAMA_CONTROL.get(n, f"<|reserved_special_token_{n}|>") for n in range(256))
            self.before, self.control, self.text = [], list(names), []
            self.learned, self.pattern, self.pre, self.template = 128000, LLAMA_PATTERN, "llama-bpe", LLAMA_CHAT
            self.beginning, self.end, self.padding = "<|begin_of_text|>", "<|eot_id|>", "<|finetune_right_pad_id|>"

    def is_control(self, token: str) -> bool:
        return token in self.before or token in self.control


def learn(form: Format, files: list[Path]) -> Tokenizer:
    """The tokenizer of `form`, its pieces learned from `files`."""
    learning = bare(form, models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=form.learned, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, min_frequency=2
    )
    learning.train_from_iterator((file.read_text() for file in files), trainer)
    pieces = learning.get_vocab()
    tokens = sorted(pieces, key=pieces.get)
    merges = [(*pair,) for pair in _merges(learning)]
    tokens, merges = _filled(tokens, merges, form.learned)
    vocabulary = {token: number for number, token in enumerate([*form.before, *tokens])}
    tokenizer = bare(form, models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in [*form.before, *form.control]])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in form.text])
    return tokenizer


def bare(form: Format, model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    split = pre_tokenizers.Split(Regex(form.pattern), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _merges(tokenizer: Tokenizer) -> list[list[str]]:
    return json.loads(tokenizer.to_str())["model"]["merges"]


def _filled(tokens: list[str], merges: list[tuple[str, str]], count: int) -> tuple[list[str], list[tuple[str, str]]]:
    """More tokens, each two of those before it, up to `count`."""
    known, tokens, merges = set(tokens), tokens[:count], list(merges)
    learned = len(tokens)
    for distance in range(1, learned):
        for first in range(learned - distance):
            if len(tokens) == count:
                return tokens, merges
            pair = tokens[first], tokens[first + distance]
            if (joined := "".join(pair)) not in known:
                known.add(joined)
                tokens.append(joined)
                merges.append(pair)
    return tokens, merges
