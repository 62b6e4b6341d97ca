"""Quantises to the blocks of a Q4_K_M file: Q4_K and Q6_K here, for which the gguf package can only read, the rest by it.

Scales come from the extremes of a block, without the search for better ones that llama.cpp adds: the bytes are laid out as
its own, the rounding is a little coarser. Layouts: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h
"""

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf.quants import quantize

SUPER_BLOCK = 256


def quantised(values: np.ndarray, kind: Kind) -> np.ndarray:
    """Rows of f32 as rows of bytes, or as they are."""
    if kind == Kind.F32:
        return values
    if kind not in (Kind.Q4_K, Kind.Q6_K):
        return quantize(values, kind)
    by_block = q4_k if kind == Kind.Q4_K else q6_k
    return by_block(values.reshape(-1, SUPER_BLOCK)).reshape(values.shape[0], -1)


def q4_k(blocks: np.ndarray) -> np.ndarray:
    """8 sub-blocks of 32 values, each d * scale * q - dmin * minimum with q of 4 and scale and minimum of 6 bits."""
    parts = blocks.reshape(-1, 8, 32)
    least = np.minimum(parts.min(-1), 0)
    scales, minimums = (parts.max(-1) - least) / 15, -least
    d, dmin = (np.float16(of.max(-1, keepdims=True) / 63) for of in [scales, minimums])
    scales, minimums = (_divided(of, by).round().clip(0, 63) for of, by in [(scales, d), (minimums, dmin)])
    shifted = parts + (dmin * minimums)[..., None].astype(np.float32)
    numbers = _divided(shifted, (d * scales)[..., None]).round().clip(0, 15).astype(np.uint8).reshape(-1, 4, 2, 32)
    nibbles = (numbers[:, :, 0] | numbers[:, :, 1] << 4).reshape(-1, 128)
    scales, minimums = scales.astype(np.uint8), minimums.astype(np.uint8)
    packed = np.concatenate(
        [
            scales[:, :4] | scales[:, 4:] >> 4 << 6,
            minimums[:, :4] | minimums[:, 4:] >> 4 << 6,
            scales[:, 4:] & 15 | (minimums[:, 4:] & 15) << 4,
        ],
        axis=1,
    )
    return np.concatenate([d.view(np.uint8), dmin.view(np.uint8), packed, nibbles], axis=1)


def q6_k(blocks: np.ndarray) -> np.ndarray:
    """16 sub-blocks of 16 values, each d * scale * (q - 32) with q of 6 and scale of 8 bits."""
    parts = blocks.reshape(-1, 16, 16)
    scales = np.abs(parts).max(-1) / 31
    d = np.float16(scales.max(-1, keepdims=True) / 127)
    scales = _divided(scales, d).round().clip(0, 127).astype(np.int8)
    numbers = _divided(parts, (d * scales)[..., None]).round().clip(-32, 31) + 32
    numbers = numbers.astype(np.uint8).reshape(-1, 2, 4, 32)
    low, high = numbers & 15, numbers >> 4
    lows = np.concatenate([low[:, :, 0] | low[:, :, 2] << 4, low[:, :, 1] | low[:, :, 3] << 4], axis=-1)
    highs = high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6
    return np.concatenate([lows.reshape(-1, 128), highs.reshape(-1, 64), scales.view(np.uint8), d.view(np.uint8)], axis=1)


def _divided(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Nothing where `by` is nothing."""
    by = by.astype(np.float32)
    return np.divide(values, by, out=np.zeros_like(values, dtype=np.float32), where=by != 0)
