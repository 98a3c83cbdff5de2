import { resolve } from 'node:path'
import { partsOf, requireNeeds } from '../catalog/index.js'
import type { RunConfig } from '../config/index.js'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import {
  chooseDevice,
  configInputs,
  explainMemory,
  openInputs,
  requireNoInput,
  trainingRemedies,
} from '../open/index.js'
import { type PoolScores, writeScores } from '../record/index.js'
import { aloneWorld, prepareRun, runTraining, StopRequest } from '../run/index.js'
import { requireScores, scorePool } from './score-pool.js'
import { writeKept } from './write-kept.js'

/** What {@link scoreData} writes. */
export const SCORE_FORMATS = ['parquet', 'jsonl'] as const
export type ScoreFormat = (typeof SCORE_FORMATS)[number]

/** What is scored, and where the outcome goes. */
export interface ScoreRequest {
  readonly config: RunConfig
  readonly baseDir: string
  /** Model folder, run or checkpoint to score with, for methods that score while training. Default: the model of the config. */
  readonly model?: string
  /** File to write. */
  readonly out: string
  readonly format: ScoreFormat
  /** jsonl: whether records get their source, score and weight. Default false. */
  readonly withScores?: boolean
  readonly onLine: (line: string) => void
  /** Samples that were weighed. */
  readonly onProgress: (done: number, total: number) => void
}

/** What was made of one source. */
export interface SourceSelection {
  readonly source: string
  readonly samples: number
  readonly kept: number
  readonly tokens: number
  readonly keptTokens: number
  /** Over the samples with one; NaN without any. */
  readonly meanScore: number
  /** Over all samples. */
  readonly meanWeight: number
}

/** What {@link scoreData} did. */
export interface ScoreOutcome {
  readonly path: string
  readonly format: ScoreFormat
  readonly method: string
  readonly samples: number
  readonly kept: number
  /** jsonl: records written. */
  readonly records?: number
  /** Of the preparation; absent for a method without. */
  readonly prepared?: { readonly flops: number; readonly seconds: number; readonly isCached: boolean }
  readonly sources: readonly SourceSelection[]
}

/**
 * Scores the training data of a config by its method and writes what becomes of it: what is prepared before training is prepared as a run would, and found
 * by it later; a method that scores while training scores with one model as it is.
 *
 * @throws {ConfigError} NEEDS_CODE, NO_SCORES, NEEDS_MODEL, MODEL_NOT_USED, INPUT_IN_OUTPUT and what preparing a run throws.
 * @throws {AdaptError} INTERRUPTED after a signal: the same call goes on. @throws {ResourceError} SCORES_WRITE.
 */
export async function scoreData(request: ScoreRequest): Promise<ScoreOutcome> {
  const { config, baseDir, model, onLine, onProgress, format } = request
  const { needs, byCode, definition } = partsOf(config.method)
  if (byCode.length > 0) {
    throw new ConfigError(
      'NEEDS_CODE',
      `method.${byCode[0]}: expected a ${byCode[0]} of the program, received one that the code of a run brings`,
    )
  }
  requireScores(config, model)
  const out = resolve(request.out)
  requireNoInput('--out', out, await configInputs(config, baseDir))
  using stop = new StopRequest()
  const goesOn = 'before the scores were written; the same command goes on'
  const checkStop = () => stop.throwIfRequested(goesOn)
  const chosen = chooseDevice(config.training.device)
  onLine(chosen.line)
  const inputs = await openInputs(config, baseDir, {
    needsAnchors: needs.anchors === true,
    onLine,
    checkStop,
  })
  try {
    for (const warning of inputs.warnings) onLine(`warning: ${warning}`)
    requireNeeds(config.method, { sources: inputs.train.sources.length, isPlainText: inputs.isPlainText })
    const run = { config, baseDir, overwrite: false, onLine, onStep: () => {} }
    const prepared = await prepareRun(run, inputs, {
      ...{ world: aloneWorld(), stop, goesOn, train: runTraining },
      device: config.training.device,
    })
    const scores = await scorePool({
      ...{ config, baseDir, inputs, prepared, model, onLine, onProgress, checkStop },
    })
    const { withScores = false } = request
    const records =
      format === 'jsonl' ? await writeKept(out, { config, inputs, scores, withScores }) : undefined
    if (format === 'parquet') await writeScores(out, inputs.train, scores)
    return {
      path: out,
      format,
      method: definition.id,
      samples: inputs.train.numSamples,
      kept: scores.kept_P.reduce((sum, kept) => sum + kept, 0),
      ...(records === undefined ? {} : { records }),
      ...(prepared
        ? { prepared: { flops: prepared.flops, seconds: prepared.seconds, isCached: prepared.isCached } }
        : {}),
      sources: bySource(inputs.train, scores),
    }
  } catch (error) {
    throw explainMemory(error, 'scoring', chosen.device, trainingRemedies(config))
  } finally {
    inputs.train.close()
  }
}

function bySource(
  train: Awaited<ReturnType<typeof openInputs>>['train'],
  { score_P, weight_P, kept_P }: PoolScores,
): SourceSelection[] {
  const sums = train.sources.map((source) => ({
    ...{ source, samples: 0, kept: 0, tokens: 0, keptTokens: 0 },
    ...{ scored: 0, score: 0, weight: 0 },
  }))
  for (let i = 0; i < train.numSamples; i++) {
    const sum = sums[train.sourceIndex(i)]!
    sum.samples += 1
    sum.tokens += train.length(i)
    sum.weight += weight_P[i]!
    if (kept_P[i] === 1) {
      sum.kept += 1
      sum.keptTokens += train.length(i)
    }
    if (Number.isFinite(score_P[i])) {
      sum.scored += 1
      sum.score += score_P[i]!
    }
  }
  return sums.map(({ scored, score, weight, ...counts }) => ({
    ...counts,
    meanScore: score / scored,
    meanWeight: weight / counts.samples,
  }))
}

/**
 * The format of a file by its name.
 * @param asked  What the user said, if anything.
 * @throws {ConfigError} BAD_FORMAT where name and word disagree, or neither says it.
 */
export function formatOf(out: string, asked: ScoreFormat | undefined): ScoreFormat {
  const named = SCORE_FORMATS.find((format) => out.endsWith(`.${format}`))
  if (asked !== undefined && named === undefined && /\.(gz|zst)$/.test(out)) {
    throw new ConfigError('BAD_FORMAT', `--out: expected a name without packing, received ${printable(out)}`)
  }
  if (asked !== undefined && named !== undefined && asked !== named) {
    throw new ConfigError(
      'BAD_FORMAT',
      `--out: expected a name ending in .${asked} with --format ${asked}, received ${printable(out)}`,
    )
  }
  const format = asked ?? named
  if (format !== undefined) return format
  throw new ConfigError(
    'BAD_FORMAT',
    `--out: expected a name ending in .parquet or .jsonl, or --format, received ${printable(out)}`,
  )
}
