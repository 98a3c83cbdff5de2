import { join } from 'node:path'
import {
  CheckpointStore,
  readTrainingState,
  type TrainingState,
  verifyManifest,
} from '../checkpoint/index.js'
import { parseConfigText, type RunConfig, resolveConfigPath } from '../config/index.js'
import { readRegular } from '../dataset/regular-file.js'
import type { HostileFileError } from '../errors.js'
import { ConfigError } from '../errors.js'
import type { Method } from '../method/index.js'
import { requireSameConfig } from './config-changes.js'

/** Where a run begins when it is not at step 0. */
export interface StartPoint {
  /** Folder of the checkpoint. */
  readonly folder: string
  readonly state: TrainingState
  /** Whether the run goes on in its own folder, or begins in a new one from another run's checkpoint. */
  readonly isOwn: boolean
}

/** The start at a checkpoint that was found and verified. @throws {HostileFileError} CHECKPOINT_DAMAGED. */
export function startPoint(folder: string, isOwn: boolean): StartPoint {
  return { folder, state: readTrainingState(folder), isOwn }
}

/** The config that a run folder was written under. @throws {ConfigError} RUN_CONFIG_UNREADABLE */
function readRunConfig(runFolder: string): RunConfig {
  const path = join(runFolder, 'config.yaml')
  try {
    return parseConfigText(readRegular(path).toString('utf8'), path)
  } catch (cause) {
    throw new ConfigError(
      'RUN_CONFIG_UNREADABLE',
      `${path}: cannot be read, so the run cannot go on (${(cause as Error).message.split('\n')[0]}); choose another output_dir or pass --overwrite`,
      {},
      { cause },
    )
  }
}

/**
 * The newest whole checkpoint of an interrupted run, or undefined when it has none: then it starts over.
 * @throws {ConfigError} CONFIG_CHANGED when the run was made under another config.
 */
export function findOwnStart(
  runFolder: string,
  config: RunConfig,
  onDamaged: (error: HostileFileError) => void,
): StartPoint | undefined {
  requireSameConfig(runFolder, readRunConfig(runFolder), config)
  const found = checkpointStore(runFolder).newest(onDamaged)
  return found && startPoint(found.folder, true)
}

/**
 * The checkpoint of another run that a config names.
 * @throws {ConfigError} CHECKPOINT_NOT_FOUND. @throws {HostileFileError} CHECKPOINT_DAMAGED.
 */
export function findNamedStart(config: RunConfig, baseDir: string): StartPoint | undefined {
  const path = config.training.resume_from_checkpoint
  if (path === undefined) return undefined
  const folder = resolveConfigPath(baseDir, path)
  try {
    readRegular(join(folder, 'manifest.json'))
  } catch (cause) {
    throw new ConfigError(
      'CHECKPOINT_NOT_FOUND',
      `training.resume_from_checkpoint: expected the folder of a checkpoint (runs/<name>/checkpoints/step-<N>), found none at ${folder}`,
      { folder },
      { cause },
    )
  }
  verifyManifest(folder)
  return startPoint(folder, false)
}

/**
 * Refuses to go on with other data, or at another batch size, than the checkpoint was made with.
 * @throws {ConfigError} DATA_CHANGED, BATCH_CHANGED, NOTHING_LEFT.
 */
export function requireSameData(
  { state, folder, isOwn }: StartPoint,
  fingerprints: Readonly<Record<string, string>>,
  plan: { readonly globalRows: number; readonly totalSteps: number },
): void {
  // Another method may need anchors that the other run did without, and prepares otherwise.
  const compared = ['data', 'tokenizer', 'order', ...(isOwn ? ['anchors', 'artefact'] : [])]
  // Where only one of them has an adapter, loading says so.
  if (state.fingerprints.base && fingerprints.base) compared.push('base')
  const changed = compared.filter((name) => state.fingerprints[name] !== fingerprints[name])
  if (changed.length > 0) {
    const lines = changed.map(
      (name) => `  ${name}: ${state.fingerprints[name] || '(none)'} -> ${fingerprints[name] || '(none)'}`,
    )
    throw new ConfigError(
      'DATA_CHANGED',
      `checkpoint ${folder} was made from other files, or from the same data in another order; bring files and keys back, or start a new run\n` +
        lines.join('\n'),
      { changed },
    )
  }
  if (state.global_rows !== plan.globalRows) {
    throw new ConfigError(
      'BATCH_CHANGED',
      `training: a step has ${plan.globalRows} rows, but ${state.global_rows} in the checkpoint ${folder}; ` +
        'keep per_device_train_batch_size x gradient_accumulation_steps',
    )
  }
  if (!isOwn && state.step >= plan.totalSteps) {
    throw new ConfigError(
      'NOTHING_LEFT',
      `training: the run ends at step ${plan.totalSteps}, and the checkpoint ${folder} is of step ${state.step}`,
    )
  }
}

/**
 * Refuses to read on in an order that the checkpoint left for a steered draw, or by shares of the sources after a draw of samples.
 * @throws {ConfigError} DRAW_STEERED.
 */
export function requireSameDraw(
  { state, folder }: StartPoint,
  method: Pick<Method, 'shares' | 'draw' | 'decidesDraw'>,
): void {
  const { kind } = state.cursor
  const bySource = method.shares() !== undefined
  const bySample = method.draw() !== undefined || (!bySource && method.decidesDraw(state.step))
  if (kind === 'order' || bySample || (kind === 'sources' && bySource)) return
  const [what, whose] =
    kind === 'sources'
      ? ['the sources are', 'a method that does (odm, doremi)']
      : ['samples are', 'the same method']
  throw new ConfigError(
    'DRAW_STEERED',
    `checkpoint ${folder}: its method decided how ${what} drawn, which is no place in the order of data.mixing; go on with ${whose}, or start a new run`,
    { folder },
  )
}

/** The checkpoints of a run folder. */
export function checkpointStore(runFolder: string): CheckpointStore {
  return new CheckpointStore(join(runFolder, 'checkpoints'))
}
