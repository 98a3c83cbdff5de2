/** P samples of the pool, N labelled positions of a batch. */
import { closeSync, existsSync, openSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Device, DType, Tensor } from '@adapt-ts/torch'
import { type Batch, buildBatch } from '../batch/index.js'
import { publishFolder } from '../checkpoint/index.js'
import type { RunConfig } from '../config/index.js'
import { makeFolder } from '../dataset/make-folder.js'
import { syncPath } from '../dataset/sync-path.js'
import { writeFully } from '../dataset/write-fully.js'
import type {
  AdamMoments,
  Artefact,
  PreparationTools,
  ProxyResult,
  ProxyRun,
  TextTokenizer,
  TokenStatistic,
} from '../method/index.js'
import {
  type CausalLM,
  isAdapterFolder,
  loadModelFolder,
  mergeLora,
  saveModelFolder,
} from '../model/index.js'
import { autocastDtype, chooseDevice, openModel, type RunInputs, requireModelFolder } from '../open/index.js'
import { ALONE, type Ranks } from '../ranks.js'
import { assertTokenizerFits, loadTokenizer, type TokenDataset } from '../tokenize/index.js'
import { type Chunk, ChunkStore } from './chunk-store.js'
import { SampleGradients } from './sample-gradients.js'
import { ofPart } from './scored-part.js'
import { shareOut } from './share-out.js'
import { StoredTokenLosses } from './token-losses.js'
import { tokenStatistics } from './token-statistics.js'

/** Samples that are computed between two looks at what is stored. */
const CHUNK_SAMPLES = 1024
/** Samples of a block that is sorted by length. */
const SORTED_SAMPLES = 1024
/** Texts that are decoded at once. */
const TEXTS_AT_ONCE = 64
/** Between two lines on how far it is. */
const LINE_MS = 2000

/** What the tools work on. */
export interface ToolsContext {
  readonly config: RunConfig
  readonly baseDir: string
  readonly inputs: RunInputs
  /** For what is half done; kept until the artefact is whole. */
  readonly work: string
  readonly totalSteps: number
  readonly passes: number
  readonly onLine: (line: string) => void
  /** Throws when the run was asked to stop. */
  readonly checkStop: () => void
  /** A model that stands for the one of the config, and the folder that it came from; its owner frees it. */
  readonly lent?: { readonly model: CausalLM; readonly folder: string }
  /** Whether a sample is scored, where a part of the pool is. Default: all are. */
  readonly isScored?: (index: number) => boolean
  /** Those that prepare with this process. Default: none. */
  readonly ranks?: Ranks
  /** Trains a proxy in a folder, up to some steps, on these ranks together; see `trainProxy`. */
  readonly trainProxy: (
    run: ProxyRun,
    folder: string,
    base: string | undefined,
    ranks: Ranks,
  ) => Promise<ProxyResult & { readonly flops: number }>
}

/** The tools that a signal's `prepare` works with; they count what it costs. */
export class Preparation implements PreparationTools {
  readonly data: TokenDataset
  readonly anchors: readonly Batch[]
  readonly anchorDocuments: RunInputs['anchorDocuments']
  readonly specials: PreparationTools['specials']
  readonly seed: number
  readonly totalSteps: number
  readonly passes: number
  readonly recompute: boolean
  readonly autocastDtype: DType | undefined
  /** Of the models that it opens. */
  readonly device: Device
  /** What was warned of; kept with the result. */
  readonly warnings: string[] = []
  /** Model under each adapter that was trained here on a model of its own. */
  private readonly baseOf = new Map<string, string>()
  /** FLOPs so far, those of earlier processes whose work is used too. */
  flops = 0
  private readonly context: ToolsContext
  private readonly ranks: Ranks
  private lastLine = 0
  /** Of the model and moments that were last asked for. */
  private gradients:
    | {
        readonly model: CausalLM
        readonly key: string | undefined
        of(batch: Batch): Tensor
        free(): void
      }
    | undefined

