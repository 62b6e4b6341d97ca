"""Structured initialisation: the untrained network already computes a word-overlap vote.

Layer 0   head 0 copies the tag of the latest marker to each token; head 1 copies the previous token's content beside it.
Layer 1   a question token attends to equal (or same-stem) context tokens, or to a sink, and takes their marker's tag.
Layer 2   head 0 lets the answer position average the question tokens' tags into a vote; head 1 continues a copied span.
Tags live in the directions that the tied output layer reads as markers. Everything else starts small and random.
"""

import math
import re

import torch

from layout import MARKERS, PASSAGE, QUESTION, TURN_START
from model import Pointer, rope_frequencies

TAG_WIDTH = 64  # orthogonal directions, one a marker
PREVIOUS = 0.9  # size of the previous token's content beside the token's own
SINK = (0.38, 0.45)  # how much of a query asks for the sink, a head
MATCH = 1.9  # sharpness of matching


def unit_rows(rows, columns, generator):
    matrix = torch.linalg.qr(torch.randn(max(rows, columns), max(rows, columns), generator=generator))[0]
    return matrix[:rows, :columns]


def stem(token: str) -> str:
    word = token.strip().lower()
    if not word.isalpha() or len(word) < 4:
        return word
    for ending in ("ations", "ation", "ments", "ment", "ings", "ing", "ied", "ies", "ers", "er", "ed", "es", "ly", "al", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def content_vectors(texts, frequency, width, generator):
    """One vector a token: mostly its stem's, partly its first letters' and its own; frequent tokens are short."""
    cache = {}

    def vector(key):
        if key not in cache:
            v = torch.randn(width, generator=generator)
            cache[key] = v / v.norm()
        return cache[key]

    out = torch.zeros(len(texts), width)
    for i, text in enumerate(texts):
        root = stem(text)
        v = 0.85 * vector(("stem", root)) + 0.35 * vector(("own", text))
        if len(root) >= 5:
            v = v + 0.35 * vector(("start", root[:5]))
        share = max(frequency[i], 1e-6)
        out[i] = v / v.norm() * min(1.0, max(0.35, 1 - 0.32 * (math.log10(share) + 3.7)))
        if not re.search(r"[A-Za-z0-9]", text):
            out[i] *= 0.35 / out[i].norm().clamp(min=0.35)
    return out


@torch.no_grad()
def initialise(model: Pointer, tokenizer, texts, frequency, seed=0):
    """texts: each id's decoded text. frequency: each id's share of the training text."""
    shape, g = model.shape, torch.Generator().manual_seed(seed)
    width, hd = shape.width, shape.head_width
    basis = torch.linalg.qr(torch.randn(width, width, generator=g))[0].t()
    common, marking = basis[0], basis[1]
    tag_rows = TAG_WIDTH + 2
    labels = basis[2 : 2 + tag_rows]  # tags, then "in a question", then "in a title"
    tags, in_question, in_title = labels[:TAG_WIDTH], labels[TAG_WIDTH], labels[TAG_WIDTH + 1]
    rest = basis[2 + tag_rows :]
    free = rest.shape[0]
    ids = {t: tokenizer.token_to_id(t) for t in (*MARKERS, PASSAGE, QUESTION, TURN_START)}

    e = model.embedding.weight
    e.copy_(0.6 * common + content_vectors(texts, frequency, free, g) @ rest)
    directions = torch.linalg.qr(torch.randn(len(MARKERS), len(MARKERS), generator=g))[0][:, :TAG_WIDTH]
    directions = directions / directions.norm(dim=1, keepdim=True)
    for n, marker in enumerate(MARKERS[1:]):
        e[ids[marker]] = 0.6 * common + 1.5 * marking + directions[n] @ tags
    e[ids[QUESTION]] = 0.6 * common + 1.5 * marking + in_question
    e[ids[PASSAGE]] = 0.6 * common + 1.5 * marking + in_title
    sink = torch.randn(free, generator=g) @ rest
    sink /= sink.norm()
    e[ids[TURN_START]] = 0.6 * common + sink

    speed = rope_frequencies(shape)
    half = hd // 2
    fast = [i for i in range(half) if speed[i] > 0.15]
    middle = [i for i in range(half) if 0.004 < speed[i] < 0.16]
    slow = [i for i in range(half) if speed[i] * 600 < 0.4]
    still, slow = slow[-2:], slow[:-2]
    match = slow + [i + half for i in slow]
    normal = 13.0  # norm of a normalised residual, about sqrt(width)

    def parts(layer):
        w = model.blocks[layer].qkv.weight
        q = w[: shape.heads * hd].view(shape.heads, hd, width)
        k = w[shape.heads * hd : (shape.heads + shape.key_value_heads) * hd].view(shape.key_value_heads, hd, width)
        v = w[(shape.heads + shape.key_value_heads) * hd :].view(shape.key_value_heads, hd, width)
        return q, k, v, model.blocks[layer].out.weight.view(width, shape.heads, hd)

    def sharpness(layer, gain):
        model.blocks[layer].query_norm.weight.fill_(gain)
        model.blocks[layer].key_norm.weight.fill_(gain)

    small = 0.02 / math.sqrt(width)

    # layer 0: latest marker (head 0), previous token (head 1)
    q, k, v, o = parts(0)
    for part in (q, k):
        part.copy_(torch.randn(part.shape, generator=g) * small)
    q[0, middle] = common
    k[0, middle] = marking
    k[0, half + still[0]] = common  # ordinary tokens' keys point away
    v[0, :tag_rows] = labels
    for i in fast:
        q[1, i], q[1, i + half] = math.cos(speed[i]) * common, -math.sin(speed[i]) * common
        k[1, i] = common
    before = unit_rows(hd, free, g) @ rest  # what is kept of the previous token ...
    beside = unit_rows(hd, free, g) @ rest  # ... and where it is put
    v[1] = before
    o[:, 0, :tag_rows] = labels.t() / 7.0
    o[:, 1] = PREVIOUS * beside.t() / 11.0
    sharpness(0, 2.1)

    # layer 1: equal tokens
    q, k, v, o = parts(1)
    for part in (q, k):
        part.copy_(torch.randn(part.shape, generator=g) * small)
    for h in range(shape.heads):
        project = unit_rows(len(match), free, g) @ rest
        k[h, match] = q[h, match] = project
        k[h, still] = 1.6 * sink - 1.6 * in_question - 0.8 * in_title
        q[h, still] = SINK[h] / 0.6 / math.sqrt(len(still)) * common
        v[h] *= 0.1
        v[h, :TAG_WIDTH] = tags
        o[:, h, :TAG_WIDTH] = 1.2 * tags.t() / normal * 1.6
    sharpness(1, MATCH)

    # layer 2: vote (head 0), copying (head 1)
    q, k, v, o = parts(2)
    for part in (q, k):
        part.copy_(torch.randn(part.shape, generator=g) * small)
    q[0, still] = common
    k[0, still] = 2.0 * in_question
    k[0, half + middle[0]] = 0.4 * common
    v[0, :TAG_WIDTH] = tags
    o[:, 0, :TAG_WIDTH] = 8.0 * tags.t() / normal * 1.6
    project = unit_rows(len(match), hd, g)
    k[1, match] = project @ beside
    k[1, still] = sink
    v[1] = unit_rows(hd, free, g) @ rest
    q[1, match] = project @ before
    q[1, still] = 0.5 * common
    o[:, 1] = 0.6 * v[1].t() / 11.0
    sharpness(2, 1.6)
    return model
