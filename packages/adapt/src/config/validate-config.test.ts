import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GATES, resolveNormalizer, SIGNALS } from '../catalog/index.js'
import { ConfigError } from '../errors.js'
import { toSnakeCase } from '../method/index.js'
import { parseConfigText } from './load-config.js'
import { runConfigSchema } from './run-config.js'
import { configWarnings, validateConfig } from './validate-config.js'

function config(changes: Record<string, unknown>) {
  return {
    model: { init: 'scratch', preset: 'llama-1m' },
    tokenizer: 't',
    data: { train: ['a'] },
    anchors: ['b'],
    output_dir: 'o',
    ...changes,
  }
}

function crossField(changes: Record<string, unknown>): string[] {
  return validateConfig(runConfigSchema.parse(config(changes))).map(
    ({ path, message }) => `${path.join('.')}: ${message}`,
  )
}

/** JSON with the numbers that JSON lacks, as YAML writes them. */
function toYaml(value: unknown): string {
  if (typeof value === 'number' && Number.isNaN(value)) return '.nan'
  if (value === Number.POSITIVE_INFINITY) return '.inf'
  if (value === Number.NEGATIVE_INFINITY) return '-.inf'
  if (Array.isArray(value)) return `[${value.map(toYaml).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([key, child]) => `${JSON.stringify(key)}: ${toYaml(child)}`)
    .join(', ')}}`
}

/** The first line of the error of a config given as data; undefined when it is accepted. */
function refusal(value: unknown): string | undefined {
  try {
    parseConfigText(toYaml(value), 'f', { env: {} })
    return undefined
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as ConfigError).exitCode).toBe(2)
    return (error as ConfigError).message
  }
}

