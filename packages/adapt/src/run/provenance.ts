import { createHash } from 'node:crypto'
import { buildInfo } from '@adapt-ts/torch'
import { resolveNormalizer } from '../catalog/index.js'
import { renderResolvedConfig } from '../config/index.js'
import { readRegular } from '../dataset/regular-file.js'
import type { RunStartEvent } from '../record/index.js'
import type { RunParts } from './run-parts.js'

interface Restart {
  readonly step: number
  readonly started: string
  readonly command: readonly string[]
}

/** Writes config.yaml and provenance.json, and gives the event that opens this process's part of the log. */
export function recordProvenance({
  request,
  folder,
  data,
  built,
  startStep,
  start,
}: RunParts): RunStartEvent {
  const { config } = request
  const info = buildInfo()
  const resolved = renderResolvedConfig(config)
  const started = new Date().toISOString()
  const command = process.argv.slice(2)
  const earlier = start?.isOwn === true ? readProvenance(folder.file('provenance.json')) : undefined
  const provenance = {
    command,
    versions: { node: process.version, libtorch: info.libtorchVersion },
    engine: { capability: info.cpuCapability, threads: info.numThreads },
    data: data.fingerprints,
    ...(data.anchorOverlap
      ? { anchor_overlap: { ...data.anchorOverlap, allowed: config.data.allow_anchor_overlap } }
      : {}),
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
      ? { ...earlier, restarts: [...(earlier.restarts ?? []), { step: startStep, started, command }] }
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

function readProvenance(path: string): { readonly restarts?: readonly Restart[] } | undefined {
  try {
    return JSON.parse(readRegular(path).toString('utf8')) as { readonly restarts?: readonly Restart[] }
  } catch {
    return undefined
  }
}