  constructor(context: ToolsContext) {
    const { inputs, config } = context
    this.context = context
    this.ranks = context.ranks ?? ALONE
    this.data = inputs.train
    this.anchors = inputs.anchors
    this.anchorDocuments = inputs.anchorDocuments
    this.specials = inputs.tokenizer
    this.seed = config.training.seed
    this.totalSteps = context.totalSteps
    this.passes = context.passes
    this.recompute = config.training.gradient_checkpointing
    this.device = chooseDevice(config.training.device).device
    this.autocastDtype = autocastDtype(config.training.bf16, this.device)
  }

  async *texts(indexes?: readonly number[]) {
    const { data } = this
    const total = indexes?.length ?? data.numSamples
    for (let start = 0; start < total; start += TEXTS_AT_ONCE) {
      this.context.checkStop()
      const count = Math.min(TEXTS_AT_ONCE, total - start)
      const texts = Array.from({ length: count }, async (_, i) => {
        const index = indexes?.[start + i] ?? start + i
        const { tokens, labelMask } = data.sample(index)
        const firstLabel = labelMask.indexOf(1)
        // The first token of a plain text has nothing before it, and is no prompt.
        const numPrompt = firstLabel === -1 ? tokens.length : firstLabel <= 1 ? 0 : firstLabel
        const [text, prompt] = await Promise.all([
          this.decode(tokens),
          numPrompt === 0 ? '' : this.decode(tokens.subarray(0, numPrompt)),
        ])
        return { index, text, prompt }
      })
      yield* await Promise.all(texts)
    }
  }

  decode(tokens: ArrayLike<number>): Promise<string> {
    return this.context.inputs.tokenizer.decode(tokens, { skipSpecialTokens: true })
  }

  tokenizerOf(folder: string | undefined): TextTokenizer {
    const { tokenizer } = this.context.inputs
    if (folder === undefined || !existsSync(join(folder, 'tokenizer.json'))) return tokenizer
    return loadTokenizer(folder, {}, { signal: tokenizer.signal })
  }

  async train(run: ProxyRun): Promise<ProxyResult> {
    return await this.trainOn(run, this.ranks)
  }

  private async trainOn(run: ProxyRun, ranks: Ranks): Promise<ProxyResult> {
    const base = run.adapter === undefined ? undefined : await ranks.fromFirst(() => this.startFolder())
    const folder = join(this.context.work, run.name)
    const { flops, ...result } = await this.context.trainProxy(run, folder, base, ranks)
    this.flops += flops
    if (base !== undefined) for (const { folder } of result.checkpoints) this.baseOf.set(folder, base)
    return result
  }

  async measureEach(
    name: string,
    runs: readonly ProxyRun[],
    of: (model: CausalLM) => Promise<Float32Array>,
  ): Promise<Float32Array[]> {
    const compute = async (i: number): Promise<Float32Array> => {
      const { checkpoints } = await this.trainOn(runs[i]!, ALONE)
      return await this.withModel(checkpoints.at(-1)!.folder, of)
    }
    const measured: Float32Array[] = []
    const onDone = (done: number, own: number | undefined): void => {
      // A model and its moments for each of many proxies would fill a disk.
      if (own !== undefined)
        rmSync(join(this.context.work, runs[own]!.name), { recursive: true, force: true })
      this.progress(done, runs.length, name)
    }
    for await (const values of this.shareOut(name, runs.length, compute, onDone)) measured.push(values)
    return measured
  }

  /** Values of some pieces of work in their order, those of the ranks together; see `shareOut`. */
  private async *shareOut(
    name: string,
    count: number,
    compute: (i: number) => Promise<Float32Array>,
    onDone: (done: number, own: number | undefined) => void,
  ): AsyncGenerator<Float32Array> {
    const counted = async (i: number): Promise<Chunk> => {
      const before = this.flops
      const values = await compute(i)
      const flops = this.flops - before
      // Whoever computed it, it is counted where it is read.
      this.flops = before
      return { values, flops }
    }
    const { work, checkStop } = this.context
    const store = new ChunkStore(join(work, name))
    const parts = shareOut(store, count, { ranks: this.ranks, compute: counted, onDone, checkStop })
    for await (const { values, flops } of parts) {
      this.flops += flops
      yield values
    }
  }