describe('keys against each other', () => {
  it('accepts the defaults', () => {
    expect(crossField({})).toEqual([])
  })

  it('refuses a mixing without a share, and sources that no entry can have', () => {
    const mixed = (mixing: unknown, train: unknown = ['a']) => crossField({ data: { train, mixing } })
    const named = [
      { path: 'a', source: 'web' },
      { path: 'b', source: 'code' },
    ]
    expect(mixed({ web: 3, code: 1 }, named)).toEqual([])
    expect(mixed('stratified', named)).toEqual([])
    // The records may name any source.
    expect(mixed({ any: 1 })).toEqual([])
    expect(mixed({ web: 1, cod: 1 }, named)).toEqual([
      'data.mixing.cod: expected a source of data.train (web, code), received "cod"',
    ])
    expect(mixed({ web: 0 }, named)).toEqual([
      'data.mixing: expected at least one share above 0, received none',
    ])
    expect(mixed({})).toHaveLength(1)
    for (const wrong of ['evenly', { a: -1 }, { a: '1' }, [1], null]) {
      expect(refusal(config({ data: { train: ['a'], mixing: wrong } }))).toContain('data.mixing')
    }
  })

  it('takes the same keys in every list of data files, and refuses two that say the same thing', () => {
    const entry = {
      path: 'a',
      source_field: null,
      columns: { prompt: 'q', completion: 'a' },
      split: 'x',
      subset: 'y',
    }
    const lists = (keys: object) => ({
      data: { train: [keys] },
      anchors: [keys],
      evaluation: { sets: [keys] },
    })
    expect(crossField(lists(entry))).toEqual([])
    expect(crossField(lists({ path: 'a', source: 's' }))).toEqual([])
    expect(crossField(lists({ ...entry, source: 's', messages_field: 'm', text_field: 't' }))).toEqual(
      ['data.train', 'anchors', 'evaluation.sets'].flatMap((list) => [
        `${list}.0.source_field: expected source or source_field, received both`,
        `${list}.0.messages_field: expected text_field or messages_field, received both`,
      ]),
    )
    expect(refusal(config({ data: { train: [{ path: 'a', columns: { promt: 'q' } }] } }))).toMatch(
      /data\.train\.0\.columns\.promt: .*did you mean "prompt"/,
    )
  })

  it('refuses a length and warm-up that exclude each other', () => {
    expect(crossField({ training: { max_steps: 5, num_train_epochs: 2 } })).toEqual([
      'training.num_train_epochs: expected either max_steps or num_train_epochs, received both',
    ])
    expect(crossField({ training: { warmup_ratio: 0.1, warmup_steps: 2 } })).toHaveLength(1)
    expect(crossField({ training: { max_steps: 5, warmup_steps: 6 } })).toEqual([
      'training.warmup_steps: expected at most max_steps (5), received 6',
    ])
    expect(crossField({ training: { max_steps: 5, warmup_steps: 5 } })).toEqual([])
  })

  it('refuses a wsd schedule whose warm-up and decay overlap', () => {
    const wsd = { lr_scheduler_type: 'wsd', warmup_ratio: 0.9 }
    expect(crossField({ training: { ...wsd, decay_ratio: 0.2 } })).toHaveLength(1)
    expect(crossField({ training: { ...wsd, decay_ratio: 0.1 } })).toEqual([])
  })

  it('refuses an ESS target that the mean weight makes impossible', () => {
    const gate = (ess: number, edr: number) => ({
      method: { preset: 'adapt-calibrated', gate: { ess, edr } },
    })
    expect(crossField(gate(0.5, 0.5))).toEqual([
      'method.gate.ess: expected a target above method.gate.edr (0.5), received 0.5',
    ])
    expect(crossField(gate(0.4, 0.5))).toHaveLength(1)
    expect(crossField(gate(0.6, 0.5))).toEqual([])
  })

  it('always finds a feasible mean weight when only the ESS target is given', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1, maxExcluded: true, noNaN: true }), (ess) => {
        expect(crossField({ method: { preset: 'adapt-calibrated', gate: { ess } } })).toEqual([])
      }),
    )
  })

  it('refuses a share of the old centroid with centring, which rebuilds it after every step', () => {
    const signal = { center: true, centroid_ema: 0.5 }
    expect(crossField({ method: { preset: 'adapt', signal } })[0]).toMatch(
      /^method\.signal\.centroid_ema: expected 1/,
    )
    expect(crossField({ method: { preset: 'adapt', signal: { ...signal, center: false } } })).toEqual([])
  })

  it('refuses a share of the old centroid with a rolling refresh, and a least interval above the longest', () => {
    const signal = (keys: object) => crossField({ method: { preset: 'adapt', signal: keys } })
    expect(signal({ refresh: 'rolling', centroid_ema: 0.5 })[0]).toMatch(/expected 1 with refresh: rolling/)
    expect(signal({ refresh: 'adaptive', refresh_min: 30, refresh_max: 20 })).toEqual([
      'method.signal.refresh_min: expected at most method.signal.refresh_max (20), received 30',
    ])
    expect(signal({ refresh: 'adaptive', refresh_min: 20, refresh_max: 20 })).toEqual([])
  })

  it('warns of an aggregate when the config names one task for all anchors', () => {
    const warnings = (anchors: unknown, aggregate: string) =>
      configWarnings(
        runConfigSchema.parse(config({ anchors, method: { preset: 'adapt', signal: { aggregate } } })),
      )
    const one = [
      { path: 'a', task: 'sql' },
      { path: 'b', source: 'sql' },
    ]
    expect(warnings(one, 'max')[0]).toMatch(/^method\.signal\.aggregate: all anchors are one task \("sql"\)/)
    expect(warnings(one, 'micro')).toEqual([])
    expect(warnings([...one, { path: 'c', task: 'code' }], 'max')).toEqual([])
    // The records may name several.
    expect(warnings(['a.jsonl'], 'max')).toEqual([])
  })

  it('asks for anchors only when the method compares with them', () => {
    expect(crossField({ anchors: [] })[0]).toMatch(/^anchors: expected at least one entry for method "adapt"/)
    expect(crossField({ anchors: [], method: 'uniform' })).toEqual([])
  })

  it('refuses overrides that do not divide and a length beyond the positions', () => {
    const model = (shape: object) => ({ model: { init: 'scratch', preset: 'llama-1m', config: shape } })
    expect(crossField(model({ hidden_size: 100, num_attention_heads: 3 }))).toHaveLength(1)
    expect(crossField(model({ num_attention_heads: 4, num_key_value_heads: 3 }))).toHaveLength(1)
    expect(crossField(model({ max_position_embeddings: 512 }))[0]).toMatch(
      /^data\.max_length: expected at most/,
    )
  })

  it('refuses an empty weight range and two evaluation sets of one name', () => {
    expect(crossField({ method: { gate: { w_min: 1, w_max: 0.5 } } })).toHaveLength(1)
    const sets = [{ path: 'a', name: 'x' }, 'c', { path: 'b', name: 'x' }]
    expect(crossField({ evaluation: { sets } })).toEqual([
      'evaluation.sets.2.name: expected each name once, received a second "x"',
    ])
  })
})

