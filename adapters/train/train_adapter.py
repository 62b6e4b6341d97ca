"""Tunes a LoRA adapter on examples of prompts and answers, in the plain form that the runtime serves.

Examples are JSON lines: {"prompt": text, "target": text} with the prompt exactly as the runtime shows it; for a base that
points, {"passages": [{"title": text, "sentences": [text]}], "question": text, "target": text}; for one that is prompted with
instructions, {"messages": [{"role": text, "content": text or [text]}], "target": text}. The target is the whole answer, for
instance {"cite":"[[2]]"}; "forced" may list the parts of it, in order, that a schema's grammar writes by itself, "one_of" the
targets among which it lets choose. An example may have an "id" by which an evaluation knows it. Out comes a folder with
adapter_config.json, adapter_model.safetensors and adapter_lineage.json, which says what was learned from and how.
"""

import argparse
import hashlib
import json
import random
import re
import string
from importlib.metadata import version
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from pointing import ENCODER, TABLE, Shown, points

IGNORED = -100  # label of tokens that carry no loss
ROWS_MAX = 200_000  # the registry reads no more row ids
ROW_ID_BYTES_MAX = 128
BORDER = "\uf8f0"  # of pieces that are tokenised apart; a character of the private use area, which no text holds
# What the runtime tells a chat template: no hidden reasoning (Qwen3), and the date that templates fall back to (Llama 3).
TEMPLATE_VALUES = {"enable_thinking": False, "date_string": "26 Jul 2024"}
NOT_TUNED = {"base", "base_name", "examples", "out", "table", "encoder", "seed", "licence_note"}  # arguments that are no hyperparameters


def rendered(example: dict, shown: Shown | None) -> str:
    """The user message: as the example has it, or its passages and question as a base that points is shown them."""
    if "prompt" in example:
        return example["prompt"]
    if shown is None:
        raise SystemExit("the base has no markers for sentences: it learns from examples with a `prompt`, not with `passages`")
    return shown.prompt(example)


def prompted(tokenizer, messages: list[dict]) -> list[int]:
    """Token ids of a conversation. A content that is a list is tokenised piece by piece, as the runtime does with its own words
    and what it quotes."""
    parts = [[m["content"]] if isinstance(m["content"], str) else m["content"] for m in messages]
    marked = [{**m, "content": BORDER + BORDER.join(of) + BORDER} for m, of in zip(messages, parts, strict=True)]
    text = tokenizer.apply_chat_template(marked, tokenize=False, add_generation_prompt=True, **TEMPLATE_VALUES)
    return [number for piece in text.split(BORDER) if piece for number in tokenizer(piece, add_special_tokens=False).input_ids]


def encoded(tokenizer, example: dict, shown: Shown | None, longest: int):
    """A row: token ids, labels and the choices at each label; only the target and the end of the turn carry loss. None if longer
    than `longest`."""
    if "messages" in example:
        asked = prompted(tokenizer, example["messages"])
    else:
        chat = [{"role": "user", "content": rendered(example, shown)}]
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, **TEMPLATE_VALUES)
        asked = tokenizer(prompt, add_special_tokens=False).input_ids
    answered, labels, choices = targeted(tokenizer, example)
    if len(asked) + len(answered) > longest:
        return None
    return asked + answered, [IGNORED] * len(asked) + labels, {len(asked) + at: tokens for at, tokens in choices.items()}


def targeted(tokenizer, example: dict):
    """Token ids and labels of the target and the end of the turn, and {place: the tokens that are possible there}.

    What the grammar writes by itself carries no loss: a small model has better things to learn. That is what `forced` names,
    and the end with it. Where the targets of `one_of` part, the choice is among them alone."""
    target, end = example["target"], tokenizer.eos_token_id
    encoding = tokenizer(target, add_special_tokens=False, return_offsets_mapping=True)
    ids = [*encoding.input_ids, end]
    at, forced = 0, set()
    for piece in example.get("forced", []):
        found = target.find(piece, at)
        if found < 0:
            raise SystemExit(f"`forced` names {piece!r}, which does not stand there in the target {target!r}")
        at = found + len(piece)
        forced.update(range(found, at))
    labels = [IGNORED if forced.issuperset(range(*place)) else token for token, place in zip(ids, encoding.offset_mapping)]
    labels.append(IGNORED if "forced" in example else end)
    others = [[*tokenizer(other, add_special_tokens=False).input_ids, end] for other in example.get("one_of", [])]
    ways = {at: sorted({o[at] for o in others if o[:at] == ids[:at]} | {ids[at]}) for at, label in enumerate(labels) if label != IGNORED}
    return ids, labels, {at: tokens for at, tokens in ways.items() if len(tokens) > 1}


