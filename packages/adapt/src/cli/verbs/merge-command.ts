import { mergeAdapter } from '../../open/index.js'
import type { CliIo } from '../terminal/cli-io.js'

export interface MergeOptions {
  readonly adapter?: string
  readonly out: string
  readonly dtype?: 'float32' | 'bfloat16' | 'auto'
  readonly maxShardSize?: string
  readonly overwrite?: boolean
}

/** `adapt merge DIR --out DIR`: a model folder without adapters. */
export async function mergeCommand(model: string, options: MergeOptions, io: CliIo): Promise<void> {
  await mergeAdapter({ model, ...options, onLine: (line) => io.stderr.line(line) })
  io.stdout.line(`model   ${options.out}`)
}