describe('a method', () => {
  const resolve = (method: unknown) => runConfigSchema.parse(config({ method })).method

  it('keeps the values of its preset where the user names none', () => {
    expect(resolve({ preset: 'adapt-calibrated', signal: { refresh_every: 'epoch' } })).toMatchObject({
      signal: { center: true, refresh_every: 'epoch' },
      gate: { kind: 'calibrated-sigmoid', ess: 0.95, edr: 0.5 },
    })
  })

  it('takes the defaults of another kind when the user names one', () => {
    expect(resolve({ gate: { kind: 'softmax' } }).gate).toEqual({ kind: 'softmax', temperature: 1 })
    expect(resolve({ preset: 'uniform', gate: { kind: 'calibrated-sigmoid', ess: 0.5 } }).gate).toMatchObject(
      { edr: 0.3 },
    )
  })

  it('refuses an option that its kind does not have', () => {
    expect(refusal(config({ method: { preset: 'uniform', gate: { temperature: 2 } } }))).toMatch(
      /^f:1:\d+: method\.gate\.temperature: expected an option of gate kind "identity" \(it has none\)/,
    )
    expect(refusal(config({ method: { signal: { kind: 'constant', pooling: 'mean' } } }))).toMatch(
      /signal\.pooling/,
    )
  })

  it('has one control at most around its gate, and none when it is switched off', () => {
    expect(resolve({ preset: 'adapt', shuffle: true })).toMatchObject({ shuffle: true })
    expect(resolve({ preset: 'adapt', shuffle: false })).toEqual(resolve('adapt'))
    expect(refusal(config({ method: { shuffle: true, collapse: 'source' } }))).toMatch(
      /method\.collapse: expected one control, shuffle or collapse, received both/,
    )
  })

  it('chooses the normaliser from the data, and divides by the count for the paper', () => {
    expect(resolveNormalizer(resolve('adapt'), true)).toBe('token.wmean')
    expect(resolveNormalizer(resolve('adapt'), false)).toBe('sample.wmean')
    expect(resolveNormalizer(resolve('adapt-paper'), true)).toBe('token.mean')
    expect(resolveNormalizer(resolve({ preset: 'adapt-paper', normalizer: 'token.wmean' }), false)).toBe(
      'token.wmean',
    )
  })
})

const above = (value: number) => fc.double({ min: value, minExcluded: true, noNaN: true })
const notFinite = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY)
const negative = fc.double({ max: -Number.MIN_VALUE, noNaN: true })
const below = (value: number) => fc.double({ min: 0, max: value, maxExcluded: true, noNaN: true })
const real = (...bad: fc.Arbitrary<unknown>[]) =>
  fc.oneof(notFinite, negative, fc.string(), fc.constant(null), ...bad)
