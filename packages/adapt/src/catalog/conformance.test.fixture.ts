/** S samples, N labelled positions of a micro-batch. */
import { type Collective, copy_, distributed, noGrad, scope, type Tensor, tensor } from '@adapt-ts/torch'
import {
  type Batch,
  createSampleStream,
  layOutPool,
  layOutRows,
  layOutSamples,
  type SampleCursor,
} from '../batch/index.js'
import type { Artefact, Method } from '../method/index.js'
import type { CausalLM } from '../model/index.js'
import {
  batchOf,
  createTinyLlama,
  createTokens,
  fillRow,
  parameterValues,
  setValues,
  type TestSample,
  TINY_CONFIG,
} from '../model/tiny-llama.test.fixture.js'
import { Trainer, type TrainerOptions, type TrainerState } from '../train/trainer.js'
import { createMethod } from './create-method.js'
import type { MethodInput } from './method-config.js'
import { METHODS, type MethodId } from './registry.js'
import { resolveMethod } from './resolve-method.js'
import { valuesOf, type Watch, watched } from './watched-method.test.fixture.js'

/** Stands in one sample alone, {@link BAD}; its embedding is made no number where a test wants a step that is not finite. */
const BAD_TOKEN = TINY_CONFIG.vocabSize - 1
const draw = createTokens(31, BAD_TOKEN)
const NUM_SAMPLES = 60

/** The samples of steps: lengths and prompts of all sorts, some without a label, of two of three sources. */
const POOL: readonly TestSample[] = [
  ...Array.from({ length: NUM_SAMPLES }, (_, i): TestSample => {
    const length = 4 + ((i * 5) % 7)
    return {
      tokens: draw(length),
      labelsFrom: i % 13 === 6 ? length : 1 + (i % 3),
      source: i % 3 === 0 ? 'a' : 'b',
    }
  }),
  { tokens: [...draw(3), BAD_TOKEN, ...draw(2)], source: 'a' },
]
const SOURCES = ['a', 'b', 'none']

/** Dense index of a sample that a model may choke on, of one with labels and of one without. */
export const BAD = NUM_SAMPLES
export const LABELLED = 1
export const UNLABELLED = 6

const DATASET = {
  numSamples: POOL.length,
  sources: SOURCES,
  sourceIndex: (index: number) => SOURCES.indexOf(POOL[index]!.source!),
  length: (index: number) => POOL[index]!.tokens.length,
  sample(index: number) {
    const { tokens, labelsFrom = 1, source = 'a' } = POOL[index]!
    return {
      ...{ index, id: `sample-${index}`, source, weight: 1, path: 'memory', line: index + 1 },
      tokens: Int32Array.from(tokens),
      labelMask: Uint8Array.from(tokens, (_, t) => (t > 0 && t >= labelsFrom ? 1 : 0)),
    }
  },
}

const ANCHORS: readonly Batch[] = [
  batchOf(
    [5, 3, 8, 4].map((length, i) => [
      { tokens: draw(length), id: `anchor-${i}`, source: i % 2 ? 'code' : 'prose' },
    ]),
  ),
]

const fraction = (n: number): number => ((n + 1) * 0.6180339887498949) % 1

/** What any preparation may leave: a method reads of it what it needs. */
const ARTEFACT: Artefact = {
  // Of ica with k = 3: none, one, two or three of the anchors.
  numbers: {
    neighbours: Float32Array.from({ length: 3 * POOL.length }, (_, n) => {
      const [sample, place] = [Math.floor(n / 3), n % 3]
      return sample !== UNLABELLED && place < sample % 4 ? (sample + place) % 4 : -1
    }),
    chats: Float32Array.of(0, 1, 0, 0),
    specials: Float32Array.of(1, -1, 2),
  },
  score_P: Float32Array.from(POOL, (_, i) => fraction(i) - 0.3),
  share_G: Float64Array.of(0.3, 0.7, 0),
  tokenLoss: {
    at: (index) => {
      const { tokens, labelsFrom = 1 } = POOL[index]!
      return Float32Array.from(
        { length: tokens.length - labelsFrom },
        (_, t) => 2 + 3 * fraction(7 * index + t),
      )
    },
  },
}

/** A method with options. */
export interface ConformanceCase {
  readonly name: string
  readonly input: MethodInput & { readonly preset: MethodId }
}

