import { printable } from '../../dataset/index.js'
import type { JsonObject } from './read-model-json.js'

/** Names and shapes of tensors. */
export type Shapes = ReadonlyMap<string, readonly number[]>

/** How the tensors of a file differ from those of a config. */
export interface Mismatch {
  readonly code: 'KEYS_DIFFER' | 'SHAPES_DIFFER'
  /** One line per kind of difference, then hints. */
  readonly lines: readonly string[]
}

const MAX_LINES = 12

/**
 * Compares the tensors that a config asks for with those of the files. Differences are grouped by their place in a
 * layer: 32 missing biases are one line.
 * @returns undefined when every name and shape is the same.
 */
export function describeMismatch(expected: Shapes, found: Shapes, config: JsonObject): Mismatch | undefined {
  const missing = [...expected.keys()].filter((name) => !found.has(name))
  const unexpected = [...found.keys()].filter((name) => !expected.has(name))
  const wrong = [...expected].flatMap(([name, shape]) => {
    const other = found.get(name)
    if (other === undefined || `${other}` === `${shape}`) return []
    return [{ name, text: `is [${other.join(', ')}], config.json says [${shape.join(', ')}]` }]
  })
  if (missing.length + unexpected.length + wrong.length === 0) return undefined
  const numLayers = typeof config.num_hidden_layers === 'number' ? config.num_hidden_layers : 0
  const lines = [
    ...describeNames(missing, expected, 'missing', numLayers),
    ...describeNames(unexpected, found, 'unexpected', numLayers),
    ...group(wrong, 'wrong shape', numLayers),
  ]
  const hints = hintsFor({ missing, unexpected, wrong: wrong.map(({ name }) => name), found, config })
  return {
    code: missing.length + unexpected.length > 0 ? 'KEYS_DIFFER' : 'SHAPES_DIFFER',
    lines: [...lines, ...hints.map((hint) => `hint: ${hint}`)],
  }
}

/** `model.layers.7.mlp.up_proj.weight` -> `model.layers.*.mlp.up_proj.weight` and 7. */
function layerOf(name: string): { pattern: string; layer: number | undefined } {
  const match = /(^|\.)layers\.(\d+)\./.exec(name)
  if (!match) return { pattern: name, layer: undefined }
  return { pattern: name.replace(match[0], `${match[1]}layers.*.`), layer: Number(match[2]) }
}

/** Names that only one side has; a layer that the other side lacks altogether is one line. */
function describeNames(names: readonly string[], all: Shapes, kind: string, numLayers: number): string[] {
  const count = (list: Iterable<string>) => {
    const counts = new Map<number, number>()
    for (const name of list) {
      const { layer } = layerOf(name)
      if (layer !== undefined) counts.set(layer, (counts.get(layer) ?? 0) + 1)
    }
    return counts
  }
  const sizes = count(all.keys())
  const whole = [...count(names)].filter(([layer, size]) => sizes.get(layer) === size).map(([layer]) => layer)
  // Where every layer differs altogether, it is the names that differ.
  const isCut = whole.length > 0 && whole.length < sizes.size
  const rest = names.filter((name) => !isCut || !whole.includes(layerOf(name).layer ?? -1))
  const differences = rest.map((name) => ({ name, text: '' }))
  return [
    ...(isCut ? [`${kind} all of ${describeLayers(whole, numLayers)}`] : []),
    ...group(differences, kind, numLayers),
  ]
}

function group(
  differences: readonly { readonly name: string; readonly text: string }[],
  kind: string,
  numLayers: number,
): string[] {
  const groups = new Map<string, { names: string[]; layers: number[]; pattern: string; text: string }>()
  for (const { name, text } of differences) {
    const { pattern, layer } = layerOf(name)
    const key = `${pattern} ${text}`
    const entry = groups.get(key) ?? { names: [], layers: [], pattern, text }
    entry.names.push(name)
    if (layer !== undefined) entry.layers.push(layer)
    groups.set(key, entry)
  }
  const lines = [...groups.values()].map(({ names, layers, pattern, text }) => {
    const shown = printable(names.length === 1 ? names[0]! : pattern, 120)
    const said = text === '' ? '' : ` ${text}`
    return `${kind} ${shown}${said}${names.length === 1 ? '' : ` (${describeLayers(layers, numLayers)})`}`
  })
  if (lines.length <= MAX_LINES) return lines
  return [...lines.slice(0, MAX_LINES), `${kind} ... and ${lines.length - MAX_LINES} more kinds of names`]
}

