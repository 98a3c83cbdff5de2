import { join, relative } from 'node:path'
import { loadConfig } from '../config/index.js'
import { printable } from '../dataset/index.js'
import { AdaptError } from '../errors.js'
import type { CausalLM } from '../model/index.js'
import { runOfModel } from './config-of-run.js'
import type { ModelPlaces } from './locate-model.js'

/** Positions of a window of an evaluation: those asked for, else those that its run trained with, and no more than the model has. */
export async function chooseWindow(
  maxLength: number | undefined,
  model: CausalLM,
  places: ModelPlaces,
  onLine: (line: string) => void,
): Promise<number> {
  const positions = model.config.maxPositionEmbeddings
  const wanted =
    maxLength === undefined ? await windowOfRun(places) : { length: maxLength, of: '--max-length' }
  const isCut = wanted === undefined || wanted.length > positions
  const length = isCut ? positions : wanted.length
  onLine(`window ${length} tokens (${isCut ? 'all positions of the model' : wanted.of})`)
  return length
}

/** The window that a run trained with: bits per byte with another one are not those of its own evaluations. */
async function windowOfRun(
  places: ModelPlaces,
): Promise<{ readonly length: number; readonly of: string } | undefined> {
  const run = runOfModel(places)
  if (run === undefined) return undefined
  try {
    const { config } = await loadConfig(join(run, 'config.yaml'))
    const near = relative(process.cwd(), run) || '.'
    const shown = printable(near.startsWith('..') ? run : near)
    return { length: config.data.max_length, of: `data.max_length of ${shown}` }
  } catch (error) {
    // The config of another version: the window is printed, so that nobody takes it for the run's.
    if (error instanceof AdaptError) return undefined
    throw error
  }
}