/** Options under which a method takes another course, beside its defaults. */
const VARIANTS: { readonly [I in MethodId]?: readonly Omit<MethodInput, 'preset'>[] } = {
  adapt: [
    { signal: { refresh_every: 3 }, gate: { temperature: 0.2 } },
    { signal: { refresh: 'adaptive', probe_every: 1, refresh_min: 2, refresh_max: 3, aggregate: 'max' } },
    {
      signal: { refresh: 'rolling', refresh_every: 4, aggregate: 'zmax', center: true },
      gate: { temperature: 0.1 },
    },
    { signal: { score_eval: true } },
    { gate: { kind: 'softmax', temperature: 0.2 } },
    { gate: { temperature: 0.2 }, shuffle: true },
    { gate: { temperature: 0.2 }, collapse: 'source' },
    {
      signal: { refresh: 'rolling', refresh_every: 2, aggregate: 'zmax', score_shrinkage: 'within_source' },
      gate: { temperature: 0.2 },
    },
  ],
  static: [{ apply: 'loss', gate: { shares: { a: 3, b: 1 } } }],
  ica: [{ gate: { kind: 'running-min-max' } }, { signal: { rounds: 5 } }],
  dft: [{ signal: { reference: 'base' } }],
  // Inside of what the fixture's reference says.
  'prift-mass': [{ gate: { threshold: 3.5 } }],
  dataflex: [
    {
      signal: { refresh_every: 3 },
      gate: { temperature: 0.2, warmup_steps: 2, accumulation: 2, world: 2 },
    },
  ],
  opus: [
    {
      signal: { validation: 2, anchor_draw: 'once', score_length: 6, sketch: 32 },
      gate: { keep: 0.5, temperature: 0.1 },
    },
  ],
  'joint-update-aware': [
    {
      signal: {
        target: 'rotating',
        target_batch: 3,
        refresh_every: 2,
        pooling: 'mean',
        tokens: 'response_only',
      },
    },
  ],
  'loss-selection': [
    {
      gate: { focus: 'high', temperature: 0.5, scored_share: 0.3, warmup_steps: 0, draw_every: 3 },
    },
  ],
  'delta-loss': [{ gate: { scored_share: 0.5, warmup_steps: 0, draw_every: 2 } }],
  'adapt-contrastive': [
    {
      signal: { refresh_every: 3, projection: 8, background: 6 },
      gate: { ess: 0.8, warmup_ratio: 0.05, update_every: 2 },
    },
    { signal: { form: 'odds', prior: 0.2, refresh_every: 2, background: 2 }, gate: { kind: 'sigmoid' } },
    { signal: { refresh_every: 2, background: 6, score_shrinkage: 'within_source' } },
  ],
  'adapt-calibrated': [
    {
      signal: { refresh_every: 2 },
      gate: {
        ...{ ess: 0.8, warmup_ratio: 0.05, update_every: 1, floor: 0.2, trust: 'separation' },
        ...{ anneal: true, anneal_from: 0.1, anneal_to: 0.5 },
      },
    },
    { signal: { refresh_every: 3 }, gate: { ess: 0.8, warmup_ratio: 0.05, update_every: 2 } },
    {
      signal: { refresh_every: 2, score_shrinkage: 'within_source' },
      gate: { ess: 0.8, warmup_ratio: 0.05, update_every: 2 },
    },
  ],
}

/** Every method of the registry with its defaults, and those with the options above. */
export const CASES: readonly ConformanceCase[] = METHODS.flatMap(({ id }) => [
  { name: id, input: { preset: id } },
  ...(VARIANTS[id] ?? []).map((more) => ({
    name: `${id} ${JSON.stringify(more).replaceAll('"', '')}`,
    input: { preset: id, ...more },
  })),
])

export function createConformanceMethod({ input }: ConformanceCase): Method {
  const config = resolveMethod(input, (path, message) => {
    throw new Error(`method.${path.join('.')}: ${message}`)
  })
  return createMethod(config, {
    ...{ totalSteps: 10, stepsPerEpoch: 4, isPlainText: false, seed: 5 },
    dataset: DATASET,
    artefact: ARTEFACT,
  })
}

/** How the rows of a step are laid out. */
export interface ConformanceLayout {
  readonly worldSize: number
  readonly perDevice: number
  readonly packing?: boolean
}

/** One micro-batch. */
export const WHOLE: ConformanceLayout = { worldSize: 1, perDevice: 1000 }

/** Rows of a step that are trained. */
const TRAINED_ROWS = 4

export interface ConformanceOptions {
  /** Belongs to the run. Default: a tiny one. */
  readonly model?: CausalLM
  /** Default true: weights and state are read in every step. */
  readonly isWatched?: boolean
  readonly trainer?: Partial<TrainerOptions>
}

/** A method in training on a tiny model. Use with `using`. */
export class ConformanceRun implements Disposable {
  readonly watch: Watch = { faults: [], begun: undefined, events: [] }
  readonly model: CausalLM
  readonly method: Method
  readonly losses: number[] = []
  /** By step and sample. */
  readonly weights = new Map<string, number>()
  private readonly trainer: Trainer
  private readonly layout

