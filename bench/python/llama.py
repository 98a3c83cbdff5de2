"""A Llama as an eager PyTorch user writes it: modules named as in transformers, public functions only.

Works on PyTorch 1.13 and later. Where PyTorch has `scaled_dot_product_attention` it is used with `is_causal`;
before that, attention is composed from matmul and softmax.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn


def probe_attention():
    """`sdpa_gqa` (shares key/value heads itself), `sdpa`, or `composed`."""
    if not hasattr(F, "scaled_dot_product_attention"):
        return "composed"
    query, key = torch.zeros(1, 2, 1, 8), torch.zeros(1, 1, 1, 8)
    try:
        F.scaled_dot_product_attention(query, key, key, is_causal=True, enable_gqa=True)
    except TypeError:
        return "sdpa"
    return "sdpa_gqa"


ATTENTION = probe_attention()


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        dtype = x.dtype
        x = x.float()
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * x.to(dtype)


def rotate_half(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads, self.groups = config["heads"], config["kv_heads"]
        self.size = config["hidden"] // config["heads"]
        width = config["hidden"]
        self.q_proj = nn.Linear(width, self.heads * self.size, bias=False)
        self.k_proj = nn.Linear(width, self.groups * self.size, bias=False)
        self.v_proj = nn.Linear(width, self.groups * self.size, bias=False)
        self.o_proj = nn.Linear(self.heads * self.size, width, bias=False)

    def forward(self, x, cos, sin, mask):
        rows, length, _ = x.shape
        query = self.q_proj(x).view(rows, length, self.heads, self.size).transpose(1, 2)
        key = self.k_proj(x).view(rows, length, self.groups, self.size).transpose(1, 2)
        value = self.v_proj(x).view(rows, length, self.groups, self.size).transpose(1, 2)
        cos, sin = cos.to(query.dtype), sin.to(query.dtype)
        query = query * cos + rotate_half(query) * sin
        key = key * cos + rotate_half(key) * sin
        if ATTENTION == "sdpa_gqa":
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        else:
            key = key.repeat_interleave(self.heads // self.groups, dim=1)
            value = value.repeat_interleave(self.heads // self.groups, dim=1)
            mixed = self.mix(query, key, value, mask)
        return self.o_proj(mixed.transpose(1, 2).reshape(rows, length, -1))

    def mix(self, query, key, value, mask):
        if ATTENTION == "sdpa":
            return F.scaled_dot_product_attention(query, key, value, is_causal=True)
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.size) + mask
        return F.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype) @ value


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate_proj = nn.Linear(config["hidden"], config["ffn"], bias=False)
        self.up_proj = nn.Linear(config["hidden"], config["ffn"], bias=False)
        self.down_proj = nn.Linear(config["ffn"], config["hidden"], bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config["hidden"], config["eps"])
        self.post_attention_layernorm = RMSNorm(config["hidden"], config["eps"])

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab"], config["hidden"])
        self.layers = nn.ModuleList(Block(config) for _ in range(config["layers"]))
        self.norm = RMSNorm(config["hidden"], config["eps"])


class Llama(nn.Module):
    """`config`: layers, hidden, heads, kv_heads, ffn, vocab, length, eps, theta."""

    def __init__(self, config):
        super().__init__()
        self.model = Model(config)
        self.lm_head = nn.Linear(config["hidden"], config["vocab"], bias=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)
        size, length = config["hidden"] // config["heads"], config["length"]
        frequency = 1.0 / (config["theta"] ** (torch.arange(0, size, 2).float() / size))
        angle = torch.arange(length).float()[:, None] * frequency
        angle = torch.cat((angle, angle), dim=-1)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        mask = torch.full((length, length), float("-inf")).triu(1) if ATTENTION == "composed" else None
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, tokens):
        x = self.model.embed_tokens(tokens)
        for layer in self.model.layers:
            x = layer(x, self.cos, self.sin, self.mask)
        return self.lm_head(self.model.norm(x))
