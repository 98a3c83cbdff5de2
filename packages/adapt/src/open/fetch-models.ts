import type { RunConfig } from '../config/index.js'
import { fetchModel } from '../hub/index.js'
import { readModelConfig } from '../model/index.js'

/** Who is told while models are fetched. */
export interface FetchReport {
  readonly onLine: (line: string) => void
  /** Called while bytes arrive; what it throws ends the download, which the next run goes on with. */
  readonly checkStop?: (() => void) | undefined
}

/**
 * Fetches what a config names by hub ids, before anything that takes long is done with it: the model,
 * the adapter and the tokenizer.
 * Afterwards `resolveModelPath` finds them. Paths are left alone.
 * @throws {ConfigError} HUB_NOT_FOUND, HUB_GATED, HUB_OFFLINE, UNSUPPORTED_MODEL and others of `fetchModel`.
 * @throws {ResourceError} HUB_UNREACHABLE, HUB_DAMAGED, DISK_FULL.
 */
export async function fetchModels(
  { model, tokenizer }: Pick<RunConfig, 'model' | 'tokenizer'>,
  baseDir: string,
  report: FetchReport,
): Promise<void> {
  const [path, adapter] = 'path' in model ? [model.path, model.adapter] : []
  if (path !== undefined) await fetchBaseModel(path, baseDir, report)
  if (adapter !== undefined) await fetchModel(baseDir, adapter, { content: 'adapter', ...report })
  if (tokenizer !== path) await fetchModel(baseDir, tokenizer, { content: 'tokenizer', ...report })
}

/** The folder of a model that a path or hub id names, refused before its weights are fetched when they are of no use. */
export async function fetchBaseModel(text: string, baseDir: string, report: FetchReport): Promise<string> {
  const checkConfig = (folder: string) => void readModelConfig(folder)
  return await fetchModel(baseDir, text, { content: 'model', checkConfig, ...report })
}
