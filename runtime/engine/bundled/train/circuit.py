"""Structured initialisation: the untrained network already computes a vote by words, meanings and titles.

Layer 0   head 0 copies the tag of the latest marker to each token; head 1 copies the previous token's word beside it.
Layer 1   head 0 gathers the words of the passage's title; head 1 matches a question's words with equal ones (same stem).
Layer 2   head 0 matches meanings; head 1 matches a question's words with those of titles. Matching is attending to the
          token, or to a sink, and taking its marker's tag.
Layer 3   head 0 lets the answer position average the question tokens' tags into a vote; head 1 continues a copied span.
Tags live in the directions that the tied output layer reads as markers. Everything else starts small and random.
"""

import math
import re

import torch

from layout import MARKERS, PASSAGE, QUESTION, TURN_START
from model import Pointer, rope_frequencies

TAG_WIDTH = 64  # orthogonal directions, one a marker
LEXICAL_WIDTH = 96  # directions for what a token is, apart from what it means
PREVIOUS = 0.7  # size of the previous token's word beside the token's own
TITLE = 3.0  # gain of the title's words beside the token's own
SINK = {"word": 0.38, "meaning": 0.3, "title": 0.6}  # how much of a query asks for the sink
VOTE = {"word": 1.9, "meaning": 1.0, "title": 0.12}  # gain of what is matched
MATCH = 1.9  # sharpness of matching
RECENT_TITLE = 1.6  # sharpness of preferring the passage's own title


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


def lengths(texts, frequency):
    """Frequent tokens and signs are short, so that they ask for the sink more than for their like."""
    share = frequency.clip(1e-6)
    found = (1 - 0.32 * (torch.log10(torch.from_numpy(share)) + 3.7)).clamp(0.35, 1.0).float()
    signs = torch.tensor([not re.search(r"[A-Za-z0-9]", text) for text in texts])
    return torch.where(signs, 0.35, found)[:, None]


def word_vectors(texts, width, generator):
    """One vector a token: mostly its stem's, partly its first letters' and its own."""
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
        out[i] = v / v.norm()
    return out


class Directions:
    """An orthonormal basis of the residual stream, by what its directions hold."""

    def __init__(self, width, generator):
        basis = torch.linalg.qr(torch.randn(width, width, generator=generator))[0].t()
        self.common, self.marking = basis[0], basis[1]
        self.labels = basis[2 : 4 + TAG_WIDTH]  # tags, then "in a question", then "in a title"
        self.tags, self.in_question, self.in_title = self.labels[:TAG_WIDTH], self.labels[TAG_WIDTH], self.labels[TAG_WIDTH + 1]
        self.lexical = basis[4 + TAG_WIDTH :][:LEXICAL_WIDTH]
        self.meaning = basis[4 + TAG_WIDTH + LEXICAL_WIDTH :]
        self.sink = torch.randn(LEXICAL_WIDTH, generator=generator) @ self.lexical
        self.sink /= self.sink.norm()


class Frequencies:
    """A head's dimensions by the speed at which they turn with the distance."""

    def __init__(self, shape):
        self.speed = rope_frequencies(shape)
        self.half = shape.head_width // 2
        chosen = lambda keep: [i for i in range(self.half) if keep(self.speed[i])]
        self.fast = chosen(lambda s: s > 0.15)
        self.middle = chosen(lambda s: 0.004 < s < 0.16)
        self.gentle = chosen(lambda s: 0.002 < s < 0.02)
        slow = chosen(lambda s: s * 700 < 0.4)
        self.still, slow = slow[-2:], slow[:-2]
        self.match = slow + [i + self.half for i in slow]


def parts(model, layer):
    """Views of a layer's weights by head: queries, keys, values (head, head width, width) and output (width, head, head width)."""
    s, w = model.shape, model.blocks[layer].qkv.weight
    q, k, v = w.view(3, s.heads, s.head_width, s.width)
    return q, k, v, model.blocks[layer].out.weight.view(s.width, s.heads, s.head_width)


def sharpen(model, layer, gain):
    model.blocks[layer].query_norm.weight.fill_(gain)
    model.blocks[layer].key_norm.weight.fill_(gain)


def quieten(q, k, width, generator):
    for part in (q, k):
        part.copy_(torch.randn(part.shape, generator=generator) * 0.02 / math.sqrt(width))


NORMAL = 13.0  # gain of normalising a residual, about