  /** Folder of the model of the config at its start without an adapter: its own, or one that is written once. */
  private startFolder(): string {
    const { config, baseDir, inputs, work } = this.context
    if ('path' in config.model && config.model.adapter === undefined) return config.model.path
    const folder = join(work, 'start')
    if (!existsSync(folder)) {
      const model = openModel(config, baseDir, inputs.tokenizer)
      try {
        if (model.lora !== undefined) mergeLora(model)
        publishFolder(folder, (temporary) => saveModelFolder(model, temporary))
      } finally {
        model.dispose()
      }
    }
    return folder
  }

  modelFolder(path: string, key: string): string {
    return requireModelFolder(this.context.baseDir, path, key)
  }

  async withModel<T>(
    folder: string | undefined,
    use: (model: CausalLM) => Promise<T>,
    tokenizer: TextTokenizer = this.context.inputs.tokenizer,
  ): Promise<T> {
    const { lent } = this.context
    const isLent = lent !== undefined && (folder === undefined || folder === lent.folder)
    const model = isLent
      ? lent.model
      : folder !== undefined && !isAdapterFolder(folder)
        ? loadModelFolder(folder, { device: this.device })
        : this.openStart(folder)
    try {
      assertTokenizerFits(tokenizer, model.config.vocabSize)
      model.eval()
      return await use(model)
    } finally {
      if (this.gradients?.model === model) {
        this.gradients.free()
        this.gradients = undefined
      }
      if (!isLent) model.dispose()
    }
  }

  /** The model of the config at its start, or with an adapter that was trained on it. */
  private openStart(adapter: string | undefined): CausalLM {
    const { config, baseDir, inputs } = this.context
    const base = adapter === undefined ? undefined : this.baseOf.get(adapter)
    if (adapter === undefined || base === undefined)
      return openModel(config, baseDir, inputs.tokenizer, adapter)
    const dtype =
      'path' in config.model && config.model.dtype !== undefined ? { dtype: config.model.dtype } : {}
    return openModel({ ...config, model: { path: base, ...dtype, adapter } }, baseDir, inputs.tokenizer)
  }

  sampleGradient(model: CausalLM, batch: Batch, moments?: AdamMoments): Tensor {
    this.context.checkStop()
    const key = moments && `${moments.epsMode} ${moments.folder}`
    const made = this.gradients
    if (made?.model === model && made.key === key) return made.of(batch)
    made?.free()
    const { adam_beta1: beta1, adam_beta2: beta2 } = this.context.config.training
    const { autocastDtype: dtype } = this
    const gradients = new SampleGradients(model, { autocastDtype: dtype, moments, beta1, beta2 })
    this.gradients = {
      model,
      key,
      of: (one) => gradients.of(one),
      free: () => gradients[Symbol.dispose](),
    }
    return gradients.of(batch)
  }

  isScored(index: number): boolean {
    return this.context.isScored?.(index) ?? true
  }

  async *pool(batchSize: number): AsyncGenerator<Batch> {
    for (let start = 0; start < this.data.numSamples; start += SORTED_SAMPLES) {
      const block = range(start, Math.min(start + SORTED_SAMPLES, this.data.numSamples))
      yield* this.samples(block, batchSize)
    }
  }

  async *samples(indexes: readonly number[], batchSize: number): AsyncGenerator<Batch> {
    const { data, context } = this
    const sorted = [...indexes].sort((a, b) => data.length(a) - data.length(b) || a - b)
    for (let start = 0; start < sorted.length; start += batchSize) {
      context.checkStop()
      const rows = sorted.slice(start, start + batchSize).map((sample) => [sample])
      yield buildBatch(rows, data, { padId: context.inputs.padId, packing: false })
      // Signals and timers get their turn.
      await new Promise(setImmediate)
    }
  }

