import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../config/index.js'
import { defineSignal, type PreparationTools } from '../method/index.js'
import { openInputs, type RunInputs } from '../open/index.js'
import type { Ranks } from '../ranks.js'
import { ranksOfOneProcess } from '../ranks.test.fixture.js'
import { Workshop } from '../run/workshop.test.fixture.js'
import type { Prepared } from './artefact-store.js'
import { type PrepareContext, prepareSignal } from './prepare-method.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

/** More samples than one chunk of the pool holds. */
const NUM_RECORDS = 2100

interface Setting {
  readonly numRecords?: number
  readonly hiddenSize?: number
  readonly maxLength?: number
  readonly checkpointing?: boolean
  /** Of the data entry. */
  readonly weight?: number
  /** The words of the only anchor. */
  readonly anchor?: string
  readonly seed?: number
  readonly options?: Readonly<Record<string, unknown>>
  readonly checkStop?: () => void
}

const signalOf = (prepare: (tools: PreparationTools) => Promise<object>) =>
  defineSignal({
    kind: 'hand-made',
    about: 'what a test says',
    unit: 'sample',
    options: {},
    scoreOptions: ['shown'],
    needs: () => ({}),
    prepare: async (_, tools) => await prepare(tools),
  })

async function withInputs<T>(
  setting: Setting,
  use: (context: PrepareContext, inputs: RunInputs) => Promise<T>,
): Promise<T> {
  const lines = Array.from({ length: setting.numRecords ?? NUM_RECORDS }, (_, i) =>
    JSON.stringify({ text: `the model reads ${i}` }),
  )
  writeFileSync(workshop.file('many.jsonl'), `${lines.join('\n')}\n`)
  const anchor = { prompt: 'a '.repeat(60), completion: setting.anchor ?? 'b' }
  writeFileSync(workshop.file('anchor.jsonl'), `${JSON.stringify(anchor)}\n`)
  writeFileSync(
    workshop.file('many.yaml'),
    `model: { init: scratch, preset: llama-1m, config: { hidden_size: ${setting.hiddenSize ?? 16}, intermediate_size: 24, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1 } }
tokenizer: tokenizer
data: { train: [{ path: many.jsonl, weight: ${setting.weight ?? 1} }], max_length: ${setting.maxLength ?? 48}, num_workers: 0, cache_dir: cache }
training: { max_steps: 30, seed: ${setting.seed ?? 1}, bf16: false, gradient_checkpointing: ${setting.checkpointing ?? false} }
method: uniform
anchors: [anchor.jsonl]
output_dir: ${workshop.runFolder('many')}
`,
  )
  const { config, baseDir } = await loadConfig(workshop.file('many.yaml'))
  const inputs = await openInputs(config, baseDir, { needsAnchors: true, onLine: () => {} })
  try {
    return await use(
      {
        ...{ config, baseDir, inputs, totalSteps: 30, passes: 1, onLine: () => {} },
        checkStop: setting.checkStop ?? (() => {}),
        trainProxy: () => Promise.reject(new Error('no proxy here')),
      },
      inputs,
    )
  } finally {
    inputs.train.close()
  }
}

/** Lengths of the samples as scores; counts the samples that were computed. */
function lengthScores() {
  const computed: number[] = []
  const signal = signalOf(async (tools) => ({
    score_P: await tools.byChunk('lengths', 1, async (indexes) => {
      computed.push(...indexes)
      tools.charge(indexes.length)
      return Float32Array.from(indexes, (i) => tools.data.length(i))
    }),
    figures: { chunks: 3 },
  }))
  return { signal, computed }
}

/** `whole/` of the artefact that was made last. */
function newestFolder(): string {
  const prepared = workshop.file('cache/prepared')
  const folders = readdirSync(prepared).map((name) => path.join(prepared, name, 'whole'))
  return folders.reduce((a, b) => (statSync(a).ctimeMs > statSync(b).ctimeMs ? a : b))
}

const prepareLengths = async (setting: Setting = {}) => {
  const { signal, computed } = lengthScores()
  const prepared = await withInputs(setting, (context) =>
    prepareSignal(signal, setting.options ?? {}, context),
  )
  return { prepared: prepared!, computed: computed.length }
}

