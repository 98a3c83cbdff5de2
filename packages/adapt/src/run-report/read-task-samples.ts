import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { readRegular } from '../dataset/regular-file.js'
import { HostileFileError } from '../errors.js'
import { samplesFile } from '../tasks/index.js'

const sampleSchema = z.looseObject({
  doc_id: z.number(),
  target: z.unknown(),
  arguments: z.array(z.array(z.unknown())),
  resps: z.array(z.unknown()).optional(),
  filtered_resps: z.array(z.unknown()),
  filter: z.string(),
  doc_hash: z.string(),
})
/** A line of `samples_<task>.jsonl`, in the schema of lm-evaluation-harness. */
export type TaskSample = z.output<typeof sampleSchema>

/** The folder of what tasks gave after a step of a run. */
export const tasksFolder = (run: string, step: number): string => join(run, 'eval', `step-${step}.tasks`)

/**
 * What each document of a task gave, in the order of the file; nothing where there is no file.
 * @throws {HostileFileError} BAD_SAMPLES for a line that is none.
 */
export function* readTaskSamples(folder: string, task: string): Generator<TaskSample> {
  const path = join(folder, samplesFile(task))
  if (!existsSync(path)) return
  const bytes = readRegular(path)
  let line = 0
  for (let start = 0; start < bytes.length; line++) {
    const found = bytes.indexOf(0x0a, start)
    const end = found < 0 ? bytes.length : found
    yield parseTaskSample(bytes.toString('utf8', start, end), `${path}:${line + 1}`)
    start = end + 1
  }
}

/** @throws {HostileFileError} BAD_SAMPLES */
export function parseTaskSample(text: string, where: string): TaskSample {
  try {
    return sampleSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new HostileFileError(
      'BAD_SAMPLES',
      `${where}: expected a sample of a task as lm-evaluation-harness writes it`,
      {},
      { cause },
    )
  }
}
