import { type RunConfig, rowsPerStep } from '../config/index.js'
import { ConfigError } from '../errors.js'

/** Keys that a run may change when it goes on: what is computed is the same, but for rounding. */
const FREE_KEYS: readonly RegExp[] = [
  /^output_dir$/,
  // Which weights were compared so far, and are published, stays.
  /^evaluation(\.(?!weights$)|$)/,
  /^data\.(num_workers|cache_dir|allow_anchor_overlap)$/,
  /^training\.(logging_steps|logging_dir|report_to|save_steps|save_total_limit|threads|device|ddp_timeout|ddp_backend|sharded_optimizer|deterministic|gradient_checkpointing|loss_chunk_size)(\.|$)/,
]

/** How a step is cut into passes; free while the step has the same rows and no short pass is dropped. */
const CUT_KEYS = /^training\.(per_device_train_batch_size|gradient_accumulation_steps)$/

/** One key whose value differs, both sides as JSON; `(absent)` where a side has none. */
export interface ConfigChange {
  readonly key: string
  readonly before: string
  readonly after: string
}

/** Keys that differ between two resolved configs and may not when a run goes on. */
export function forbiddenChanges(before: RunConfig, after: RunConfig): readonly ConfigChange[] {
  const [old, now] = [leaves(before), leaves(after)]
  const isSameStep =
    rowsPerStep(before) === rowsPerStep(after) &&
    !before.training.dataloader_drop_last &&
    !after.training.dataloader_drop_last
  const free = isSameStep ? [...FREE_KEYS, CUT_KEYS] : FREE_KEYS
  const keys = [...new Set([...old.keys(), ...now.keys()])].filter(
    (key) => !free.some((pattern) => pattern.test(key)),
  )
  return keys.flatMap((key) => {
    const [a, b] = [old.get(key) ?? '(absent)', now.get(key) ?? '(absent)']
    return a === b ? [] : [{ key, before: a, after: b }]
  })
}

/** @throws {ConfigError} CONFIG_CHANGED with a line per key. */
export function requireSameConfig(folder: string, before: RunConfig, after: RunConfig): void {
  const changes = forbiddenChanges(before, after)
  if (changes.length === 0) return
  const lines = changes.map(({ key, before: a, after: b }) => `  ${key}: ${a} -> ${b}`)
  throw new ConfigError(
    'CONFIG_CHANGED',
    `output_dir: ${folder} holds a run with another config; set these keys back, choose another folder or start over with --overwrite\n` +
      lines.join('\n'),
    { changes },
  )
}

/** Every leaf of a config by its dotted path; an empty list or mapping is a leaf. */
function leaves(config: RunConfig): Map<string, string> {
  const found = new Map<string, string>()
  const walk = (value: unknown, path: string) => {
    const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
    if (entries.length === 0) {
      if (value !== undefined) found.set(path, JSON.stringify(value))
      return
    }
    for (const [key, item] of entries) walk(item, path === '' ? key : `${path}.${key}`)
  }
  walk(config, '')
  return found
}
