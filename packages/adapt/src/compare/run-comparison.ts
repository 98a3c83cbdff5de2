import { existsSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { verifyManifest } from '../checkpoint/index.js'
import { invalidConfig, suggestName } from '../config/index.js'
import { ConfigError, HostileFileError, NumericError } from '../errors.js'
import { chooseDevice, configInputs, requireInputsOutside } from '../open/index.js'
import type { StepRecord } from '../record/index.js'
import { runTraining, StopRequest, type TrainingOutcome, type TrainingRequest } from '../run/index.js'
import {
  type CellRecord,
  cellHash,
  type FoundRecord,
  readCell,
  readTrunk,
  type TrunkRecord,
  writeRecord,
} from './cell-record.js'
import { type Comparison, compareCells } from './compare-cells.js'
import { hashFiles, InputInspector, type InspectedInputs } from './inspect-inputs.js'
import type { Study } from './load-study.js'
import { type PlannedRun, type PlannedSeed, planCells, type StudyPlan } from './plan-cells.js'
import { softwareVersions } from './software-versions.js'
import { beginRun, emptyRunFolder, isFinished, markStudyFolder, requireStudyFolder } from './study-folder.js'
import { summarizeCell, summarizeTrunk } from './summarize-run.js'

/** Trains one cell; `runTraining`, or something that stands for it in a test. */
export type TrainFunction = (request: TrainingRequest) => Promise<Pick<TrainingOutcome, 'outputDir'>>

/** One training of a comparison, as the listener sees it begin. */
export interface CellStart {
  /** From 1, over trunks and cells that are trained by this call. */
  readonly number: number
  readonly total: number
  /** `trunk`, or the name of the arm. */
  readonly arm: string
  readonly seed: number
  /** Steps that it ends at. */
  readonly lastStep: number | undefined
}

/** What to train of a study, and who is told. */
export interface ComparisonRequest {
  readonly study: Study
  /** Train the cells of these arms only; the others count when they are finished. */
  readonly only?: readonly string[]
  /** Say what would be trained, and train nothing. */
  readonly dryRun?: boolean
  readonly onLine?: (line: string) => void
  readonly onCell?: (start: CellStart) => void
  readonly onStep?: (record: StepRecord, lastStep: number) => void
  readonly train?: TrainFunction
}

/** State of a cell before anything is trained. */
export interface CellState {
  readonly arm: string
  readonly seed: number
  readonly state: 'finished' | 'to do' | 'changed' | 'damaged'
}

/** A cell whose training ended because its numbers were not finite. */
export interface FailedCell {
  readonly arm: string
  readonly seed: number
  readonly message: string
}

/** What a call found, trained and compared. */
export interface ComparisonOutcome {
  readonly folder: string
  readonly states: readonly CellState[]
  /** Of the cells that are finished, in the study's order. */
  readonly cells: readonly CellRecord[]
  readonly comparison: Comparison
  /** Cells of this call whose loss or gradient did not stay finite. */
  readonly failures: readonly FailedCell[]
  readonly warnings: readonly string[]
}

/**
 * Trains what is missing of a study, cell by cell, and compares the arms. A second call skips finished cells, goes on
 * with one that was interrupted, and does again what a changed config, changed data or a damaged record concerns.
 *
 * @throws {ConfigError} INVALID_CONFIG, UNKNOWN_SOURCE, NOT_A_STUDY. @throws {AdaptError} what a training throws;
 *   INTERRUPTED (exit 75) after a signal: the same call goes on.
 * @example
 * const study = await loadStudy('study.yaml')
 * const { comparison } = await runComparison({ study, onLine: console.log })
 */
export async function runComparison(request: ComparisonRequest): Promise<ComparisonOutcome> {
  const { study, only = [] } = request
  const names = Object.keys(study.config.arms)
  for (const name of only) {
    if (names.includes(name)) continue
    const hint = suggestName(name, names)
    throw new ConfigError(
      'UNKNOWN_ARM',
      `--only: expected an arm of the study (${names.join(', ')}), received "${name}"${hint}`,
    )
  }
  const plan = await planCells(study)
  using comparison = new ComparisonRun(request, plan)
  return await comparison.run()
}

class ComparisonRun implements Disposable {
  private readonly onLine: (line: string) => void
  private readonly train: TrainFunction
  private readonly versions = softwareVersions()
  private readonly inspector: InputInspector
  private readonly failures: FailedCell[] = []
  // One watch over all cells: a signal that comes while one is being finished still counts.
  private readonly stop = new StopRequest()
  private started = 0
  private toTrain = 0

  constructor(
    private readonly request: ComparisonRequest,
    private readonly plan: StudyPlan,
  ) {
    this.onLine = request.onLine ?? (() => {})
    this.train = request.train ?? runTraining
    this.inspector = new InputInspector(this.onLine)
  }

  async run(): Promise<ComparisonOutcome> {
    const { study, only = [], dryRun = false } = this.request
    requireStudyFolder(this.plan.folder)
    if (!dryRun && this.stop.warning !== undefined) this.onLine(`warning: ${this.stop.warning}`)
    for (const { trunk, cells } of this.plan.seeds) {
      for (const { config, baseDir, folder } of [...(trunk ? [trunk] : []), ...cells])
        requireInputsOutside(folder, await configInputs(config, baseDir))
    }
    const wanted = (arm: string) => only.length === 0 || only.includes(arm)
    await this.checkSources()
    const states: CellState[] = []
    for (const seed of this.plan.seeds) states.push(...(await this.look(seed)))
    for (const { arm, seed, state } of states) {
      if (state === 'damaged')
        this.onLine(`warning: the record of ${arm}, seed ${seed} is damaged and is made again`)
      if (state === 'changed')
        this.onLine(`${arm}, seed ${seed}: config, data or trunk changed; the cell is done again`)
    }
    const due = (seed: number) =>
      states.filter((cell) => cell.seed === seed && cell.state !== 'finished' && wanted(cell.arm))
    if (!dryRun) {
      markStudyFolder(this.plan.folder)
      for (const seed of this.plan.seeds) {
        const count = due(seed.seed).length
        this.toTrain += count + (count > 0 && this.needsTrunk(seed) ? 1 : 0)
      }
      for (const seed of this.plan.seeds) if (due(seed.seed).length > 0) await this.trainSeed(seed, wanted)
    }
    const cells = (await Promise.all(this.plan.seeds.map((seed) => this.finishedCells(seed)))).flat()
    const evaluationSources = (await this.inputs(this.plan.seeds[0]!.cells[0]!)).evaluationSources
    return {
      folder: this.plan.folder,
      states,
      cells,
      comparison: compareCells(study.config, cells, evaluationSources),
      failures: this.failures,
      warnings: this.plan.warnings,
    }
  }

  [Symbol.dispose](): void {
    this.stop[Symbol.dispose]()
  }

  private inputs({ config, baseDir }: PlannedRun): Promise<InspectedInputs> {
    return this.inspector.inspect(config, baseDir)
  }

  /** Names of sources in the study file that no data has would be found out only after hours. */
  private async checkSources(): Promise<void> {
    const { study } = this.request
    const { groups, targets } = study.config
    const cells = this.plan.seeds[0]!.cells
    const { trainingSources, evaluationSources } = await this.inputs(cells[0]!)
    const unknown = (path: readonly PropertyKey[], name: string, known: readonly string[], what: string) =>
      known.includes(name)
        ? []
        : [
            study.issueAt(
              path,
              `expected a source of ${what} (${known.join(', ')}), received "${name}"${suggestName(name, known)}`,
            ),
          ]
    const issues = [
      ...targets.flatMap((name, i) => unknown(['targets', i], name, trainingSources, 'data.train')),
      ...Object.entries(groups).flatMap(([group, sources]) =>
        sources === 'rest'
          ? []
          : sources.flatMap((name, i) =>
              unknown(['groups', group, i], name, evaluationSources, 'evaluation.sets'),
            ),
      ),
      ...cells.flatMap(({ arm, config: { method } }) =>
        method.signal.kind === 'source'
          ? Object.keys(method.signal.table).flatMap((name) =>
              unknown(['arms', arm, 'method', 'signal', 'table', name], name, trainingSources, 'data.train'),
            )
          : [],
      ),
    ]
    if (evaluationSources.length === 0) {
      issues.push(study.issueAt(['base'], 'expected evaluation.sets in the base config, received none'))
    }
    if (issues.length > 0) throw invalidConfig(issues)
  }

  private async look(seed: PlannedSeed): Promise<CellState[]> {
    const trunk = seed.trunk ? readTrunk(seed.trunk.recordPath) : undefined
    const valid = trunk?.kind === 'valid' && trunk.record.hash === (await this.trunkHash(seed.trunk!))
    return Promise.all(
      seed.cells.map(async (cell): Promise<CellState> => {
        const { arm } = cell
        const found = readCell(cell.recordPath)
        if (found.kind === 'missing') return { arm, seed: seed.seed, state: 'to do' }
        if (found.kind === 'damaged') return { arm, seed: seed.seed, state: 'damaged' }
        const digest = trunk?.kind === 'valid' ? trunk.record.digest : undefined
        const same = (!seed.trunk || valid) && found.record.hash === (await this.hash(cell, digest))
        return { arm, seed: seed.seed, state: same ? 'finished' : 'changed' }
      }),
    )
  }

  private async hash(cell: PlannedRun, digest: string | undefined): Promise<string> {
    return cellHash(cell.config, (await this.inputs(cell)).fingerprints, digest)
  }

  /** The trunk depends on how far it goes as well. */
  private async trunkHash(trunk: PlannedRun): Promise<string> {
    return this.hash(trunk, `trunk of ${this.plan.trunkSteps} steps`)
  }

  private checkpointFolder(trunk: PlannedRun): string {
    return join(trunk.folder, 'checkpoints', `step-${this.plan.trunkSteps}`)
  }

  private needsTrunk({ trunk }: PlannedSeed): boolean {
    return (
      trunk !== undefined &&
      !(readTrunk(trunk.recordPath).kind === 'valid' && existsSync(this.checkpointFolder(trunk)))
    )
  }

  private async trainSeed(seed: PlannedSeed, wanted: (arm: string) => boolean): Promise<void> {
    const trunk = seed.trunk && (await this.ensureTrunk(seed.trunk))
    for (const cell of seed.cells) {
      const hash = await this.hash(cell, trunk?.digest)
      const found = readCell(cell.recordPath)
      if (!wanted(cell.arm) || (found.kind === 'valid' && found.record.hash === hash)) continue
      if (!(await this.trainCell(cell, hash))) continue
      const record = await this.summarize(cell, hash, trunk)
      writeRecord(cell.recordPath, record)
      // Nothing goes on from a finished branch.
      rmSync(join(cell.folder, 'checkpoints'), { recursive: true, force: true })
    }
  }

  /** What computed a run, its device among it. */
  private versionsOf({ config }: PlannedRun): Readonly<Record<string, string>> {
    return { ...this.versions, device: chooseDevice(config.training.device).name }
  }

  /** What the cell's run folder says; a run whose log was damaged after its end is done again. */
  private async summarize(
    cell: PlannedRun,
    hash: string,
    trunk: TrunkRecord | undefined,
  ): Promise<CellRecord> {
    const { targets } = this.request.study.config
    const versions = this.versionsOf(cell)
    const context = { ...cell, hash, versions, targets, ...(trunk ? { trunk } : {}) }
    try {
      return summarizeCell(context)
    } catch (error) {
      const isLost = error instanceof ConfigError && error.code === 'EVENT_LOG_MISSING'
      if (!(error instanceof HostileFileError || isLost)) throw error
      this.onLine(`warning: ${error.message}; the cell is done again`)
      emptyRunFolder(cell.folder)
      await this.trainFolder(cell, hash, this.plan.totalSteps)
      return summarizeCell(context)
    }
  }

  /** False when the run ended because its numbers did: the others go on. */
  private async trainCell(cell: PlannedRun, hash: string): Promise<boolean> {
    try {
      await this.trainFolder(cell, hash, this.plan.totalSteps)
      return true
    } catch (error) {
      if (!(error instanceof NumericError)) throw error
      const { arm, seed } = cell
      this.failures.push({ arm, seed, message: error.message })
      this.onLine(`warning: ${arm}, seed ${seed} failed: ${error.message}`)
      return false
    }
  }

  private async ensureTrunk(trunk: PlannedRun): Promise<TrunkRecord> {
    const hash = await this.trunkHash(trunk)
    const found = readTrunk(trunk.recordPath)
    const checkpoint = this.checkpointFolder(trunk)
    if (found.kind === 'valid' && found.record.hash === hash && this.isWhole(checkpoint)) return found.record
    if (found.kind === 'damaged')
      this.onLine(`warning: ${trunk.recordPath} is damaged: ${found.reason}; the trunk is done again`)
    await this.trainFolder(trunk, hash, this.plan.trunkSteps, this.plan.trunkSteps)
    // The weights, in one file or several, and the optimiser's moments; a trunk has no method of its own.
    const files = readdirSync(checkpoint)
      .filter((name) => name.endsWith('.safetensors') && name !== 'method.safetensors')
      .sort()
      .map((name) => join(checkpoint, name))
    const versions = this.versionsOf(trunk)
    const record = summarizeTrunk({ ...trunk, hash, digest: await hashFiles(files), versions })
    writeRecord(trunk.recordPath, record)
    return record
  }

  /** Whether a checkpoint is there and undamaged; a damaged one is said and goes. */
  private isWhole(checkpoint: string): boolean {
    if (!existsSync(checkpoint)) return false
    try {
      verifyManifest(checkpoint)
      return true
    } catch (error) {
      if (!(error instanceof HostileFileError)) throw error
      this.onLine(`warning: ${error.message}; the trunk is done again`)
      emptyRunFolder(dirname(dirname(checkpoint)))
      return false
    }
  }

  /** Trains in the run's folder, or goes on there when what lies in it was begun under the same hash. */
  private async trainFolder(
    run: PlannedRun,
    hash: string,
    lastStep: number | undefined,
    stopAfterStep?: number,
  ): Promise<void> {
    const { arm, seed, config, baseDir } = run
    this.stop.throwIfRequested(`between two cells; the same command goes on from ${this.plan.folder}`)
    this.started += 1
    // A trunk whose checkpoint was removed, or a cell whose record turned out stale, may come on top.
    const total = Math.max(this.toTrain, this.started)
    this.request.onCell?.({ number: this.started, total, arm, seed, lastStep })
    beginRun(run.folder, hash)
    // Its record was not written, or was damaged afterwards: the run folder still knows.
    if (isFinished(run.folder)) return
    await this.train({
      config,
      baseDir,
      overwrite: false,
      stop: this.stop,
      onLine: this.onLine,
      onStep: (record, totalSteps) => this.request.onStep?.(record, lastStep ?? totalSteps),
      ...(stopAfterStep === undefined ? {} : { stopAfterStep }),
    })
  }

  private async finishedCells(seed: PlannedSeed): Promise<CellRecord[]> {
    const states = await this.look(seed)
    return seed.cells.flatMap((cell, i) => {
      const found: FoundRecord<CellRecord> = readCell(cell.recordPath)
      return states[i]!.state === 'finished' && found.kind === 'valid' ? [found.record] : []
    })
  }
}
