import { agree, isSet, type Json, refuse } from './config-values.js'
import type { ModelConfig } from './model-config.js'

const isOff = (value: unknown): boolean => value === false || value === 0
const isOne = (value: unknown): boolean => value === 1
const isEmpty = (value: unknown): boolean =>
  value === false || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)

/**
 * Keys of config.json under which a model computes something that this one does not, and the values under which it computes
 * the same all the same; null always does. Programs that know only the architecture's own keys pass them over, so that
 * the weights of a changed architecture give wrong figures without a word.
 */
const FOREIGN: readonly (readonly [RegExp, (value: unknown) => boolean])[] = [
  [/^(auto_map|quantization_config|compression_config)$/, () => false],
  [/^(per_layer_config|no_rope_layers|pruned_heads)$/, isEmpty],
  [/^(text|vision|audio)_config$/, isEmpty],
  [/^(dual_chunk|sparse)_attention_config$/, isEmpty],
  [/_multiplier$|^logits?_scal(e|ing)$|^scale_(emb|depth)$|^embedding_scale$/, isOne],
  [/^(query_pre_attn_scalar|dim_model_base|attention_chunk_size|no_rope_layer_interval|clip_qkv)$/, isOff],
  [/softcap/, isOff],
  [/^(attention|attn|hidden|resid|embd|embedding|mlp|ffn|residual)_(dropout|pdrop)(_prob)?$/, isOff],
  [/^attention_probs_dropout_prob$|^chunk_size_feed_forward$/, isOff],
  [/^(num|n)_(local_|routed_|shared_)?experts$|^moe_num_experts$/, (value) => value === 0 || value === 1],
  [/^(is_encoder_decoder|add_cross_attention|(use_)?alibi|use_mrope|rope_interleaved)$/, isOff],
  [/^(parallel_attn|use_parallel_(residual|attention)|use_logn_attn|use_dynamic_ntk)$/, isOff],
  [/^(hidden_act|hidden_activation|activation_function)$/, (value) => value === 'silu' || value === 'swish'],
  [/^position_embedding_type$/, (value) => value === 'rope' || value === 'rotary'],
  [/^(is_)?causal(_attention)?$/, (value) => value === true],
  [/bidirectional/, isOff],
  [/^(rotary|rope)_(pct|percent|percentage)$/, isOne],
]

/** Other spellings of what is read, by the key that it is read from. */
const SPELLINGS: Readonly<Record<string, readonly string[]>> = {
  rms_norm_eps: ['layer_norm_eps', 'layer_norm_epsilon', 'layernorm_epsilon', 'norm_eps', 'norm_epsilon'],
  tie_word_embeddings: ['tie_embeddings', 'tied_embeddings', 'tie_embedding', 'share_embeddings'],
  'the architecture: qk_norm': ['qk_norm', 'use_qk_norm', 'qk_layernorm'],
  // Heads of other sizes fit the same weights.
  num_attention_heads: ['n_head', 'n_heads', 'num_heads'],
  num_key_value_heads: ['n_kv_head', 'n_kv_heads', 'num_kv_heads', 'num_query_groups'],
  head_dim: ['kv_channels', 'head_size', 'attention_head_dim', 'attention_head_size', 'rotary_dim'],
  rope_theta: ['rotary_emb_base', 'rotary_base', 'rope_base', 'rope_local_base_freq', 'local_rope_theta'],
}

/**
 * Refuses keys that change the computation in ways this model does not have.
 * @throws {ConfigError} UNSUPPORTED_MODEL
 */
export function refuseForeignKeys(json: Json, where: string): void {
  for (const [key, value] of Object.entries(json)) {
    if (!isSet(value) && key !== 'hidden_act') continue
    if (FOREIGN.some(([pattern, isNeutral]) => pattern.test(key) && !isNeutral(value)))
      refuse(where, key, value)
  }
}

/**
 * Compares what is computed with what other spellings say.
 * @throws {ConfigError} BAD_MODEL_CONFIG with both values
 */
export function requireOneMeaning(json: Json, read: ModelConfig, where: string): void {
  const values: Readonly<Record<string, unknown>> = {
    rms_norm_eps: read.rmsNormEps,
    tie_word_embeddings: read.tieWordEmbeddings,
    'the architecture: qk_norm': read.qkNorm === true,
    num_attention_heads: read.numAttentionHeads,
    num_key_value_heads: read.numKeyValueHeads,
    head_dim: read.headDim,
    rope_theta: read.ropeTheta,
  }
  for (const [key, others] of Object.entries(SPELLINGS)) {
    for (const other of others) agree(where, [[key, values[key]] as const, [other, json[other]] as const])
  }
  const dtype = (key: string) => {
    const value = json[key]
    return [key, typeof value === 'string' ? value.replace(/^torch\./, '') : value] as const
  }
  agree(where, [dtype('dtype'), dtype('torch_dtype')])
}