def row_id(example: dict) -> str:
    """The example's own id, or else the digest of its JSON with sorted keys and no white space."""
    if "id" in example:
        own = str(example["id"])
        if not 1 <= len(own.encode()) <= ROW_ID_BYTES_MAX:
            raise SystemExit(f"id {own[:80]!r} has {len(own.encode())} bytes, must have 1 to {ROW_ID_BYTES_MAX}")
        return own
    text = json.dumps(example, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def question_id(example: dict) -> list[str]:
    """The digest of the question, if it has one, so that an evaluation knows it under another id. As in SQuAD's script, case,
    ASCII punctuation, articles and white space make no difference."""
    if not isinstance(question := example.get("question"), str):
        return []
    plain = "".join(character for character in question.lower() if character not in string.punctuation)
    words = " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())
    return [f"sha256:{hashlib.sha256(words.encode()).hexdigest()}"] if words else []


def lineage(a, data: bytes, trained_on: list[str]) -> dict:
    """What adapter_lineage.json says; `trained_on` are the ids of the rows that carried loss into the weights."""
    tuned = {name: value for name, value in vars(a).items() if name not in NOT_TUNED}
    packages = {name: version(name) for name in ["torch", "transformers", "peft", "tokenizers"]}
    return {
        "format": 1,
        "base": a.base_name or a.base.name,
        "training_data": {
            "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "row_ids": sorted(set(trained_on)),
        },
        "recipe": {"script": Path(__file__).name, "seed": a.seed, "hyperparameters": tuned | {"packages": packages}},
        "licence_notes": a.licence_note,
    }  # fmt: skip


def batches(rows, size, r, device):
    """Shuffled batches of rows of like length, padded on the right."""
    order = sorted(rows, key=lambda row: len(row[0]) + r.random() * 20)
    chunks = [order[n : n + size] for n in range(0, len(order), size)]
    r.shuffle(chunks)
    for chunk in chunks:
        width = max(len(ids) for ids, _, _ in chunk)
        pad = lambda values, with_: torch.tensor([v + [with_] * (width - len(v)) for v in values], device=device)
        yield {
            "input_ids": pad([ids for ids, _, _ in chunk], 0), "labels": pad([labels for _, labels, _ in chunk], IGNORED),
            "attention_mask": pad([[1] * len(ids) for ids, _, _ in chunk], 0),
            "choices": [(row, at, tokens) for row, (_, _, choices) in enumerate(chunk) for at, tokens in choices.items()],
        }  # fmt: skip


def loss_of(model, batch):
    """Cross entropy at the labels; where there are choices, over those alone, as under a grammar."""
    choices = batch.pop("choices")
    if not choices:
        return model(**batch).loss
    labels = batch.pop("labels")
    logits = model(**batch).logits[:, :-1]
    barred = torch.zeros_like(logits)
    for row, at, tokens in choices:
        barred[row, at - 1] = float("-inf")
        barred[row, at - 1, tokens] = 0.0
    return torch.nn.functional.cross_entropy((logits + barred).flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)


def save(model, out: Path, base_name: str, lineage: dict):
    """PEFT's two files, with the base named instead of its path on this machine, and the lineage."""
    model.peft_config["default"].base_model_name_or_path = base_name
    model.save_pretrained(out, save_embedding_layers=False)
    (out / "README.md").unlink(missing_ok=True)
    config = json.loads((out / "adapter_config.json").read_text())
    config["target_modules"] = sorted(config["target_modules"])
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (out / "adapter_model.safetensors").chmod(0o644)
    (out / "adapter_lineage.json").write_text(json.dumps(lineage, indent=1) + "\n")


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--base", type=Path, required=True, help="folder of the base model")
    a.add_argument("--base-name", help="name written into adapter_config.json (default: the folder's name)")
    a.add_argument("--examples", type=Path, required=True)
    a.add_argument("--out", type=Path, required=True)
    a.add_argument("--table", type=Path, default=TABLE, help="static token table, for the shortlist behind a question")
    a.add_argument("--encoder", type=Path, default=ENCODER, help="sentence encoder, for the same")
    a.add_argument("--rank", type=int, default=8)
    a.add_argument("--alpha", type=int, default=16)
    a.add_argument("--target-modules", nargs="+", default=["q_proj", "k_proj", "v_proj", "o_proj"])
    a.add_argument("--epochs", type=int, default=3)
    a.add_argument("--batch", type=int, default=8)
    a.add_argument("--rate", type=float, default=1e-3)
    a.add_argument("--longest", type=int, default=1024, help="tokens; longer examples are left out and counted")
    a.add_argument("--held-out", type=float, default=0.1, help="share of examples that only measure the loss")
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of the base; the adapter stays float32")
    a.add_argument("--device", default="cpu", help="as torch names it: cpu, cuda, cuda:1")
    a.add_argument("--accumulate", type=int, default=1, help="batches between two steps")
    a.add_argument("--gradient-checkpointing", action="store_true", help="less memory, a third more time")
    a.add_argument("--licence-note", action="append", default=[], help="terms of the data or the base; may be given several times")
    a = a.parse_args()
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    r = random.Random(a.seed)

    tokenizer = AutoTokenizer.from_pretrained(a.base)
    data = a.examples.read_bytes()
    examples = [json.loads(line) for line in data.decode().split("\n") if line]
    shown = Shown(a.table, a.encoder, examples, random.Random(a.seed)) if points(tokenizer) else None
    pairs = ((e, encoded(tokenizer, e, shown, a.longest)) for e in examples)
    named = [([row_id(e), *question_id(e)], row) for e, row in pairs if row]
    r.shuffle(named)
    kept = max(1, int(len(named) * a.held_out))
    trained_on = list({name for names, _ in named[kept:] for name in names})
    if len(trained_on) > ROWS_MAX:
        raise SystemExit(f"{len(trained_on)} row ids, the registry accepts the lineage of at most {ROWS_MAX}")
    unseen, rows = [row for _, row in named[:kept]], [row for _, row in named[kept:]]
    print(f"{len(rows)} examples to learn from, {kept} to measure on, {len(examples) - kept - len(rows)} too long")

    model = AutoModelForCausalLM.from_pretrained(a.base, dtype=getattr(torch, a.dtype)).to(a.device)
    if a.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    model = get_peft_model(model, LoraConfig(
        task_type="CAUSAL_LM", r=a.rank, lora_alpha=a.alpha, target_modules=a.target_modules, lora_dropout=0.0, bias="none"
    ))  # fmt: skip
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=a.rate, weight_decay=0.0)
    steps = a.epochs * -(-len(rows) // (a.batch * a.accumulate))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, a.rate, total_steps=steps, pct_start=0.1)

    def unseen_loss():
        model.eval()
        with torch.no_grad():
            losses = [loss_of(model, batch).item() for batch in batches(unseen, a.batch, random.Random(0), a.device)]
        model.train()
        return sum(losses) / len(losses)

    print(f"before: loss {unseen_loss():.3f} on unseen examples")
    for epoch in range(a.epochs):
        count = -(-len(rows) // a.batch)
        for number, batch in enumerate(batches(rows, a.batch, r, a.device), 1):
            (loss_of(model, batch) / a.accumulate).backward()
            if number % a.accumulate and number < count:
                continue
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
        print(f"epoch {epoch + 1}: loss {unseen_loss():.3f} on unseen examples", flush=True)
    save(model, a.out, a.base_name or a.base.name, lineage(a, data, trained_on))


if __name__ == "__main__":
    main()
