import { createHash } from 'node:crypto'
import { createReadStream, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { modelsRead, needsOf } from '../catalog/index.js'
import { dataSources, type RunConfig } from '../config/index.js'
import { fingerprintFiles, readDocuments } from '../dataset/index.js'
import { openRegular } from '../dataset/regular-file.js'
import { ConfigError } from '../errors.js'
import { resolveDataFiles, resolveModelPath } from '../hub/index.js'
import { findRunTasks, openInputs, taskSettingsOf } from '../open/index.js'
import { fingerprintTasks } from '../tasks/index.js'

/** What the files of a run config hold, as far as a comparison needs to know. */
export interface InspectedInputs {
  /** SHA-256 (hex) of everything that is read, by name. */
  readonly fingerprints: Readonly<Record<string, string>>
  /** Sources of the training data. */
  readonly trainingSources: readonly string[]
  readonly evaluationSources: readonly string[]
}

/** Reads what a config names, once for all cells that read the same. */
export class InputInspector {
  private readonly known = new Map<string, Promise<InspectedInputs>>()

  constructor(private readonly onLine: (line: string) => void) {}

  inspect(config: RunConfig, baseDir: string): Promise<InspectedInputs> {
    const { model, tokenizer, data, anchors, evaluation } = config
    const withAnchors = needsOf(config.method).anchors === true
    // The seed chooses what is held out.
    const seed = data.val_set_size === undefined ? null : config.training.seed
    const models = modelsRead(config.method).map(({ path }) => path)
    const key = JSON.stringify([
      ...[model, tokenizer, data, evaluation, withAnchors ? anchors : null, seed],
      models,
    ])
    const found = this.known.get(key) ?? inspectInputs(config, baseDir, this.onLine)
    this.known.set(key, found)
    return found
  }
}

async function inspectInputs(
  config: RunConfig,
  baseDir: string,
  onLine: (line: string) => void,
): Promise<InspectedInputs> {
  const { evaluation } = config
  const withAnchors = needsOf(config.method).anchors === true
  // Through the door that a run takes, so that the data is checked and cached as for a run.
  const data = await openInputs(config, baseDir, { needsAnchors: false, onLine })
  try {
    const anchorFiles = withAnchors ? await resolveDataFiles(dataSources(config.anchors), baseDir) : []
    const evaluationSources = new Set<string>()
    if (data.evaluationFiles.length > 0) {
      for await (const { source } of readDocuments(data.evaluationFiles)) evaluationSources.add(source)
    }
    const readModels: Record<string, string> = {}
    for (const { key, path } of modelsRead(config.method))
      readModels[key] = await hashModelFolder(key, resolveModelPath(baseDir, path))
    return {
      fingerprints: {
        data: data.train.fingerprint,
        tokenizer: data.tokenizer.hash,
        anchors: withAnchors ? await fingerprintFiles(anchorFiles) : '',
        evaluation: await fingerprintFiles(data.evaluationFiles),
        ...(evaluation.tasks.length > 0
          ? {
              tasks: await fingerprintTasks(await findRunTasks(config, baseDir), {
                ...taskSettingsOf(config),
                onLine,
              }),
            }
          : {}),
        model:
          'path' in config.model
            ? await hashModelFolder('model.path', resolveModelPath(baseDir, config.model.path))
            : '',
        ...('path' in config.model && config.model.adapter !== undefined
          ? {
              adapter: await hashModelFolder(
                'model.adapter',
                resolveModelPath(baseDir, config.model.adapter),
              ),
            }
          : {}),
        ...readModels,
      },
      trainingSources: data.train.sources,
      evaluationSources: [...evaluationSources],
    }
  } finally {
    data.train.close()
  }
}

function hashModelFolder(key: string, folder: string): Promise<string> {
  let entries: string[]
  try {
    entries = readdirSync(folder)
  } catch (cause) {
    throw new ConfigError(
      'MODEL_NOT_FOUND',
      `${key}: expected a model folder, cannot read ${folder} (${(cause as Error).message})`,
      { folder },
      { cause },
    )
  }
  const names = entries.filter(
    (name) => name === 'config.json' || name === 'adapter_config.json' || name.endsWith('.safetensors'),
  )
  return hashFiles(names.sort().map((name) => join(folder, name)))
}

/** SHA-256 (hex) over the bytes of files, in order. */
export async function hashFiles(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const path of paths) {
    const one = createHash('sha256')
    for await (const chunk of createReadStream(path, { fd: openRegular(path) })) one.update(chunk as Buffer)
    hash.update(one.digest('hex'))
  }
  return hash.digest('hex')
}
