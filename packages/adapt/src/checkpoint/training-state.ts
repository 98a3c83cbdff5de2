import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SafetensorsFile, scope, TorchError, writeSafetensors } from '@adapt-ts/torch'
import { type RowCursor, readRowCursor } from '../batch/index.js'
import { AdaptError } from '../errors.js'
import { fillTrainedModel, type SaveTrainedOptions, saveTrainedModel } from '../model/index.js'
import type { Trainer, TrainerState, TrainerTensors } from '../train/index.js'
import { fromExactJson, toExactJson } from './exact-json.js'
import { damaged } from './manifest.js'

/** Model folder in a checkpoint, with the moving average of the weights. */
export const AVERAGE_FOLDER = 'ema'

/** Everything of a checkpoint but its tensors; `state.json`. */
export interface TrainingState {
  /** 1: a step of a run by `max_steps` could take rows of two epochs; up to 2 the method's parts stood beside the counts. */
  readonly schema_version: 1 | 2 | 3
  /** Completed optimiser steps. */
  readonly step: number
  /** Where the next row of data is. */
  readonly cursor: RowCursor
  /** Rows of a global batch, over all ranks and micro-batches. */
  readonly global_rows: number
  /** Ranks that shared it; absent in checkpoints of a version that knew one alone. */
  readonly world_size?: number
  /** The method's resolved config: its state means something under this one alone. */
  readonly method: unknown
  /** What the run was made from, by name: SHA-256 of data, anchors and tokenizer, and the order of the data. */
  readonly fingerprints: Readonly<Record<string, string>>
  readonly trainer: TrainerState
}

/** The trainer's part of a checkpoint is filled in when it is written. */
export type TrainingPosition = Omit<TrainingState, 'schema_version' | 'step' | 'trainer'>

/**
 * Writes a training state into a folder: a Hugging Face model folder (float32), or a PEFT adapter folder when adapters
 * are trained, with `optimizer.safetensors`, `method.safetensors` and `state.json` beside the weights, and such a folder `ema` in it where
 * a moving average is kept.
 *
 * @param state  Taken on every rank, where there are several; one of them writes.
 */
export function writeTrainingState(
  folder: string,
  trainer: Trainer,
  position: TrainingPosition,
  model: SaveTrainedOptions,
  { json, optimizer, method }: TrainerTensors = trainer.state(),
): void {
  saveTrainedModel(trainer.model, folder, model)
  if (trainer.average) {
    using _weights = trainer.average.lend()
    saveTrainedModel(trainer.model, join(folder, AVERAGE_FOLDER), model)
  }
  writeSafetensors(join(folder, 'optimizer.safetensors'), optimizer)
  writeSafetensors(join(folder, 'method.safetensors'), method)
  const state: TrainingState = { schema_version: 3, step: trainer.step, ...position, trainer: json }
  writeFileSync(join(folder, 'state.json'), `${toExactJson(state)}\n`)
}

/**
 * Reads `state.json` of a checkpoint whose manifest was verified.
 * @throws {HostileFileError} CHECKPOINT_DAMAGED for what this version cannot read.
 */
export function readTrainingState(folder: string): TrainingState {
  let state: Partial<TrainingState> | null
  try {
    state = fromExactJson(readFileSync(join(folder, 'state.json'), 'utf8')) as Partial<TrainingState> | null
  } catch (cause) {
    throw damaged(folder, 'state.json', `it cannot be read (${(cause as Error).message})`)
  }
  const isKnown = [1, 2, 3].includes(state?.schema_version ?? 0)
  if (!isKnown || !Number.isSafeInteger(state?.step) || state?.trainer === undefined) {
    throw damaged(folder, 'state.json', 'it is no training state of a version that is read here')
  }
  const { signal, gate, ...trainer } = state.trainer as TrainerState & Readonly<Record<string, unknown>>
  return {
    ...(state as TrainingState),
    cursor: readRowCursor(state.cursor),
    trainer: { ...trainer, method: trainer.method ?? { signal, gate } },
  }
}

/**
 * Puts the optimiser's and the trainer's state into a trainer whose model was loaded from the same folder. An average that the folder does
 * not have begins at its weights.
 *
 * @param withMethod  Whether the method's own state is taken too: only under the method that left it.
 * @throws {HostileFileError} CHECKPOINT_DAMAGED when the tensors are not those of this model and optimiser.
 */
export function loadTrainingState(
  folder: string,
  state: TrainingState,
  trainer: Trainer,
  withMethod: boolean,
): void {
  const reading = (name: string, use: (file: SafetensorsFile) => void) => {
    try {
      using file = new SafetensorsFile(join(folder, name))
      use(file)
    } catch (error) {
      if (!(error instanceof TorchError)) throw error
      throw damaged(folder, name, error.message)
    }
  }
  try {
    reading('optimizer.safetensors', (file) => {
      trainer.load(state.trainer, (name, moment) => file.readInto(name, moment))
    })
    const averaged = join(folder, AVERAGE_FOLDER)
    if (trainer.average && existsSync(averaged)) {
      using _weights = trainer.average.lend()
      fillTrainedModel(trainer.model, averaged)
    }
    if (!withMethod) return
    reading('method.safetensors', (file) => {
      const { device } = trainer.model
      scope(() =>
        trainer.loadMethod(state.trainer, new Map(file.names.map((name) => [name, file.read(name, device)]))),
      )
    })
  } catch (error) {
    if (error instanceof AdaptError) throw error
    throw damaged(folder, 'state.json', (error as Error).message)
  }
}
