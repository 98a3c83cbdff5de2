import { loadConfig } from '../../config/index.js'
import { ConfigError } from '../../errors.js'
import { type NodeOptions, readNodes, superviseRanks } from '../../launch/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { assignments } from '../terminal/option-parsers.js'
import type { TrainOptions } from './train-command.js'

export interface LaunchOptions extends TrainOptions, NodeOptions {
  readonly maxRestarts: number
}

/** `adapt launch CONFIG` */
export async function launchCommand(path: string, options: LaunchOptions, io: CliIo): Promise<number> {
  const { maxRestarts, masterPort } = options
  const { numRanks, nodes } = readNodes(options, io.env)
  if (nodes !== undefined && maxRestarts > 0) {
    throw new ConfigError(
      'OUT_OF_RANGE',
      '--max-restarts: only on one machine; over several torchrun starts all of them again',
    )
  }
  // An operator of Kubernetes sets them too, as the place of the machine.
  const isOfOperator = io.env.PET_NNODES !== undefined
  if (!isOfOperator && io.env.WORLD_SIZE !== undefined && io.env.RANK !== undefined) {
    throw new ConfigError(
      'LAUNCHED_TWICE',
      `launch: RANK ${io.env.RANK} of WORLD_SIZE ${io.env.WORLD_SIZE} is set, so another launcher started this; let it start adapt train`,
    )
  }
  // What is wrong with the config is said once.
  await loadConfig(path, {
    env: io.env,
    set: assignments(options),
    ...(options.outputDir === undefined ? {} : { outputDir: options.outputDir }),
  })
  return await superviseRanks({
    // The run that this job began is not the one to be replaced.
    command: (restart) => [
      process.execPath,
      ...[...process.execArgv, process.argv[1]!, 'train', path],
      ...trainFlags({ ...options, overwrite: options.overwrite === true && restart === 0 }),
    ],
    numRanks,
    nodes,
    maxRestarts,
    env: io.env,
    ...(masterPort === undefined ? {} : { port: masterPort }),
    onLine: (rank, line) => io.stderr.line(rank === 0 ? line : `[rank ${rank}] ${line}`),
    onNote: (line) => io.stderr.line(`launch: ${line}`),
  })
}

function trainFlags({ set = [], device, outputDir, overwrite, quiet }: TrainOptions): readonly string[] {
  return [
    ...set.flatMap((value) => ['--set', value]),
    ...(device === undefined ? [] : ['--device', device]),
    ...(outputDir === undefined ? [] : ['--output-dir', outputDir]),
    ...(overwrite ? ['--overwrite'] : []),
    ...(quiet ? ['--quiet'] : []),
  ]
}
