import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { RunConfig } from '../config/index.js'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { type CausalLM, loadModelFolder } from '../model/index.js'
import { assertTokenizerFits, type Tokenizer } from '../tokenize/index.js'
import { buildModel } from './build-model.js'

/** A model and where it came from. */
export interface FoundModel {
  readonly model: CausalLM
  /** The folder it came from, or what the config says. */
  readonly name: string
  /** False for a model that the config only initialises. */
  readonly isTrained: boolean
}

/**
 * The model of a config, or the one in a folder: a Hugging Face folder, a checkpoint, or a run (its model, else its
 * newest checkpoint).
 * @throws {ConfigError} MODEL_NOT_FOUND and what loading throws.
 */
export function findModel(
  config: RunConfig,
  baseDir: string,
  tokenizer: Tokenizer,
  folder: string | undefined,
): FoundModel {
  if (folder === undefined) {
    const isTrained = 'path' in config.model
    const name = 'path' in config.model ? config.model.path : `${config.model.preset}, freshly initialised`
    return { model: buildModel(config, baseDir, tokenizer), name, isTrained }
  }
  const place = [folder, join(folder, 'model'), ...checkpointsOf(folder)].find((candidate) =>
    existsSync(join(candidate, 'model.safetensors')),
  )
  if (place === undefined) {
    throw new ConfigError(
      'MODEL_NOT_FOUND',
      `${printable(folder)}: expected a model folder, a run or a checkpoint, found no model.safetensors`,
    )
  }
  const model = loadModelFolder(place)
  try {
    assertTokenizerFits(tokenizer, model.config.vocabSize)
  } catch (error) {
    model.dispose()
    throw error
  }
  return { model, name: place, isTrained: true }
}

/** Newest first. */
function checkpointsOf(run: string): string[] {
  const folder = join(run, 'checkpoints')
  if (!existsSync(folder)) return []
  const stepOf = (name: string) => Number(/^step-(\d+)$/.exec(name)?.[1] ?? -1)
  return readdirSync(folder)
    .filter((name) => stepOf(name) >= 0)
    .sort((a, b) => stepOf(b) - stepOf(a))
    .map((name) => join(folder, name))
}
