import { ConfigError } from '../../errors.js'

const VARIABLES = ['RANK', 'WORLD_SIZE', 'SLURM_PROCID', 'PET_NNODES']

/**
 * Refuses to do several times, once on every rank, what is work for one process.
 * @throws {ConfigError} ONE_PROCESS.
 */
export async function requireOneRank(
  verb: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  if (!VARIABLES.some((name) => env[name] !== undefined)) return
  const { distributed } = await import('@adapt-ts/torch')
  const launch = distributed.readLaunch(env)
  if (launch === undefined || launch.worldSize === 1) return
  throw new ConfigError(
    'ONE_PROCESS',
    `${verb}: is work for one process, and this is rank ${launch.rank} of ${launch.worldSize} (${launch.launcher}); only train shares its work`,
  )
}