function describeLayers(layers: readonly number[], numLayers: number): string {
  if (layers.length === numLayers || layers.length > 4) return `${layers.length} layers`
  return `layer${layers.length === 1 ? '' : 's'} ${layers.join(', ')}`
}

interface Differences {
  readonly missing: readonly string[]
  readonly unexpected: readonly string[]
  readonly wrong: readonly string[]
  readonly found: Shapes
  readonly config: JsonObject
}

const PREFIXES: readonly (readonly [string, string])[] = [
  [
    '_orig_mod.',
    'the names begin with "_orig_mod.": saved from a compiled model; save its _orig_mod instead',
  ],
  ['module.', 'the names begin with "module.": saved from a parallel wrapper; save its module instead'],
  [
    'base_model.model.',
    'the names are those of a PEFT model; merge the adapter before saving, or load it as model.adapter',
  ],
  [
    'language_model.',
    'the weights are those of a model with other parts (images, sound) around the language model',
  ],
  [
    'model.language_model.',
    'the weights are those of a model with other parts (images, sound) around the language model',
  ],
  ['transformer.', 'the names are those of another architecture (GPT-2 and its like)'],
]

/** What most often causes such differences, where the names or the config show it. */
function hintsFor({ missing, unexpected, wrong, found, config }: Differences): string[] {
  const hints: string[] = []
  const some = (names: readonly string[], pattern: RegExp) => names.some((name) => pattern.test(name))
  const prefix = PREFIXES.find(([start]) => unexpected.some((name) => name.startsWith(start)))
  if (prefix) return [prefix[1]]
  if (some(unexpected, /^(layers\.\d+|embed_tokens|norm)\./)) {
    return ['the names lack "model.": saved from the body without its head; save the ...ForCausalLM model']
  }
  if (some(unexpected, /\.(qweight|qzeros|scales|SCB|weight_scale|weight_packed|absmax|quant_map)$/)) {
    hints.push('the weights are quantised; use the float32, float16 or bfloat16 weights they were made from')
  } else if (some(unexpected, /_proj\.bias$/)) {
    const says = config.attention_bias === undefined ? '' : ` (attention_bias is ${config.attention_bias})`
    hints.push(
      `biases are in the file, but the architecture in config.json has none there${says}; is it the config.json of this model?`,
    )
  }
  if (some(missing, /_proj\.bias$/))
    hints.push('config.json asks for biases (attention_bias or mlp_bias), the file has none')
  if (some([...missing, ...unexpected], /\.(q_norm|k_norm)\.weight$/))
    hints.push('q_norm and k_norm belong to Qwen3ForCausalLM; compare architectures in config.json')
  if (missing.includes('lm_head.weight'))
    hints.push('without lm_head.weight the head is tied: tie_word_embeddings must be true in config.json')
  if (some(unexpected, /lora_[AB]\b/)) hints.push('LoRA weights are in the file; load it as model.adapter')
  const numLayers = Number(config.num_hidden_layers)
  const largest = Math.max(-1, ...[...found.keys()].map((name) => layerOf(name).layer ?? -1)) + 1
  if (largest > 0 && largest !== numLayers)
    hints.push(
      `the file has ${largest} layers, num_hidden_layers in config.json is ${printable(String(config.num_hidden_layers), 20)}`,
    )
  const rows = found.get('model.embed_tokens.weight')?.[0]
  if (wrong.includes('model.embed_tokens.weight') && rows !== config.vocab_size)
    hints.push(
      `the vocabulary of the file has ${rows} rows, vocab_size in config.json is ${printable(String(config.vocab_size), 20)}`,
    )
  return hints
}
