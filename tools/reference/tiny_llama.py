"""The Llama equations in plain PyTorch functions, with Hugging Face parameter names and no shortcuts.

Letters: B rows, T positions, D width, H query heads, K key/value heads, E head size, V vocabulary.
Nothing here is fast; it is meant to be read beside the equations.
"""
import math

import torch

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "hidden_act": "silu",
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
}


def parameter_shapes(config):
    """`{name: shape}` in the order of a Hugging Face state dict; a tied model has no `lm_head.weight`."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], width)}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        shapes[prefix + "self_attn.q_proj.weight"] = (queries, width)
        shapes[prefix + "self_attn.k_proj.weight"] = (keys, width)
        shapes[prefix + "self_attn.v_proj.weight"] = (keys, width)
        shapes[prefix + "self_attn.o_proj.weight"] = (width, queries)
        shapes[prefix + "mlp.gate_proj.weight"] = (inner, width)
        shapes[prefix + "mlp.up_proj.weight"] = (inner, width)
        shapes[prefix + "mlp.down_proj.weight"] = (width, inner)
        shapes[prefix + "input_layernorm.weight"] = (width,)
        shapes[prefix + "post_attention_layernorm.weight"] = (width,)
    shapes["model.norm.weight"] = (width,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], width)
    return shapes


def init_parameters(config, seed):
    """Float32 parameters: matrices N(0, 0.2^2), norm weights 1 + N(0, 0.1^2), so that no gradient is tiny."""
    generator = torch.Generator().manual_seed(seed)
    parameters = {}
    for name, shape in parameter_shapes(config).items():
        noise = torch.randn(shape, generator=generator)
        parameters[name] = noise * 0.2 if len(shape) > 1 else 1 + noise * 0.1
    return parameters


def as_leaves(parameters, dtype=torch.float32):
    return {name: value.detach().to(dtype).clone().requires_grad_(True) for name, value in parameters.items()}


def rms_norm(x, weight, eps):
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotary_tables(position_BT, head_size, theta, dtype=torch.float32):
    """cos and sin [B, T, E]; both halves of E hold the same E / 2 angles position * theta^(-2j/E).

    The angles are computed in float32 whatever `dtype` is, because that is part of the model's definition.
    """
    exponent_e = torch.arange(0, head_size, 2, dtype=torch.float32) / head_size
    frequency_e = 1.0 / torch.pow(torch.tensor(theta, dtype=torch.float32), exponent_e)
    angle_BTe = position_BT[:, :, None].float() * frequency_e
    angle_BTE = torch.cat([angle_BTe, angle_BTe], dim=-1)
    return angle_BTE.cos().to(dtype), angle_BTE.sin().to(dtype)


def rotate(x_BHTE, cos_BTE, sin_BTE):
    """The rotate-half form: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin), x1 and x2 the halves of E."""
    first, second = x_BHTE.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return x_BHTE * cos_BTE[:, None] + turned * sin_BTE[:, None]


def attention_mask(segment_BT):
    """Bool [B, T, T], true where row t may look at column u: u <= t, and both in one segment.

    A padding position (segment -1) sees padding only, so that no row of the softmax is empty.
    """
    length = segment_BT.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    return causal & (segment_BT[:, :, None] == segment_BT[:, None, :])


def attention(query_BHTE, key_BKTE, value_BKTE, mask_BTT):
    """softmax(q k' / sqrt(E)) v; key/value head h // (H / K) serves query head h."""
    group = query_BHTE.shape[1] // key_BKTE.shape[1]
    key_BHTE = key_BKTE.repeat_interleave(group, dim=1)
    value_BHTE = value_BKTE.repeat_interleave(group, dim=1)
    score_BHTT = query_BHTE @ key_BHTE.transpose(-1, -2) / math.sqrt(query_BHTE.shape[-1])
    score_BHTT = score_BHTT.masked_fill(~mask_BTT[:, None], float("-inf"))
    return torch.softmax(score_BHTT, dim=-1) @ value_BHTE


def hidden_states(parameters, config, tokens_BT, segment_BT=None, position_BT=None):
    """The states after the final norm, [B, T, D]. Without segments every row is one segment from position 0."""
    rows, length = tokens_BT.shape
    if segment_BT is None:
        segment_BT = torch.arange(rows)[:, None].expand(rows, length)
    if position_BT is None:
        position_BT = torch.arange(length).expand(rows, length)
    size, eps = config["head_dim"], config["rms_norm_eps"]
    mask_BTT = attention_mask(segment_BT)
    x_BTD = parameters["model.embed_tokens.weight"][tokens_BT]
    cos_BTE, sin_BTE = rotary_tables(position_BT, size, config["rope_theta"], x_BTD.dtype)

    def heads(y, count):
        return y.view(rows, length, count, size).transpose(1, 2)

    for layer in range(config["num_hidden_layers"]):
        def weight(name):
            return parameters[f"model.layers.{layer}.{name}.weight"]

        y = rms_norm(x_BTD, weight("input_layernorm"), eps)
        query = rotate(heads(y @ weight("self_attn.q_proj").T, config["num_attention_heads"]), cos_BTE, sin_BTE)
        key = rotate(heads(y @ weight("self_attn.k_proj").T, config["num_key_value_heads"]), cos_BTE, sin_BTE)
        value = heads(y @ weight("self_attn.v_proj").T, config["num_key_value_heads"])
        mixed = attention(query, key, value, mask_BTT).transpose(1, 2).reshape(rows, length, -1)
        x_BTD = x_BTD + mixed @ weight("self_attn.o_proj").T
        y = rms_norm(x_BTD, weight("post_attention_layernorm"), eps)
        gate = y @ weight("mlp.gate_proj").T
        inner = gate * torch.sigmoid(gate) * (y @ weight("mlp.up_proj").T)
        x_BTD = x_BTD + inner @ weight("mlp.down_proj").T
    return rms_norm(x_BTD, parameters["model.norm.weight"], eps)


def logits_from(parameters, hidden_BTD):
    head = parameters.get("lm_head.weight", parameters["model.embed_tokens.weight"])
    return hidden_BTD @ head.T


def token_losses(logits_BTV, labels_BT):
    """-log softmax(logits)[label] per position, 0 where the label is -100."""
    counted_BT = labels_BT != -100
    target_BT = torch.where(counted_BT, labels_BT, torch.zeros_like(labels_BT))
    picked_BT = torch.gather(torch.log_softmax(logits_BTV, dim=-1), 2, target_BT[:, :, None])[:, :, 0]
    return torch.where(counted_BT, -picked_BT, torch.zeros_like(picked_BT))


def mean_loss(logits_BTV, labels_BT):
    """Sum of token losses over the number of labels."""
    return token_losses(logits_BTV, labels_BT).sum() / (labels_BT != -100).sum()


def random_tokens(config, shape, generator):
    """Ids from 3 up: 0 to 2 are kept for padding, BOS and EOS."""
    return torch.randint(3, config["vocab_size"], shape, generator=generator)


def next_labels(tokens_BT):
    """labels[t] = tokens[t + 1]; the last position of a row has no label."""
    labels_BT = torch.full_like(tokens_BT, -100)
    labels_BT[:, :-1] = tokens_BT[:, 1:]
    return labels_BT
