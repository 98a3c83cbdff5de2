import type { RunConfig } from '../config/index.js'
import type { CausalLM } from '../model/index.js'
import { assertTokenizerFits, type Tokenizer } from '../tokenize/index.js'
import { chooseDevice } from './choose-device.js'
import type { FetchReport } from './fetch-models.js'
import { loadModel, locateModel } from './locate-model.js'
import { openModel } from './open-model.js'

/** A model and where it came from. */
export interface NamedModel {
  readonly model: CausalLM
  /** The folder it came from, or what the config says. */
  readonly name: string
  /** False for a model that the config only initialises. */
  readonly isTrained: boolean
}

/**
 * The model of a config, or the one that a folder leads to (see `locateModel`), on the device of `training.device`.
 * @throws {ConfigError} MODEL_NOT_FOUND and what loading throws.
 */
export async function openNamedModel(
  config: RunConfig,
  baseDir: string,
  tokenizer: Tokenizer,
  folder: string | undefined,
  report: FetchReport,
): Promise<NamedModel> {
  if (folder === undefined) {
    const isTrained = 'path' in config.model
    const name = 'path' in config.model ? config.model.path : `${config.model.preset}, freshly initialised`
    return { model: openModel(config, baseDir, tokenizer), name, isTrained }
  }
  const places = await locateModel(folder, undefined, report)
  const model = loadModel(places, { device: chooseDevice(config.training.device).device })
  try {
    assertTokenizerFits(tokenizer, model.config.vocabSize)
  } catch (error) {
    model.dispose()
    throw error
  }
  return { model, name: places.adapter ?? places.model, isTrained: true }
}
