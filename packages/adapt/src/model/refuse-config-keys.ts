import { agree, isSet, type Json, refuse } from './config-values.js'

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
]

/** Other spellings of `rms_norm_eps` and `tie_word_embeddings`. */
const EPSILONS = ['layer_norm_eps', 'layer_norm_epsilon', 'layernorm_epsilon', 'norm_eps', 'norm_epsilon']
const TIES = ['tie_embeddings', 'tied_embeddings', 'tie_embedding', 'share_embeddings']
const QK_NORMS = ['qk_norm', 'use_qk_norm', 'qk_layernorm']

/** What is read of a config, for comparison with other spellings of it. */
export interface ReadValues {
  readonly rmsNormEps: number
  readonly tieWordEmbeddings: boolean
  readonly qkNorm?: boolean
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
export function requireOneMeaning(json: Json, read: ReadValues, where: string): void {
  const compare = (key: string, value: unknown, others: readonly string[]) => {
    for (const other of others) agree(where, [[key, value] as const, [other, json[other]] as const])
  }
  compare('rms_norm_eps', read.rmsNormEps, EPSILONS)
  compare('tie_word_embeddings', read.tieWordEmbeddings, TIES)
  compare('the architecture: qk_norm', read.qkNorm === true, QK_NORMS)
  const dtype = (key: string) => {
    const value = json[key]
    return [key, typeof value === 'string' ? value.replace(/^torch\./, '') : value] as const
  }
  agree(where, [dtype('dtype'), dtype('torch_dtype')])
}
