import { join, resolve } from 'node:path'
import { decidesData, type MethodConfig } from '../catalog/index.js'
import { invalidConfig, type LoadedConfig, loadConfig } from '../config/index.js'
import { AdaptError } from '../errors.js'
import type { Study } from './load-study.js'

/** One training of a study: an arm with a seed, or the trunk of a seed. */
export interface PlannedRun extends LoadedConfig {
  readonly arm: string
  readonly seed: number
  /** Folder of the run. Absolute. */
  readonly folder: string
  /** File that says that it is done, and what came out. Absolute. */
  readonly recordPath: string
}

export interface PlannedSeed {
  readonly seed: number
  readonly trunk?: PlannedRun
  readonly cells: readonly PlannedRun[]
}

export interface StudyPlan {
  /** Folder of the study. Absolute. */
  readonly folder: string
  readonly seeds: readonly PlannedSeed[]
  /** Steps that a seed's arms have in common; 0 without a trunk. */
  readonly trunkSteps: number
  /** Steps of a whole run; undefined when epochs are given. */
  readonly totalSteps: number | undefined
  readonly warnings: readonly string[]
}

/**
 * The run config of every cell.
 * @throws {ConfigError} INVALID_CONFIG, with the arm that a problem comes from.
 */
export async function planCells(study: Study): Promise<StudyPlan> {
  const { config } = study
  const folder = resolve(config.output_dir)
  const base = await loadConfig(study.basePath, { env: study.env, set: study.baseSet })
  const totalSteps = base.config.training.max_steps
  const trunkSteps = config.trunk ? cutTrunk(study, config.trunk.share, totalSteps) : 0
  const schedule =
    config.trunk && totalSteps !== undefined
      ? ['training.lr_scheduler_type=wsd', `training.decay_ratio=${1 - trunkSteps / totalSteps}`]
      : []
  const common = [...schedule, 'training.save_total_limit=1']
  const load = async (
    arm: string,
    seed: number,
    place: { readonly folder: string; readonly recordPath: string },
    set: readonly string[],
  ): Promise<PlannedRun> => {
    const options = {
      env: study.env,
      set: [...study.baseSet, ...common, `training.seed=${seed}`, ...set],
      outputDir: place.folder,
    }
    try {
      return { arm, seed, ...place, ...(await loadConfig(study.basePath, options)) }
    } catch (error) {
      throw blameArm(study, arm, error)
    }
  }
  const seeds: PlannedSeed[] = []
  for (const seed of config.seeds) {
    const trunkPlace = {
      folder: join(folder, 'trunks', `seed${seed}`),
      recordPath: join(folder, 'trunks', `seed${seed}.json`),
    }
    const trunk =
      config.trunk &&
      (await load('trunk', seed, trunkPlace, [
        setMethod(config.trunk.method),
        ...['evaluation.sets=[]', 'evaluation.tasks=[]'],
      ]))
    const checkpoint = join(trunkPlace.folder, 'checkpoints', `step-${trunkSteps}`)
    const cells: PlannedRun[] = []
    for (const [arm, { method, set }] of Object.entries(config.arms)) {
      const name = `${arm}-seed${seed}`
      const place = { folder: join(folder, 'runs', name), recordPath: join(folder, 'cells', `${name}.json`) }
      cells.push(
        await load(arm, seed, place, [
          ...(method === undefined ? [] : [setMethod(method)]),
          ...Object.entries(set ?? {}).map(([key, value]) => assign(key, value)),
          ...(trunk ? [assign('training.resume_from_checkpoint', checkpoint)] : []),
        ]),
      )
    }
    seeds.push({ seed, cells, ...(trunk ? { trunk } : {}) })
  }
  requireSameOrder(study, seeds[0]!)
  const warnings = new Set([
    ...base.warnings,
    ...seeds[0]!.cells.flatMap(({ arm, warnings }) => warnings.map((warning) => `${arm}: ${warning}`)),
  ])
  // The anchors serve some arms and not others; that is the point of a comparison.
  const shown = [...warnings].filter((warning) => !/(^|: )anchors: not used/.test(warning))
  return { folder, seeds, trunkSteps, totalSteps, warnings: shown }
}

/** A branch goes on where its trunk was in the data. @throws {ConfigError} INVALID_CONFIG, one line an arm that cannot. */
function requireSameOrder(study: Study, { trunk, cells }: PlannedSeed): void {
  if (trunk === undefined) return
  const { method } = trunk.config
  const order = decidesData(method)
  const isSteered = method.apply === 'sample'
  const issues = cells.flatMap(({ arm, config }) => {
    if (decidesData(config.method) === order && (!isSteered || config.method.apply === 'sample')) return []
    const message =
      `expected a method that reads the data in the order of its trunk (method "${method.preset}"), received "${config.method.preset}": ` +
      'one of them decides itself what is read; leave trunk out'
    return [study.issueAt(['arms', arm], message)]
  })
  if (issues.length > 0) throw invalidConfig(issues)
}

function cutTrunk(study: Study, share: number, totalSteps: number | undefined): number {
  if (totalSteps === undefined) {
    const message =
      'expected training.max_steps in the base config, so that a share of it is known, received none'
    throw invalidConfig([study.issueAt(['trunk', 'share'], message)])
  }
  const steps = Math.round(share * totalSteps)
  if (steps >= 1 && steps < totalSteps) return steps
  const message = `expected steps before and after the branching, received ${steps} of ${totalSteps}`
  throw invalidConfig([study.issueAt(['trunk', 'share'], message)])
}

const setMethod = (method: MethodConfig) => assign('method', method)

/** An assignment whose value is JSON, which YAML reads as the same value. */
function assign(key: string, value: unknown): string {
  return `${key}=${JSON.stringify(value).replaceAll('${', () => '$${')}`
}

/** Problems of an arm's config, at the arm's place in the study file. */
function blameArm(study: Study, arm: string, error: unknown): unknown {
  if (!(error instanceof AdaptError) || error.code !== 'INVALID_CONFIG') return error
  const issues = error.context.issues as readonly { where: string; path: string; message: string }[]
  const key = arm === 'trunk' ? ['trunk'] : ['arms', arm]
  return invalidConfig(
    issues.map((issue) => {
      if (!issue.where.startsWith('--set')) return issue
      const { where } = study.issueAt(key, '')
      return { where, path: `${key.join('.')}: ${issue.path}`, message: issue.message }
    }),
  )
}
