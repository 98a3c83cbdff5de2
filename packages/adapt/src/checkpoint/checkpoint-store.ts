import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from '../dataset/make-folder.js'
import { syncPath } from '../dataset/sync-path.js'
import { AdaptError, HostileFileError, ResourceError } from '../errors.js'
import { type Manifest, verifyManifest, writeManifest } from './manifest.js'
import { publishFolder } from './publish-folder.js'

/** As this program writes it: `step-0099` is not the folder of step 99. */
const STEP_FOLDER = /^step-(0|[1-9]\d{0,14})$/
const TEMPORARY = /^\.step-\d+\.tmp-\d+(\.old)?$/

/** A checkpoint whose files are those of its manifest. */
export interface FoundCheckpoint {
  readonly step: number
  readonly folder: string
}

/**
 * The checkpoints of one run: folders `step-<N>`, each whole by its own manifest. Which is the newest is worked out from the
 * folders that are there; no pointer could be ahead of them. Only the owner of the run's lock may write.
 */
export class CheckpointStore {
  constructor(readonly folder: string) {}

  /** Folder of the checkpoint of a step, whether it is there or not. */
  folderOf(step: number): string {
    return join(this.folder, `step-${step}`)
  }

  /** Steps of the checkpoint folders, oldest first, whole or not. */
  steps(): number[] {
    return this.names()
      .flatMap((name) => (STEP_FOLDER.test(name) ? [Number(name.slice(5))] : []))
      .sort((a, b) => a - b)
  }

  private names(): string[] {
    try {
      return existsSync(this.folder) ? readdirSync(this.folder) : []
    } catch (cause) {
      const message = `cannot read the checkpoints in ${this.folder} (${(cause as Error).message})`
      throw new ResourceError('CHECKPOINT_READ', message, { folder: this.folder }, { cause })
    }
  }

  /**
   * Publishes a checkpoint: files, manifest, folder and parent are on the disk before older checkpoints go.
   *
   * @param write  Writes the files into the folder that it is given.
   * @param keep  Checkpoints that stay, the new one among them, >= 1.
   * @param best  Step of a checkpoint that stays in any case, as one of them or, with `keep` 1, beside the new one.
   * @throws {ResourceError} CHECKPOINT_WRITE; the checkpoints that were there are still there.
   */
  publish(step: number, write: (folder: string) => void, keep: number, best?: number): void {
    try {
      makeFolder(this.folder)
      publishFolder(this.folderOf(step), write, (temporary) => writeManifest(temporary, step))
    } catch (cause) {
      const message = `cannot write the checkpoint ${this.folderOf(step)} (${(cause as Error).message})`
      throw new ResourceError('CHECKPOINT_WRITE', message, { folder: this.folder, step }, { cause })
    }
    this.prune(step, keep, best)
  }

  /** Removes the oldest checkpoints. One that cannot be removed stays: it does no harm but takes room. */
  private prune(newest: number, keep: number, best: number | undefined): void {
    const older = this.steps().filter((step) => step < newest)
    const others = older.filter((step) => step !== best)
    const numStaying = 1 + older.length - others.length
    for (const step of others.slice(0, Math.max(0, numStaying + others.length - keep))) {
      try {
        rmSync(this.folderOf(step), { recursive: true })
      } catch {
        // The next save tries again. What is left of it has no whole manifest and is never loaded.
      }
    }
  }

  /**
   * The newest checkpoint whose every byte its manifest vouches for.
   * @param onDamaged  Told of each newer one that is not.
   * @throws What reading the folder throws.
   */
  newest(onDamaged: (error: HostileFileError) => void): FoundCheckpoint | undefined {
    for (const step of this.steps().reverse()) {
      const folder = this.folderOf(step)
      try {
        this.verify(folder, step)
        return { step, folder }
      } catch (error) {
        if (!(error instanceof HostileFileError)) throw error
        onDamaged(error)
      }
    }
    return undefined
  }

  private verify(folder: string, step: number): Manifest {
    const manifest = verifyManifest(folder)
    if (manifest.step === step) return manifest
    throw new HostileFileError(
      'CHECKPOINT_DAMAGED',
      `checkpoint ${folder}: its manifest is that of step ${manifest.step}`,
      { folder },
    )
  }

  /**
   * Makes a run go on from `step`: what a dead process left half done is removed, and newer checkpoints (damaged ones,
   * or the run would go on from them) are set aside as `step-<N>.damaged`, so that they cannot count as the newest.
   * @throws {ResourceError} when the folder cannot be changed.
   */
  rewind(step: number): void {
    if (!existsSync(this.folder)) return
    try {
      for (const name of readdirSync(this.folder)) {
        if (TEMPORARY.test(name)) rmSync(join(this.folder, name), { recursive: true, force: true })
      }
      for (const newer of this.steps().filter((other) => other > step)) {
        const aside = `${this.folderOf(newer)}.damaged`
        rmSync(aside, { recursive: true, force: true })
        renameSync(this.folderOf(newer), aside)
      }
      syncPath(this.folder)
    } catch (cause) {
      if (cause instanceof AdaptError) throw cause
      const message = `cannot tidy the checkpoints in ${this.folder} (${(cause as Error).message})`
      throw new ResourceError('CHECKPOINT_WRITE', message, { folder: this.folder }, { cause })
    }
  }
}
