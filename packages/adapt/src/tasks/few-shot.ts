import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { PythonRandom } from './python-random.js'
import type { Task } from './read-task-file.js'
import type { TaskDocument } from './task-documents.js'

/** Draws the examples that stand before a document. */
export interface FewShotSampler {
  /** @param document  The one that is evaluated, when it may be among the examples. */
  draw(document: TaskDocument | undefined): readonly TaskDocument[]
}

/**
 * Examples as the harness draws them: `default` draws for each document in turn by Python's generator, `first_n` takes the first.
 * @throws {ConfigError} TOO_FEW_EXAMPLES
 */
export function createSampler(
  task: Task,
  pool: readonly TaskDocument[],
  { count, seed }: { readonly count: number; readonly seed: number },
): FewShotSampler {
  const { sampler = 'default', fewshot_indices: indices } = task.config.fewshot_config ?? {}
  const outside = indices?.find((i) => i >= pool.length)
  if (outside !== undefined) {
    throw new ConfigError(
      'TOO_FEW_EXAMPLES',
      `task ${printable(task.name)}: fewshot_config.fewshot_indices: expected places of ${pool.length} records from 0, received ${outside}`,
    )
  }
  const chosen = indices === undefined || sampler === 'first_n' ? pool : indices.map((i) => pool[i]!)
  const random = new PythonRandom(seed)
  const isOther = (document: TaskDocument | undefined) => (one: TaskDocument) => one.key !== document?.key
  const require = (found: readonly TaskDocument[]): readonly TaskDocument[] => {
    if (found.length >= count) return found.slice(0, count)
    throw new ConfigError(
      'TOO_FEW_EXAMPLES',
      `task ${printable(task.name)}: expected at least ${count} few-shot examples, received ${found.length}; lower num_fewshot`,
    )
  }
  if (sampler === 'first_n') {
    return { draw: (document) => require(document === undefined ? chosen : chosen.filter(isOther(document))) }
  }
  return {
    draw(document) {
      const wanted = document === undefined ? count : count + 1
      require(chosen)
      if (wanted > chosen.length) {
        return require(chosen.filter(isOther(document)))
      }
      const drawn = random.sample(chosen, wanted).filter(isOther(document))
      // The document itself may stand in the pool several times.
      return drawn.length >= count
        ? drawn.slice(0, count)
        : require(random.sample(chosen.filter(isOther(document)), count))
    },
  }
}