  constructor(
    of: ConformanceCase,
    layout: ConformanceLayout = WHOLE,
    collective: Collective = distributed.singleProcess,
    more: ConformanceOptions = {},
  ) {
    const { rank } = collective
    this.layout = { dataset: DATASET, padId: 2, packing: false, maxLength: 24, ...layout, rank }
    // Smaller initial weights than elsewhere: float32 rounding of the gradient stays well below 1e-6.
    this.model = more.model ?? createTinyLlama({ initializerRange: 0.1 })
    const method = createConformanceMethod(of)
    this.method = more.isWatched === false ? method : watched(method, this.watch)
    this.trainer = new Trainer(this.model, this.method, ANCHORS, {
      ...{ totalSteps: 10, learningRate: 0.01, weightDecay: 0.1, adamBeta2: 0.95, collective },
      // Above what rounding leaves of a gradient near 0, of which AdamW would make an update of full size.
      adamEpsilon: 1e-3,
      layOut: (samples) => layOutSamples(samples, this.layout),
      layOutPool: (samples) => layOutPool(samples, this.layout),
      ...more.trainer,
    })
  }

  /** Makes the model choke on {@link BAD}. */
  poison(): void {
    const embedding = new Map(this.model.namedParameters()).get('model.embed_tokens.weight')!
    fillRow(embedding, BAD_TOKEN, new Float32Array(TINY_CONFIG.hiddenSize).fill(Number.NaN))
  }

  /** One step on these samples, by default the next ones that the method draws or of the pool; as many as it wants to choose from. */
  step(given?: readonly number[]) {
    for (const _ of this.trainer.prepareDraw());
    const samples = given ?? this.nextSamples()
    const rows = this.layout.packing ? undefined : samples.map((sample) => [sample])
    const batches = rows ? layOutRows(rows, this.layout) : layOutSamples(samples, this.layout)
    const { step } = this.trainer
    const { record, events } = this.trainer.runStep(batches)
    this.losses.push(record.lossWeighted)
    for (const { id, weight } of events.totals.samples) this.weights.set(`${step} ${id}`, weight)
    return { record, totals: events.totals }
  }

  steps(count: number): this {
    for (let n = 0; n < count; n++) this.step()
    return this
  }

  /** Samples that the next step chooses from. */
  nextSamples(): number[] {
    const count = Math.round(TRAINED_ROWS * this.method.candidates)
    const draw = this.method.draw()
    if (draw !== undefined) {
      const taken = this.trainer.step * count
      const cursor: SampleCursor = { kind: 'samples', draw: draw.number, taken, before: 0 }
      const stream = createSampleStream({ dataset: DATASET, seed: 5, maxLength: 24, packing: false, cursor })
      return stream.next(count, draw).flat()
    }
    return Array.from({ length: count }, (_, i) => (this.trainer.step * count + i) % NUM_SAMPLES)
  }

  parameters(): Map<string, Float32Array> {
    return parameterValues(this.model)
  }

  /** Everything that a checkpoint holds, by value and through JSON. */
  save() {
    const { json, optimizer, method } = this.trainer.state()
    const copies = (tensors: ReadonlyMap<string, Tensor>) =>
      new Map(
        [...tensors].map(([name, value]) => [
          name,
          { shape: value.shape, dtype: value.dtype, values: valuesOf(value) },
        ]),
      )
    return {
      json: JSON.parse(JSON.stringify(json)) as TrainerState,
      moments: copies(optimizer),
      tensors: copies(method),
      parameters: this.parameters(),
    }
  }

  /** Goes on from what another run saved. */
  load({ json, moments, tensors, parameters }: ReturnType<ConformanceRun['save']>): this {
    for (const [name, parameter] of this.model.namedParameters()) setValues(parameter, parameters.get(name)!)
    scope(() => {
      const made = (
        of: ReadonlyMap<string, { shape: readonly number[]; values: Float32Array }>,
        name: string,
      ) => {
        const { shape, values } = of.get(name)!
        return tensor(values, [...shape], { device: this.model.device })
      }
      this.trainer.load(json, (name, target) => {
        noGrad(() => void copy_(target, made(moments, name)))
      })
      this.trainer.loadMethod(json, new Map([...tensors.keys()].map((name) => [name, made(tensors, name)])))
    })
    return this
  }

  [Symbol.dispose](): void {
    this.trainer.dispose()
    this.model.dispose()
  }
}

/** What one rank sees of a method in training. */
export interface ConformanceResult {
  readonly losses: readonly number[]
  readonly weights: ReadonlyMap<string, number>
  readonly parameters: ReadonlyMap<string, Float32Array>
  readonly faults: readonly string[]
}

/** Some steps, of which the last is short: one rank of several has nothing left. */
export function runCase(
  of: ConformanceCase,
  layout: ConformanceLayout,
  collective?: Collective,
): ConformanceResult {
  using run = new ConformanceRun(of, layout, collective)
  run.steps(5)
  run.step(run.nextSamples().slice(0, Math.max(3, Math.round(0.75 * run.nextSamples().length))))
  const { losses, weights, watch } = run
  return { losses, weights, parameters: run.parameters(), faults: watch.faults }
}