const beyond = (value: number) =>
  fc.oneof(above(value), fc.double({ max: -value, maxExcluded: true, noNaN: true }))
const noNumber = fc.oneof(notFinite, fc.string(), fc.constant(null), beyond(1e6))
const atLeast = (value: number) => fc.double({ min: value, noNaN: true })
const fraction = fc.double({ min: 0, max: 1e6, noNaN: true }).filter((value) => !Number.isInteger(value))
const zero = fc.constant(0)
const isAboveOne = (value: number) => value > 1

// What no key may be, by key. Text and null are never numbers, whatever they spell.
const NONSENSE: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  'data.max_length': real(zero, fc.constant(1), fraction),
  'data.packing_window': real(zero, fraction),
  'data.num_workers': real(fraction),
  'data.max_bad_records': real(fraction),
  'data.val_set_size': real(zero, fraction.filter(isAboveOne)),
  'data.train.0.limit': real(zero, fraction),
  'data.train.0.weight': real(
    above(1e9),
    below(1e-9).filter((value) => value !== 0),
  ),
  'model.config.hidden_size': real(zero, fraction, above(2 ** 20)),
  'model.config.num_hidden_layers': real(zero, fraction),
  'model.config.vocab_size': real(zero, fraction, fc.constant(1)),
  'model.config.rms_norm_eps': real(below(1e-12), atLeast(1)),
  'model.config.rope_theta': real(below(1), above(1e12)),
  'model.config.initializer_range': real(below(1e-9), above(1)),
  'model.lora.r': real(zero, fraction),
  'model.lora.lora_alpha': real(below(1e-6), above(1e6)),
  'model.lora.lora_dropout': real(atLeast(1)),
  'method.signal.refresh_every': real(zero, fraction),
  'method.signal.probe_every': real(zero, fraction),
  'method.signal.drift': real(zero, above(2)),
  'method.signal.refresh_min': real(zero, fraction),
  'method.signal.refresh_max': real(zero, fraction),
  'method.signal.lse_beta': real(below(1e-3), above(1e6)),
  'method.signal.centroid_ema': real(below(1e-6), above(1)),
  'method.signal.validation': real(zero, fraction),
  'method.signal.default': noNumber,
  'method.gate.offset': noNumber,
  'method.gate.slope': noNumber,
  'method.gate.temperature': real(below(1e-8), above(1e9)),
  'method.gate.w_min': real(above(1e6)),
  'method.gate.w_max': real(below(1e-9), above(1e6)),
  'method.gate.ess': real(zero, atLeast(1)),
  'method.gate.edr': real(zero, atLeast(1)),
  'method.gate.update_every': real(zero, fraction),
  'method.gate.warmup_ratio': real(above(1)),
  'method.gate.mean_decay': real(zero, atLeast(1)),
  'method.gate.eta': real(zero, above(1000)),
  'method.gate.smoothing': real(above(1)),
  'method.gate.first_excess': real(above(100)),
  'method.signal.proxy_steps': real(zero, above(1)),
  'method.signal.holdout': real(atLeast(1)),
  'method.signal.reference_steps': real(zero, above(1)),
  'method.gate.keep': real(zero, above(1)),
  'training.max_steps': real(zero, fraction),
  'training.num_train_epochs': real(zero),
  'training.per_device_train_batch_size': real(zero, fraction),
  'training.gradient_accumulation_steps': real(zero, fraction),
  'training.learning_rate': real(below(1e-12), above(1e6)),
  'training.warmup_ratio': real(above(1)),
  'training.warmup_steps': real(fraction),
  'training.decay_ratio': real(zero, above(1)),
  'training.min_lr_ratio': real(above(1)),
  'training.weight_decay': real(above(1000)),
  'training.ema_decay': real(zero, above(0.999999)),
  'training.adam_beta1': real(above(0.999999)),
  'training.adam_beta2': real(above(0.999999)),
  'training.adam_epsilon': real(below(1e-20), above(1)),
  'training.max_grad_norm': real(below(1e-9), above(1e12)),
  'training.seed': real(fraction),
  'training.loss_chunk_size': real(zero, fraction),
  'training.logging_steps': real(zero, fraction),
  'training.save_steps': real(zero, fraction),
  'training.save_total_limit': real(zero, fraction),
  'training.early_stopping_patience': real(zero, fraction),
  'training.early_stopping_threshold': real(above(1e6)),
  'training.threads': real(zero, fraction),
  'evaluation.every_steps': real(zero, fraction),
  'evaluation.per_device_eval_batch_size': real(zero, fraction),
  'evaluation.task_options.every_steps': real(zero),
  'evaluation.task_options.max_time_share': real(zero, above(1)),
  'evaluation.task_options.limit': real(zero),
  'training.ddp_timeout': real(fraction),
  'evaluation.task_options.num_fewshot': real(fraction),
  'evaluation.task_options.fewshot_seed': real(fraction),
}

