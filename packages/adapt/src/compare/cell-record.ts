import { createHash } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { RunConfig } from '../config/index.js'
import { makeFolder } from '../dataset/make-folder.js'
import { readRegular } from '../dataset/regular-file.js'

/** A number that JSON holds; null where it is not finite. */
const figure = z.number().nullable()

const costSchema = z.strictObject({
  flops_train: z.number(),
  flops_signal: z.number(),
  /** Of the method before training; records of versions before it lack it. */
  flops_preparation: z.number().default(0),
  tokens: z.number(),
  /** Of the steps; evaluation and saving are not in it. */
  seconds: z.number(),
})
/** FLOPs, tokens and time of some steps. */
export type RunCost = z.output<typeof costSchema>

const versionsSchema = z.record(z.string(), z.string())

const shared = {
  seed: z.number(),
  /** SHA-256 (hex) of everything that the result is a function of. */
  hash: z.string(),
  steps: z.number(),
  cost: costSchema,
  versions: versionsSchema,
  finished: z.string(),
}

const cellTaskSchema = z.strictObject({
  task: z.string(),
  alias: z.string(),
  metric: z.string(),
  filter: z.string(),
  documents: z.number(),
  /** Share of right answers, and its standard error over documents. */
  value: z.number(),
  error: figure,
  anchored: z.exactOptional(z.boolean()),
  /** SHA-256 (hex) of the documents, and a 1 for each that the model had right, a 0 for the others. */
  answers: z.exactOptional(z.strictObject({ documents: z.string(), right: z.string() })),
})
/** What a benchmark task gave at the end of a cell. */
export type CellTask = z.output<typeof cellTaskSchema>

const cellSchema = z.strictObject({
  /** 1 took `target_share` from the labels of the data, also where the loss counts samples. */
  schema_version: z.literal(2),
  ...shared,
  arm: z.string(),
  method: z.looseObject({ preset: z.string() }),
  bits_per_byte: z.record(z.string(), z.number()),
  /** Absent without `evaluation.tasks`. */
  tasks: z.exactOptional(z.array(cellTaskSchema)),
  /** Mean gate weight over samples, and mean ESS ratio over steps; of the branch alone. */
  edr: figure,
  ess_ratio: figure,
  /** Mean share of the objective over the steps of the branch, by source of the training data. */
  mass_by_source: z.record(z.string(), z.number()),
  /** The same with every weight 1. */
  uniform_mass_by_source: z.record(z.string(), z.number()),
  target_mass: figure,
  /** What `target_mass` would be with every weight 1. */
  target_share: figure,
  /** target_mass / target_share. */
  target_lift: figure,
  /** The branch and its trunk together. */
  cost_with_trunk: costSchema,
})
/** `cells/<arm>-seed<k>.json`: one finished cell. */
export type CellRecord = z.output<typeof cellSchema>

const trunkSchema = z.strictObject({
  schema_version: z.literal(1),
  ...shared,
  /** SHA-256 (hex) of the checkpoint's model and optimiser. */
  digest: z.string(),
})
/** `trunks/seed<k>.json`: one finished trunk. */
export type TrunkRecord = z.output<typeof trunkSchema>

/** What a record file turned out to be. */
export type FoundRecord<T> =
  | { readonly kind: 'valid'; readonly record: T }
  | { readonly kind: 'missing' }
  | { readonly kind: 'damaged'; readonly reason: string }

export const readCell = (path: string): FoundRecord<CellRecord> => readRecord(path, cellSchema)
export const readTrunk = (path: string): FoundRecord<TrunkRecord> => readRecord(path, trunkSchema)

function readRecord<T>(path: string, schema: z.ZodType<T>): FoundRecord<T> {
  let text: string
  try {
    text = readRegular(path).toString('utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOENT' ? { kind: 'missing' } : { kind: 'damaged', reason: `cannot be read (${code})` }
  }
  try {
    const { checksum, ...rest } = JSON.parse(text) as Record<string, unknown>
    if (checksum !== checksumOf(rest))
      return { kind: 'damaged', reason: 'its checksum does not fit its content' }
    return { kind: 'valid', record: schema.parse(rest) }
  } catch {
    return { kind: 'damaged', reason: 'it is not a record of this version' }
  }
}

/** Writes a record whole or not at all, with a checksum as its last key. */
export function writeRecord(path: string, record: CellRecord | TrunkRecord): void {
  makeFolder(dirname(path))
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, `${JSON.stringify({ ...record, checksum: checksumOf(record) }, null, 2)}\n`, {
    flush: true,
  })
  renameSync(temporary, path)
}

function checksumOf(record: object): string {
  return createHash('sha256').update(JSON.stringify(record)).digest('hex')
}

/** Keys that change how a run is told about, kept or cut into work, and not what comes out. */
const FREE_TRAINING_KEYS = new Set([
  'logging_steps',
  'save_steps',
  'save_total_limit',
  'resume_from_checkpoint',
  // Of another device: a caution of the comparison, which a record's versions tell.
  'device',
])
const FREE_DATA_KEYS = new Set(['cache_dir', 'num_workers'])

/** The hash of a cell: its config, the content of the files that it reads, and the trunk that it starts from. */
export function cellHash(
  config: RunConfig,
  fingerprints: Readonly<Record<string, string>>,
  trunkDigest: string | undefined,
): string {
  const without = (mapping: object, keys: ReadonlySet<string>) =>
    Object.fromEntries(Object.entries(mapping).filter(([key]) => !keys.has(key)))
  const { output_dir: _, ...rest } = config
  const counted = {
    ...rest,
    data: without(config.data, FREE_DATA_KEYS),
    training: without(config.training, FREE_TRAINING_KEYS),
  }
  return createHash('sha256')
    .update(JSON.stringify(['adapt-cell-1', counted, fingerprints, trunkDigest ?? null]))
    .digest('hex')
}