  async byChunk(
    name: string,
    width: number,
    compute: (indexes: readonly number[]) => Promise<Float32Array>,
  ): Promise<Float32Array> {
    const all = new Float32Array(this.data.numSamples * width)
    let position = 0
    const ofScored = ofPart(compute, width, (index) => this.isScored(index))
    for await (const values of this.chunks(name, ofScored, (indexes) => indexes.length * width)) {
      all.set(values, position)
      position += values.length
    }
    return all
  }

  /** Values of the pool part by part, in dense order; what is stored is not computed again. */
  private async *chunks(
    name: string,
    compute: (indexes: readonly number[]) => Promise<Float32Array>,
    lengthOf: (indexes: readonly number[]) => number,
  ): AsyncGenerator<Float32Array> {
    const { numSamples } = this.data
    const computeChunk = async (chunk: number): Promise<Float32Array> => {
      const start = chunk * CHUNK_SAMPLES
      const indexes = range(start, Math.min(start + CHUNK_SAMPLES, numSamples))
      const values = await compute(indexes)
      if (values.length === lengthOf(indexes)) return values
      throw new RangeError(`${name}: expected ${lengthOf(indexes)} values, received ${values.length}`)
    }
    yield* this.shareOut(name, Math.ceil(numSamples / CHUNK_SAMPLES), computeChunk, (done) =>
      this.progress(Math.min(numSamples, done * CHUNK_SAMPLES), numSamples, name),
    )
  }

  async tokenLosses(
    name: string,
    folder: string | undefined,
    keep: (index: number) => boolean = (index) => this.isScored(index),
    statistic: TokenStatistic = 'loss',
  ): Promise<NonNullable<Artefact['tokenLoss']>> {
    const { data } = this
    const hasLosses = Uint8Array.from({ length: data.numSamples }, (_, i) => (keep(i) ? 1 : 0))
    makeFolder(this.context.work)
    const path = join(this.context.work, `${name}.f32`)
    await this.withModel(folder, async (model) => {
      const parts = this.chunks(
        name,
        async (indexes) => {
          const wanted = indexes.filter((i) => hasLosses[i] === 1)
          return await tokenStatistics(model, wanted, statistic, this)
        },
        (indexes) => indexes.reduce((sum, i) => sum + (hasLosses[i] === 1 ? data.labelCount(i) : 0), 0),
      )
      const descriptor = this.ranks.isFirst ? openSync(`${path}.tmp`, 'w') : undefined
      try {
        for await (const { buffer, byteOffset, byteLength } of parts)
          if (descriptor !== undefined) writeFully(descriptor, Buffer.from(buffer, byteOffset, byteLength))
      } finally {
        if (descriptor !== undefined) closeSync(descriptor)
      }
    })
    await this.ranks.fromFirst(() => {
      syncPath(`${path}.tmp`)
      renameSync(`${path}.tmp`, path)
    })
    return new StoredTokenLosses(path, hasLosses, data)
  }

  onFirst<T>(work: () => Promise<T>): Promise<T> {
    return this.ranks.fromFirst(work)
  }

  charge(flops: number): void {
    this.flops += flops
  }

  warn(message: string): void {
    this.warnings.push(message)
    this.context.onLine(`warning: ${message}`)
  }

  progress(done: number, total: number, what: string): void {
    if (Date.now() - this.lastLine < LINE_MS && done < total) return
    this.lastLine = Date.now()
    this.context.onLine(`preparing ${what}: ${done.toLocaleString('en')} of ${total.toLocaleString('en')}`)
  }
}

const range = (start: number, end: number): number[] =>
  Array.from({ length: end - start }, (_, i) => start + i)