describe('nonsense hyper-parameters', () => {
  it.each(Object.entries(NONSENSE))('never start a run: %s', (key, nonsense) => {
    fc.assert(
      fc.property(nonsense, (value) => {
        // refresh_every has one word that is no nonsense.
        fc.pre(!(key === 'method.signal.refresh_every' && value === 'epoch'))
        const broken = config(key.startsWith('model.lora') ? { model: { path: 'm', lora: {} } } : {})
        set(broken, key, value)
        const lines = refusal(broken)?.split('\n') ?? []
        expect(lines.some((line) => line.startsWith('f:1:') && line.includes(`: ${key}: expected `))).toBe(
          true,
        )
      }),
      { numRuns: 60 },
    )
  })

  it('covers every number of the schema', () => {
    const covered = Object.keys(NONSENSE).map((key) => key.split('.').at(-1))
    const numbers = new Set<string>()
    collectNumbers(runConfigSchema.toJSONSchema({ io: 'input' }) as JsonSchema, '', numbers)
    // Options of methods are held to their ranges where the methods are.
    const ofMethods = [...SIGNALS.values(), ...GATES.values()].flatMap(({ options }) =>
      Object.keys(options).map(toSnakeCase),
    )
    const missing = [...numbers].filter((key) => ![...covered, ...ofMethods].includes(key))
    // These share their check with a key of the table.
    expect(missing.sort()).toEqual([
      'intermediate_size',
      'max_position_embeddings',
      'num_attention_heads',
      'num_key_value_heads',
    ])
  })
})

interface JsonSchema {
  readonly type?: string
  readonly properties?: Record<string, JsonSchema>
  readonly items?: JsonSchema
  readonly anyOf?: JsonSchema[]
}

function collectNumbers(schema: JsonSchema, key: string, found: Set<string>): void {
  if (schema.type === 'number' || schema.type === 'integer') found.add(key)
  for (const [name, child] of Object.entries(schema.properties ?? {})) collectNumbers(child, name, found)
  for (const branch of schema.anyOf ?? []) collectNumbers(branch, key, found)
  if (schema.items !== undefined) collectNumbers(schema.items, key, found)
}

/** Sets a dotted key, with what has to stand around it for the key to be allowed. */
function set(target: Record<string, unknown>, key: string, value: unknown): void {
  const calibrated = /gate\.(ess|edr|update_every|warmup_ratio)$/.test(key)
  if (key.startsWith('method.')) target.method = { preset: calibrated ? 'adapt-calibrated' : 'adapt' }
  if (key.startsWith('data.train.0.')) {
    target.data = { train: [{ path: 'a', [key.split('.').at(-1)!]: value }] }
    return
  }
  const parts = key.split('.')
  let here = target
  for (const part of parts.slice(0, -1)) {
    here[part] ??= {}
    here = here[part] as Record<string, unknown>
  }
  here[parts.at(-1)!] = value
}