@torch.no_grad()
def embed(model, d, tokenizer, texts, frequency, meanings, generator):
    e = model.embedding.weight
    ids = {t: tokenizer.token_to_id(t) for t in (*MARKERS, PASSAGE, QUESTION, TURN_START)}
    words = word_vectors(texts, LEXICAL_WIDTH, generator) @ d.lexical
    known = meanings.norm(dim=1, keepdim=True)
    content = (words + meanings @ d.meaning) / (1 + known**2).sqrt()
    e.copy_(0.6 * d.common + lengths(texts, frequency) * content)
    directions = torch.linalg.qr(torch.randn(len(MARKERS), len(MARKERS), generator=generator))[0][:, :TAG_WIDTH]
    directions = directions / directions.norm(dim=1, keepdim=True)
    for n, marker in enumerate(MARKERS[1:]):
        e[ids[marker]] = 0.6 * d.common + 1.5 * d.marking + directions[n] @ d.tags
    e[ids[MARKERS[0]]] = 0.6 * d.common + torch.randn(TAG_WIDTH, generator=generator) @ d.tags / 8
    e[ids[QUESTION]] = 0.6 * d.common + 1.5 * d.marking + d.in_question
    e[ids[PASSAGE]] = 0.6 * d.common + 1.5 * d.marking + d.in_title
    e[ids[TURN_START]] = 0.6 * d.common + d.sink


def match_head(head, queries, keys, sink, d, f, values):
    """A head that attends where `keys` equal `queries`, or to the sink, and takes tags."""
    q, k, v, o = head
    q[f.match], k[f.match] = queries, keys
    k[f.still] = 1.6 * d.sink - 1.6 * d.in_question - 0.8 * d.in_title
    q[f.still] = sink / 0.6 / math.sqrt(len(f.still)) * d.common
    v *= 0.1
    v[:TAG_WIDTH] = d.tags
    o[:, :TAG_WIDTH] = values * d.tags.t() / NORMAL


@torch.no_grad()
def initialise(model: Pointer, tokenizer, texts, frequency, meanings, seed=0):
    """texts: each id's decoded text. frequency: each id's share of the training text. meanings: each id's, as `token_meanings`."""
    shape, g = model.shape, torch.Generator().manual_seed(seed)
    width, hd = shape.width, shape.head_width
    d, f = Directions(width, g), Frequencies(shape)
    embed(model, d, tokenizer, texts, frequency, meanings, g)
    head = lambda layer, n: tuple(part[n] if i < 3 else part[:, n] for i, part in enumerate(parts(model, layer)))
    for layer in range(4):
        quieten(*parts(model, layer)[:2], width, g)
    turned = unit_rows(LEXICAL_WIDTH, LEXICAL_WIDTH, g) @ d.lexical  # where the title's words are put
    beside = unit_rows(LEXICAL_WIDTH, LEXICAL_WIDTH, g)[:, : len(d.meaning)] @ d.meaning  # and the previous token's

    q, k, v, o = head(0, 0)  # the latest marker
    q[f.middle], k[f.middle] = d.common, d.marking
    k[f.half + f.still[0]] = d.common  # ordinary tokens' keys point away
    v[: len(d.labels)] = d.labels
    o[:, : len(d.labels)] = d.labels.t() / 7.0
    q, k, v, o = head(0, 1)  # the previous token
    for i in f.fast:
        q[i], q[i + f.half], k[i] = math.cos(f.speed[i]) * d.common, -math.sin(f.speed[i]) * d.common, d.common
    v[:LEXICAL_WIDTH] = d.lexical
    o[:, :LEXICAL_WIDTH] = PREVIOUS * beside.t() / 11.0
    sharpen(model, 0, 2.1)

    sharpen(model, 1, MATCH)
    q, k, v, o = head(1, 0)  # the passage's title
    q[f.gentle], k[f.gentle] = d.common, d.in_title
    k[f.half + f.still[0]] = d.common
    for norm in (model.blocks[1].query_norm, model.blocks[1].key_norm):
        norm.weight[f.gentle] = RECENT_TITLE
    v[:LEXICAL_WIDTH] = d.lexical
    o[:, :LEXICAL_WIDTH] = TITLE * turned.t() / 11.0
    project = unit_rows(len(f.match), LEXICAL_WIDTH, g)
    match_head(head(1, 1), project @ d.lexical, project @ d.lexical, SINK["word"], d, f, VOTE["word"])

    project = unit_rows(len(f.match), len(d.meaning), g) @ d.meaning
    match_head(head(2, 0), project, project, SINK["meaning"], d, f, VOTE["meaning"])
    project = unit_rows(len(f.match), LEXICAL_WIDTH, g)
    match_head(head(2, 1), project @ d.lexical, project @ turned, SINK["title"], d, f, VOTE["title"])
    sharpen(model, 2, MATCH)

    q, k, v, o = head(3, 0)  # the vote
    q[f.still], k[f.still] = d.common, 2.0 * d.in_question
    k[f.half + f.middle[0]] = 0.4 * d.common
    v[:TAG_WIDTH] = d.tags
    o[:, :TAG_WIDTH] = 12.8 * d.tags.t() / NORMAL
    q, k, v, o = head(3, 1)  # what followed the token before
    project = unit_rows(len(f.match), LEXICAL_WIDTH, g)
    q[f.match], k[f.match] = project @ d.lexical, project @ beside
    k[f.still], q[f.still] = d.sink, 0.5 * d.common
    v.copy_(unit_rows(hd, width - 4 - TAG_WIDTH, g) @ torch.cat((d.lexical, d.meaning)))
    o.copy_(0.6 * v.t() / 11.0)
    sharpen(model, 3, 1.6)
    return model
