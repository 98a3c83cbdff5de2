import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { buildInfo, type DType } from '@adapt-ts/torch'
import { resolveNormalizer } from '../catalog/index.js'
import { renderResolvedConfig } from '../config/index.js'
import { readRegular } from '../dataset/regular-file.js'
import { type ChosenDevice, chooseDevice } from '../open/index.js'
import type { RunStartEvent } from '../record/index.js'
import type { StartPoint } from '../run-folder/index.js'
import type { RunParts } from './run-parts.js'

/** What computed a run, or a part of it; a run folder of an older version does not say. */
interface Computing {
  /** `cpu`, `mps`, or the name of the GPU. */
  readonly device?: string
  /** Of matrix products. */
  readonly products?: string
}

interface Restart extends Computing {
  readonly step: number
  readonly started: string
  readonly command: readonly string[]
}

interface Provenance {
  readonly engine?: Computing
  readonly restarts?: readonly Restart[]
}

/** Writes config.yaml and provenance.json, and gives the event that opens this process's part of the log. */
export function recordProvenance({
  request,
  folder,
  data,
  tasks,
  built,
  startStep,
  start,
}: RunParts): RunStartEvent {
  const { config } = request
  const info = buildInfo()
  const resolved = renderResolvedConfig(config)
  const started = new Date().toISOString()
  const command = process.argv.slice(2)
  const computing: Computing = {
    device: chooseDevice(config.training.device).name,
    products: built.dtype ?? 'float32',
  }
  const earlier = start?.isOwn === true ? readProvenance(folder.file('provenance.json')) : undefined
  const provenance = {
    command,
    versions: { node: process.version, libtorch: info.libtorchVersion },
    engine: { capability: info.cpuCapability, threads: info.numThreads, ...computing },
    data: data.fingerprints,
    ...(data.anchorOverlap
      ? { anchor_overlap: { ...data.anchorOverlap, allowed: config.data.allow_anchor_overlap } }
      : {}),
    ...(tasks?.trainingOverlap ? { task_overlap: tasks.trainingOverlap } : {}),
    data_notes: data.train.notes,
    inputs: {
      parameters: built.trainer.model.numParameters,
      trained_parameters: built.trainer.model.numTrainableParameters,
      files: data.trainFiles.length,
      samples: data.train.numSamples,
      tokens: data.train.numTokens,
      sources: data.train.sources.length,
      anchors: data.anchorDocuments.length,
      anchor_sources: [...new Set(data.anchorDocuments.map(({ source }) => source))].sort(),
    },
    base_dir: request.baseDir,
    config_sha256: createHash('sha256').update(resolved).digest('hex'),
    seed: config.training.seed,
    started,
    ...(start?.isOwn === false ? { started_from: start.folder } : {}),
    ...(earlier
      ? {
          ...earlier,
          restarts: [...(earlier.restarts ?? []), { step: startStep, started, command, ...computing }],
        }
      : {}),
  }
  folder.write('config.yaml', resolved)
  folder.write('provenance.json', `${JSON.stringify(provenance, null, 2)}\n`)
  return {
    type: 'run-start',
    step: startStep,
    time: Date.now() / 1000,
    name: config.output_dir,
    config: {
      method: config.method.preset,
      normalizer: resolveNormalizer(config.method, data.isPlainText),
      seed: config.training.seed,
      learning_rate: config.training.learning_rate,
    },
    versions: provenance.versions,
  }
}

/** A line when a run goes on where numbers are rounded otherwise than before; undefined when nothing changed or was not recorded. */
export function describeMove(
  { folder, state }: StartPoint,
  { device, name }: ChosenDevice,
  dtype: DType | undefined,
): string | undefined {
  const earlier = readProvenance(join(folder, '..', '..', 'provenance.json'))
  const before: Computing = { ...earlier?.engine, ...earlier?.restarts?.at(-1) }
  const products = dtype ?? 'float32'
  if (before.device === undefined || (before.device === name && before.products === products))
    return undefined
  const where = name === device ? name : `${device} (${name})`
  return (
    `from step ${state.step} on ${where} with products in ${products}, before on ${before.device} in ${before.products}: ` +
    (before.products === products
      ? 'the same run to float32 rounding, not to the bit'
      : 'losses differ by the rounding of bfloat16; training.bf16 holds the products as they were')
  )
}

function readProvenance(path: string): Provenance | undefined {
  try {
    return JSON.parse(readRegular(path).toString('utf8')) as Provenance
  } catch {
    return undefined
  }
}
