import { mergeAdapter } from '../experiment/index.js'
import type { CliIo } from './cli-io.js'

export interface MergeOptions {
  readonly adapter?: string
  readonly out: string
  readonly dtype?: 'float32' | 'bfloat16' | 'auto'
  readonly overwrite?: boolean
}

/** `adapt merge DIR --out DIR`: a model folder without adapters. */
export function mergeCommand(model: string, options: MergeOptions, io: CliIo): void {
  mergeAdapter({ model, ...options })
  io.stdout.write(`model   ${options.out}\n`)
}