describe('preparation by several ranks', () => {
  /** Each rank's scores of lengths, and what it computed of them. */
  const prepareOn = async (ranks: readonly Ranks[], seed: number) =>
    await Promise.all(
      ranks.map(async (own) => {
        const { signal, computed } = lengthScores()
        const prepared = await withInputs({ seed }, (context) =>
          prepareSignal(signal, {}, { ...context, ranks: own }),
        )
        return { prepared: prepared!, computed }
      }),
    )

  it('computes every part of the pool on one of them, and gives each what one process gives alone', async () => {
    const { prepared: alone } = await prepareLengths({ seed: 31 })
    const [first, second] = await prepareOn(ranksOfOneProcess(2), 32)
    expect(second!.prepared).toEqual({ ...first!.prepared, seconds: second!.prepared.seconds })
    expect(first!.prepared.artefact).toEqual(alone.artefact)
    expect([first!.prepared.flops, first!.prepared.isCached]).toEqual([alone.flops, false])
    expect([first!.computed.length, second!.computed.length]).toEqual([1024 + NUM_RECORDS - 2048, 1024])
    expect(new Set([...first!.computed, ...second!.computed]).size).toBe(NUM_RECORDS)
  })

  it('finds what is there on all of them', async () => {
    await prepareOn(ranksOfOneProcess(2), 33)
    for (const { prepared, computed } of await prepareOn(ranksOfOneProcess(3), 33))
      expect([prepared.isCached, computed.length]).toEqual([true, 0])
  })
})

