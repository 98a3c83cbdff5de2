import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type RunConfig, resolveCacheDir } from '../config/index.js'
import type { OverlapCounts } from '../contamination/index.js'
import { printable } from '../dataset/index.js'
import { makeFolder } from '../dataset/make-folder.js'
import { ConfigError } from '../errors.js'
import type { PreparedTask } from '../tasks/index.js'
import { findInTraining } from './find-task-overlap.js'

// Raise it whenever the same texts would give other counts.
const FORMAT = 1
/** Documents of the training data between two lines. */
const LINE_DOCUMENTS = 65_536

const countsSchema = z.array(
  z.object({
    ...{ group: z.string(), items: z.number(), comparable: z.number(), shared: z.number() },
    ...{ duplicates: z.number(), documents: z.number() },
    examples: z.array(
      z.object({
        kind: z.enum(['shared words', 'duplicate']),
        ...{ item: z.string(), document: z.string(), text: z.string() },
      }),
    ),
  }),
)

/**
 * Looks for the documents of a run's tasks in its training data: one pass over its text, once for the same data and tasks.
 * @param options.trainFingerprint  Identifies the training data.
 * @returns Counts by task; undefined where `evaluation.task_options.training_overlap` is `ignore`.
 * @throws {ConfigError} TASK_OVERLAP where it is `refuse` and a document is found.
 */
export async function checkTaskOverlap(
  prepared: readonly PreparedTask[],
  {
    config,
    baseDir,
    trainFingerprint,
    onLine,
  }: {
    readonly config: RunConfig
    readonly baseDir: string
    readonly trainFingerprint: string
    readonly onLine: (line: string) => void
  },
): Promise<readonly OverlapCounts[] | undefined> {
  const { training_overlap: policy = 'warn' } = config.evaluation.task_options
  if (policy === 'ignore') return undefined
  const texts = prepared.map(({ task, items }) => [task.name, items.map(({ text }) => text)])
  const key = createHash('sha256')
    .update(JSON.stringify([FORMAT, trainFingerprint, texts]))
    .digest('hex')
  const file = join(resolveCacheDir(config, baseDir), 'task-overlap', `${key}.json`)
  let found = readKept(file)
  if (found === undefined) {
    const onProgress = (documents: number) => {
      if (documents % LINE_DOCUMENTS === 0)
        onLine(`looking for the tasks in the training data: ${documents.toLocaleString('en')} documents read`)
    }
    found = await findInTraining(prepared, config, baseDir, onProgress)
    keep(file, found)
  }
  const message = describeTaskOverlap(found)
  if (message !== undefined && policy === 'refuse') {
    throw new ConfigError(
      'TASK_OVERLAP',
      `${message}; take them out of data.train, use other tasks, or train all the same with --set evaluation.task_options.training_overlap=warn`,
    )
  }
  return found
}

/** One line for an error or a warning; undefined where no document of a task is in the training data. */
export function describeTaskOverlap(found: readonly OverlapCounts[]): string | undefined {
  const hits = found.filter(({ shared, duplicates }) => shared + duplicates > 0)
  if (hits.length === 0) return undefined
  // A duplicate of eight words or more shares its words, too.
  const ofTask = hits.map(
    ({ group, items, shared, duplicates }) => `${group} ${Math.max(shared, duplicates)} of ${items}`,
  )
  const shown = ofTask.length > 5 ? [...ofTask.slice(0, 5), `${ofTask.length - 5} more`] : ofTask
  const [example] = hits.flatMap(({ examples }) => examples)
  const first = example ? ` (first: ${printable(example.item)} in ${printable(example.document)})` : ''
  return `evaluation.tasks: documents that share text with the training data: ${shown.join(', ')}${first}`
}

function readKept(file: string): readonly OverlapCounts[] | undefined {
  try {
    return countsSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    // Absent or damaged: it is only a shortcut.
    return undefined
  }
}

/** Counts that cannot be kept cost a pass at the next start, and nothing else. */
function keep(file: string, found: readonly OverlapCounts[]): void {
  const temporary = `${file}.tmp-${process.pid}-${randomBytes(4).toString('hex')}`
  try {
    makeFolder(join(file, '..'))
    writeFileSync(temporary, `${JSON.stringify(found)}\n`)
    renameSync(temporary, file)
  } catch {
    rmSync(temporary, { force: true })
  }
}
