"""A small Qwen3-shaped decoder in plain PyTorch; export.py renames its weights for other loaders."""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Shape:
    vocabulary: int = 12288
    width: int = 256
    layers: int = 6
    heads: int = 2
    key_value_heads: int = 2
    head_width: int = 128
    inner_width: int = 320
    rope_theta: float = 1e8
    epsilon: float = 1e-6
    positions: int = 2048

    def as_dict(self):
        return asdict(self)


class Norm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.width, self.epsilon = width, epsilon

    def forward(self, x):
        return F.rms_norm(x, (self.width,), self.weight, self.epsilon)


def rotate(x, cos, sin):
    """Rotary positions, half-split as in the Hugging Face layout. x: batch, tokens, heads, head width."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def attend(q, k, v, mask):
    """Causal attention without a mask; with one from `block_mask`, tokens before its split need no mask either.

    Written out, not `scaled_dot_product_attention`: compiled, this is the faster one on a CPU.
    """
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    split, after = mask
    causal = torch.ones(split, split, dtype=torch.bool, device=q.device).tril()
    before = weigh(q[:, :, :split], k[:, :, :split], v[:, :, :split], causal)
    return torch.cat((before, weigh(q[:, :, split:], k, v, after)), 2)


def weigh(q, k, v, allowed):
    scores = (q @ k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1])
    return scores.masked_fill(~allowed, -1e4).softmax(-1).to(v.dtype) @ v


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        queries, keys = shape.heads * shape.head_width, shape.key_value_heads * shape.head_width
        self.before_attention = Norm(shape.width, shape.epsilon)
        self.before_feed_forward = Norm(shape.width, shape.epsilon)
        self.query_norm = Norm(shape.head_width, shape.epsilon)
        self.key_norm = Norm(shape.head_width, shape.epsilon)
        self.qkv = nn.Linear(shape.width, queries + 2 * keys, bias=False)
        self.out = nn.Linear(queries, shape.width, bias=False)
        self.gate_up = nn.Linear(shape.width, 2 * shape.inner_width, bias=False)
        self.down = nn.Linear(shape.inner_width, shape.width, bias=False)

    def forward(self, x, cos, sin, mask):
        s = self.shape
        batch, tokens, _ = x.shape
        sizes = [s.heads * s.head_width, s.key_value_heads * s.head_width, s.key_value_heads * s.head_width]
        q, k, v = self.qkv(self.before_attention(x)).split(sizes, -1)
        q = rotate(self.query_norm(q.reshape(batch, tokens, s.heads, -1).float()), cos, sin).transpose(1, 2)
        k = rotate(self.key_norm(k.reshape(batch, tokens, s.key_value_heads, -1).float()), cos, sin).transpose(1, 2)
        v = v.reshape(batch, tokens, s.key_value_heads, -1).transpose(1, 2)
        shared = s.heads // s.key_value_heads
        q, k = q.to(v.dtype), k.to(v.dtype)
        if shared > 1:
            k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
        y = attend(q, k, v, mask)
        x = x + self.out(y.transpose(1, 2).reshape(batch, tokens, -1))
        gate, up = self.gate_up(self.before_feed_forward(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Pointer(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.final_norm = Norm(shape.width, shape.epsilon)
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, 0, 1 / math.sqrt(weight.shape[1]))
            if name.endswith(("out.weight", "down.weight")):
                weight.data *= 0.02
        angles = torch.arange(shape.positions).float()[:, None] * rope_frequencies(shape)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def hidden(self, ids, positions, mask=None):
        x = self.embedding(ids)
        cos, sin = self.cos[positions][:, :, None], self.sin[positions][:, :, None]
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return self.final_norm(x)

    def logits(self, hidden):
        return hidden @ self.embedding.weight.t()


def rope_frequencies(shape):
    return shape.rope_theta ** (-torch.arange(0, shape.head_width, 2).float() / shape.head_width)


def block_mask(segments, split):
    """Segment 0 is the shared context; a question sees the context and itself. -1 is padding.

    segments: batch, tokens. split: where all contexts have ended. Returns it, and what the tokens from there on may see.
    """
    tokens = segments.shape[1]
    asking = segments[:, split:, None]
    causal = torch.ones(tokens, tokens, dtype=torch.bool).tril()[split:]
    return split, (((segments[:, None, :] == 0) | (segments[:, None, :] == asking)) & causal)[:, None]
