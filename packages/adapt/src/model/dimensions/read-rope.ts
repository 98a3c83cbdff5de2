import { isDeepStrictEqual } from 'node:util'
import { ConfigError } from '../../errors.js'
import { agree, disagree, isSet, type Json, readPositive, readSize, refuse } from './config-values.js'
import type { ModelConfig, RopeScaling } from './model-config.js'

type Rope = Pick<ModelConfig, 'ropeTheta' | 'ropeScaling'>

/** Places of the rotary settings: that of transformers 4 and that of transformers 5. */
const PLACES = ['rope_scaling', 'rope_parameters'] as const

/** Keys that an object of rotary settings may have; others belong to a kind that is not computed here. */
const KNOWN = new Set([
  ...['rope_type', 'type', 'rope_theta', 'partial_rotary_factor', 'factor', 'finetuned'],
  ...['low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'],
])

/**
 * Rotary settings from `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling` with `rope_type` or the older
 * `type`; the original context may stand beside them. Where both places are filled they must mean the same.
 * @throws {ConfigError} UNSUPPORTED_MODEL for what is not computed here, BAD_MODEL_CONFIG for values that disagree.
 */
export function readRope(json: Json, where: string, maxPositionEmbeddings: number): Rope {
  const filled = PLACES.filter((key) => {
    const value = json[key]
    if (isSet(value) && (typeof value !== 'object' || Array.isArray(value))) refuse(where, key, value)
    return isSet(value) && Object.keys(value as object).length > 0
  })
  const read = (key: (typeof PLACES)[number], given: Json) =>
    readPlace(json, key, given, where, maxPositionEmbeddings)
  if (filled.length === 0) return read('rope_parameters', {})
  const [rope, other] = filled.map((key) => read(key, json[key] as Json))
  if (other !== undefined && !isDeepStrictEqual(rope, other)) {
    const [old, present] = PLACES
    disagree(where, [old, json[old]], [present, json[present]])
  }
  return rope!
}

function readPlace(
  json: Json,
  place: string,
  scaling: Json,
  where: string,
  maxPositionEmbeddings: number,
): Rope {
  const at = `${where}: ${place}`
  // An object in it holds the settings of one type of layers; a key of another kind of scaling would change the angles.
  const foreign = Object.keys(scaling).find((key) => !KNOWN.has(key) && isSet(scaling[key]))
  if (foreign !== undefined) refuse(where, `${place}.${foreign}`, scaling[foreign])
  for (const [key, value] of [
    [`${place}.partial_rotary_factor`, scaling.partial_rotary_factor],
    ['partial_rotary_factor', json.partial_rotary_factor],
  ] as const) {
    if (isSet(value) && value !== 1) refuse(where, key, value)
  }
  const theta = agree(where, [
    ['rope_theta', json.rope_theta],
    [`${place}.rope_theta`, scaling.rope_theta],
  ])
  const ropeTheta = readPositive({ rope_theta: theta }, 'rope_theta', where, 10_000)
  const kind = agree(where, [
    [`${place}.rope_type`, scaling.rope_type],
    [`${place}.type`, scaling.type],
  ])
  if (kind === undefined || kind === 'default') {
    if (isSet(scaling.factor) && scaling.factor !== 1) {
      throw new ConfigError(
        'UNSUPPORTED_MODEL',
        `${at}: factor ${JSON.stringify(scaling.factor)} says that positions are scaled, rope_type says not how; name the rope_type`,
      )
    }
    return { ropeTheta }
  }
  if (kind === 'linear')
    return { ropeTheta, ropeScaling: { kind, factor: readPositive(scaling, 'factor', at) } }
  if (kind !== 'llama3') refuse(where, `${place}.rope_type`, kind)
  const original = agree(where, [
    ['original_max_position_embeddings', json.original_max_position_embeddings],
    [`${place}.original_max_position_embeddings`, scaling.original_max_position_embeddings],
  ])
  const ropeScaling: RopeScaling = {
    kind: 'llama3',
    factor: readPositive(scaling, 'factor', at),
    lowFreqFactor: readPositive(scaling, 'low_freq_factor', at),
    highFreqFactor: readPositive(scaling, 'high_freq_factor', at),
    originalMaxPositionEmbeddings: readSize(
      { original_max_position_embeddings: original },
      'original_max_position_embeddings',
      at,
      maxPositionEmbeddings,
    ),
  }
  if (ropeScaling.highFreqFactor <= ropeScaling.lowFreqFactor) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${at}: expected high_freq_factor (${ropeScaling.highFreqFactor}) above low_freq_factor (${ropeScaling.lowFreqFactor})`,
    )
  }
  return { ropeTheta, ropeScaling }
}