describe('preparation', () => {
  it('gives the texts of the samples that are asked for, and the tokenizer that a model is read with', async () => {
    const folder = workshop.file('tokenizer')
    const empty = workshop.file('without')
    mkdirSync(empty)
    const signal = signalOf(async (tools) => {
      const texts: (readonly [number, string])[] = []
      for await (const { index, text } of tools.texts([70, 3])) texts.push([index, text.trim()])
      expect(texts).toEqual([
        [70, 'the model reads 70'],
        [3, 'the model reads 3'],
      ])
      const [ofRun, own] = [tools.tokenizerOf(undefined), tools.tokenizerOf(folder)]
      expect(tools.tokenizerOf(empty)).toBe(ofRun)
      expect(own).not.toBe(ofRun)
      expect(await own.encodeBatch(['the model'])).toEqual(await ofRun.encodeBatch(['the model']))
      const tooLarge = { ...own, vocabSize: 1e6 }
      await expect(tools.withModel(undefined, async () => 0, tooLarge)).rejects.toMatchObject({
        code: 'TOKENIZER_TOO_LARGE',
      })
      return { score_P: new Float32Array(NUM_RECORDS) }
    })
    await withInputs({}, (context) => prepareSignal(signal, { texts: true }, context))
  })

  it('is made anew when the tokenizer of a model that it reads changes', async () => {
    mkdirSync(workshop.file('encoder'))
    let made = 0
    const signal = {
      ...signalOf(async () => {
        made++
        return { score_P: new Float32Array(NUM_RECORDS) }
      }),
      readsModels: () => ({ encoder: 'encoder' }),
    }
    const prepare = () => withInputs({}, (context) => prepareSignal(signal, { encoder: 'encoder' }, context))
    await prepare()
    writeFileSync(workshop.file('encoder/tokenizer.json'), '{}')
    await prepare()
    await prepare()
    expect(made).toBe(2)
  })

  it('is made once, found by the next run, and made anew when what it is a function of changes', async () => {
    const first = await prepareLengths()
    expect(first.computed).toBe(NUM_RECORDS)
    expect(first.prepared.isCached).toBe(false)
    const second = await prepareLengths()
    expect(second.computed).toBe(0)
    expect(second.prepared).toMatchObject({ isCached: true, key: first.prepared.key, flops: NUM_RECORDS })
    expect(second.prepared.artefact).toEqual(first.prepared.artefact)
    expect((await prepareLengths({ seed: 2 })).computed).toBe(NUM_RECORDS)
    expect((await prepareLengths({ options: { width: 2 } })).computed).toBe(NUM_RECORDS)
    expect((await prepareLengths({ options: { shown: 2 } })).computed).toBe(0)
    expect((await prepareLengths({ checkpointing: true })).computed).toBe(0)
    // The share that is scored by default follows from what training takes.
    for (const checkpointing of [false, true])
      expect((await prepareLengths({ options: { scored: 'auto' }, checkpointing })).computed).toBe(
        NUM_RECORDS,
      )
    expect((await prepareLengths({ hiddenSize: 32 })).computed).toBe(NUM_RECORDS)
    expect((await prepareLengths({ maxLength: 40 })).computed).toBe(NUM_RECORDS)
    expect((await prepareLengths({ numRecords: NUM_RECORDS - 1 })).computed).toBe(NUM_RECORDS - 1)
    expect((await prepareLengths()).computed).toBe(0)
  })

  it('says again what it warned of when it is found', async () => {
    const signal = signalOf(async (tools) => {
      tools.warn('its scores mean little')
      return { score_P: new Float32Array(tools.data.numSamples) }
    })
    const warnings = async () => {
      const lines: string[] = []
      await withInputs({ numRecords: 5 }, (context) =>
        prepareSignal(signal, { warned: 1 }, { ...context, onLine: (line) => lines.push(line) }),
      )
      return lines.filter((line) => line.startsWith('warning'))
    }
    expect(await warnings()).toEqual(['warning: its scores mean little'])
    expect(await warnings()).toEqual(['warning: its scores mean little'])
  })

  it('is made anew when the weight of a data entry changes, where proxies are trained on it', async () => {
    const { signal, computed } = lengthScores()
    const cached = async (definition: typeof signal, weight: number) =>
      (await withInputs({ weight }, (context) => prepareSignal(definition, { weighed: 1 }, context)))!
        .isCached
    const withProxies = { ...signal, trainsProxies: true } as const
    expect([
      await cached(withProxies, 1),
      await cached(withProxies, 3),
      await cached(withProxies, 3),
    ]).toEqual([false, false, true])
    expect([await cached(signal, 1), await cached(signal, 3)]).toEqual([false, true])
    expect(computed).toHaveLength(3 * NUM_RECORDS)
  })

  it('is made anew when words of an anchor change that its tokens do not hold', async () => {
    const fingerprints = new Set<string>()
    const cached = async (anchor: string) =>
      await withInputs({ anchor }, async (context, inputs) => {
        fingerprints.add(inputs.fingerprints.anchors!)
        return (await prepareSignal(lengthScores().signal, { words: 1 }, context))!.isCached
      })
    expect([await cached('one'), await cached('two'), await cached('two')]).toEqual([false, false, true])
    expect(fingerprints.size).toBe(1)
  })

  it('goes on where it was stopped, to the same bytes and the same cost', async () => {
    const whole = await prepareLengths({ options: { run: 'whole' } })
    let looks = 0
    const stopped = prepareLengths({
      options: { run: 'stopped' },
      checkStop: () => {
        if (++looks === 3) throw new Error('stop')
      },
    })
    await expect(stopped).rejects.toThrow('stop')
    const rest = await prepareLengths({ options: { run: 'stopped' } })
    expect(rest.computed).toBeLessThan(NUM_RECORDS)
    expect(rest.computed).toBeGreaterThan(0)
    expect(rest.prepared.flops).toBe(NUM_RECORDS)
    expect(rest.prepared.artefact.score_P).toEqual(whole.prepared.artefact.score_P)
  })

  it('is made again when its files were changed, and says so', async () => {
    await prepareLengths({ options: { run: 'damaged' } })
    const folders = readdirSync(workshop.file('cache/prepared')).map((name) =>
      path.join(workshop.file('cache/prepared'), name, 'whole', 'score.f32'),
    )
    for (const file of folders) {
      const bytes = readFileSync(file)
      bytes[5]! ^= 1
      writeFileSync(file, bytes)
    }
    const lines: string[] = []
    const { signal, computed } = lengthScores()
    await withInputs({}, (context) =>
      prepareSignal(signal, { run: 'damaged' }, { ...context, onLine: (line) => lines.push(line) }),
    )
    expect(computed).toHaveLength(NUM_RECORDS)
    expect(lines.join('\n')).toContain('SHA-256 differs from manifest.json; it is made again')
  })

  it('is made by one of two runs that need it at once; the other waits and finds it', async () => {
    const options = { run: 'at once' }
    const [first, second] = [lengthScores(), lengthScores()]
    const lines: string[] = []
    await withInputs({}, async (context) => {
      const made = await Promise.all(
        [first, second].map(({ signal }) =>
          prepareSignal(signal, options, { ...context, onLine: (line) => lines.push(line) }),
        ),
      )
      expect(made.map((prepared) => prepared!.isCached).sort()).toEqual([false, true])
      expect(made[0]!.artefact).toEqual(made[1]!.artefact)
    })
    expect(first.computed.length + second.computed.length).toBe(NUM_RECORDS)
    expect(lines.filter((line) => line.endsWith('waiting'))).toHaveLength(1)
  })

  it('waits no longer than its run, which was asked to stop', async () => {
    const options = { run: 'asked to stop' }
    await withInputs({}, async (context) => {
      let looks = 0
      const checkStop = () => {
        if (++looks === 2) throw new Error('stop')
      }
      const slow = signalOf(async () => {
        await expect(
          prepareSignal(lengthScores().signal, options, { ...context, checkStop }),
        ).rejects.toThrow('stop')
        return {}
      })
      expect((await prepareSignal(slow, options, context))!.isCached).toBe(false)
    })
  })

  it('is not made again where another process made it between the look and the lock', async () => {
    const options = { run: 'between' }
    await prepareLengths({ options })
    const whole = newestFolder()
    renameSync(whole, `${whole}.aside`)
    const { prepared, computed } = await prepareLengths({
      options,
      checkStop: () => renameSync(`${whole}.aside`, whole),
    })
    expect([computed, prepared.isCached]).toEqual([0, true])
  })

  it('leaves nothing of processes that were killed while they published or cleaned up', async () => {
    const options = { run: 'killed at its end' }
    await prepareLengths({ options })
    const whole = newestFolder()
    const folder = path.dirname(whole)
    mkdirSync(path.join(folder, 'work', 'lengths'), { recursive: true })
    expect((await prepareLengths({ options })).computed).toBe(0)
    expect(readdirSync(folder)).toEqual(['whole'])
    renameSync(whole, path.join(folder, '.whole.tmp-1'))
    expect((await prepareLengths({ options })).computed).toBe(NUM_RECORDS)
    expect(readdirSync(folder)).toEqual(['whole'])
  })

  it('keeps token losses of the samples that were asked for, and refuses those of others', async () => {
    const signal = signalOf(async (tools) => ({
      tokenLoss: await tools.tokenLosses('base', undefined, (index) => index % 2 === 0),
    }))
    await withInputs({}, async (context, { train }) => {
      const made = (await prepareSignal(signal, { of: 'losses' }, context)) as Prepared
      const found = (await prepareSignal(signal, { of: 'losses' }, context)) as Prepared
      expect(found.isCached).toBe(true)
      expect(found.flops).toBeGreaterThan(0)
      for (const index of [0, 2, 1500, 2098]) {
        const losses = found.artefact.tokenLoss!.at(index)
        expect(losses).toHaveLength(train.labelCount(index))
        expect(losses).toEqual(made.artefact.tokenLoss!.at(index))
        for (const loss of losses) expect(loss).toBeCloseTo(Math.log(workshop.vocabSize), 0)
      }
      expect(() => found.artefact.tokenLoss!.at(1)).toThrow(/not asked for/)
    })
  })

  it('refuses scores that are not numbers, naming the sample', async () => {
    const signal = signalOf(async (tools) => ({
      score_P: new Float32Array(tools.data.numSamples).fill(1).fill(Number.NaN, 7, 8),
    }))
    await expect(
      withInputs({}, (context) => prepareSignal(signal, { of: 'bad' }, context)),
    ).rejects.toMatchObject({ code: 'BAD_SCORES', message: expect.stringContaining('many.jsonl:8') })
  })
})
