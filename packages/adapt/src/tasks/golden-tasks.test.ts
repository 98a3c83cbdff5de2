// Small tasks of every kind against what lm-evaluation-harness makes of them with the same model.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CausalLM, loadModelFolder } from '../model/index.js'
import { loadTokenizer } from '../tokenize/index.js'
import { evaluateTasks, prepareTasks, type TaskEvaluation } from './evaluate-tasks.js'
import { findTasks } from './find-tasks.js'
import type { PrepareTaskOptions } from './prepare-task.js'
import { resultsJson, sampleJson } from './results-json.js'

const project = fileURLToPath(new URL('../../../..', import.meta.url))
const folder = join(project, 'packages/adapt/golden/tasks')

interface Expected {
  readonly bootstrapIterations: number
  readonly results: Readonly<Record<string, Readonly<Record<string, number | string>>>>
  readonly samples: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>
}
const golden = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected
const NAMES = Object.keys(golden.results)

/** Relative to 1 or the figure. */
const TOLERANCE = 1e-4

interface EvaluateOptions {
  readonly names?: readonly string[]
  readonly maxLength?: number
  readonly prepare?: PrepareTaskOptions
}

let model: CausalLM
const tokenizer = loadTokenizer(join(project, 'examples/tokenizer'))
async function evaluate(
  maxPositions: number,
  { names = NAMES, maxLength = model.config.maxPositionEmbeddings, prepare = {} }: EvaluateOptions = {},
): Promise<TaskEvaluation> {
  const selection = await findTasks(names.map((name) => join(folder, `${name}.yaml`)))
  const prepared = await prepareTasks(selection, prepare)
  return await evaluateTasks(
    model,
    tokenizer,
    { selection, prepared },
    {
      maxLength,
      maxPositions,
      bootstrapIterations: golden.bootstrapIterations,
    },
  )
}
let found: TaskEvaluation
beforeAll(async () => {
  model = loadModelFolder(join(project, 'examples/base/model'), { device: 'cpu' })
  found = await evaluate(512)
}, 120_000)
afterAll(() => model.dispose())

function expectNear(actual: unknown, expected: unknown, where: string): void {
  if (typeof expected === 'number' && typeof actual === 'number') {
    expect(Math.abs(actual - expected) / Math.max(1, Math.abs(expected)), where).toBeLessThan(TOLERANCE)
  } else if (Array.isArray(expected) && Array.isArray(actual)) {
    expect(actual.length, where).toBe(expected.length)
    for (const [i, item] of expected.entries()) expectNear(actual[i], item, `${where}.${i}`)
  } else expect(actual, where).toEqual(expected)
}

describe.each(NAMES)('task %s', (name) => {
  const result = () => found.tasks.find((task) => task.name === name)!

  it('asks what the harness asks, and gets its answers', () => {
    const lines = result().samples.map((sample) => JSON.parse(sampleJson(sample)) as Record<string, unknown>)
    const expected = golden.samples[name]!
    expect(lines.length).toBe(expected.length)
    for (const [i, sample] of expected.entries()) {
      const line = lines.find(({ doc_id, filter }) => doc_id === sample.doc_id && filter === sample.filter)!
      const [settings] = [(sample.arguments as [unknown, unknown][])[0]![1]]
      // Of an answer to write, the harness lists options that say nothing.
      if (typeof settings === 'object') {
        expect((line.arguments as [string][])[0]![0]).toBe((sample.arguments as [string][])[0]![0])
      } else expect(line.arguments, `${i}`).toEqual(sample.arguments)
      for (const key of Object.keys(sample).filter(
        (key) => !['arguments', 'resps', 'filtered_resps'].includes(key),
      )) {
        expectNear(line[key], sample[key], `${name} ${i} ${key}`)
      }
      if (result().task.config.output_type !== 'loglikelihood_rolling') {
        expectNear(line.resps, sample.resps, `${name} ${i}`)
        expectNear(line.filtered_resps, sample.filtered_resps, `${name} ${i} filtered`)
      }
    }
  })

  it('has its figures and standard errors', () => {
    const json = resultsJson(found, HEAD) as { results: Record<string, Record<string, unknown>> }
    for (const [key, value] of Object.entries(golden.results[name]!)) {
      expectNear(json.results[name]![key], value, `${name} ${key}`)
    }
  })
})

const HEAD = {
  ...{ model: 'base', modelArgs: {}, numParameters: 1, dtype: 'float32', device: 'cpu', batchSize: 'auto' },
  ...{
    limit: undefined,
    bootstrapIterations: 0,
    fewShotSeed: 1234,
    version: '0',
    date: 0,
    seconds: 0,
    maxLength: 1,
  },
  ...{ system: undefined, chatTemplate: undefined, isMultiturn: false },
}

it('gives the same whatever a pass holds', async () => {
  const other = await evaluate(40)
  for (const [i, task] of found.tasks.entries()) {
    for (const [n, { responses }] of task.samples.entries()) {
      for (const [r, response] of responses.entries()) {
        const again = other.tasks[i]!.samples[n]!.responses[r]!
        if ('text' in response) expect(again).toEqual(response)
        else
          expect(again).toMatchObject({
            isGreedy: response.isGreedy,
            logLikelihood: expect.closeTo(response.logLikelihood, 4),
          })
      }
    }
  }
})

it.each([
  ['whole contexts', 1024, 0],
  ['contexts that lose their beginning', 48, 9],
])('gives float32 log-likelihoods of one text a pass and of 32 windows a pass to 1e-5: %s behind examples', async (_, maxLength, least) => {
  const options = {
    names: ['science', 'letters', 'drawn', 'sentences', 'words'],
    maxLength,
    prepare: { numFewShot: 3 },
  }
  const alone = await evaluate(1, options)
  const together = await evaluate(32 * maxLength, options)
  const cut = alone.tasks.reduce((sum, { numTruncated }) => sum + numTruncated, 0)
  expect(cut).toBeGreaterThanOrEqual(least)
  expect(alone.tasks.map(({ numFewShot }) => numFewShot)).toEqual([3, 3, 3, 3, 3])
  const valuesOf = ({ tasks }: TaskEvaluation) =>
    tasks.flatMap(({ samples }) =>
      samples.flatMap(({ responses }) => responses.map((one) => ('text' in one ? NaN : one.logLikelihood))),
    )
  const others = valuesOf(together)
  const distances = valuesOf(alone).map((value, i) => Math.abs(value - others[i]!))
  expect(distances.length).toBeGreaterThan(100)
  expect(Math.max(...distances)).toBeLessThan(1e-5)
})
