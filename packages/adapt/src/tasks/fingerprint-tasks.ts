import { createHash } from 'node:crypto'
import type { TaskSelection } from './find-tasks.js'
import { fewShotCount, type PrepareTaskOptions } from './prepare-task.js'
import { TaskDocuments } from './task-documents.js'

/**
 * SHA-256 (hex) of what tasks and groups say, files that they include among it, and of their records.
 * @throws what reading the records throws.
 */
export async function fingerprintTasks(
  { tasks, groups }: TaskSelection,
  options: Pick<PrepareTaskOptions, 'numFewShot' | 'env' | 'onLine'>,
): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(groups))
  for (const task of tasks) {
    const documents = new TaskDocuments(task, options)
    const withExamples = fewShotCount(task.config.num_fewshot, options.numFewShot) > 0
    const records = [await documents.evaluated(), ...(withExamples ? [await documents.examples()] : [])]
    hash.update(JSON.stringify([task.config, ...records.map((some) => some.map(({ key }) => key))]))
  }
  return hash.digest('hex')
}
