import { describe, expect, it } from 'vitest'
import { torchErrorOf } from '../testing/compare.test.fixture.js'
import { firstHost, readLaunch } from './launch-environment.js'

const TORCHRUN = {
  ...{ RANK: '5', WORLD_SIZE: '8', LOCAL_RANK: '1', LOCAL_WORLD_SIZE: '4', GROUP_RANK: '1' },
  ...{ MASTER_ADDR: 'node0', MASTER_PORT: '29511', TORCHELASTIC_RUN_ID: 'r7' },
  ...{ TORCHELASTIC_RESTART_COUNT: '2', TORCHELASTIC_USE_AGENT_STORE: 'True' },
}
const SLURM = {
  ...{
    SLURM_PROCID: '9',
    SLURM_LOCALID: '1',
    SLURM_NTASKS: '16',
    SLURM_STEP_ID: '0',
    SLURM_JOB_ID: '123456',
  },
  ...{ SLURM_TASKS_PER_NODE: '8(x2)', SLURM_JOB_NODELIST: 'gpu[01-04,07],login', SLURM_JOB_NAME: 'train' },
}
const KUBERNETES = {
  ...{ PET_NNODES: '4', PET_NPROC_PER_NODE: '1', PET_NODE_RANK: '3' },
  ...{ PET_MASTER_ADDR: 'job-node-0-0.job', PET_MASTER_PORT: '29400' },
}

describe('the launch of a process', () => {
  it('is read from what torchrun sets', () => {
    expect(readLaunch(TORCHRUN)).toEqual({
      ...{ launcher: 'torchrun', rank: 5, worldSize: 8, localRank: 1, localWorldSize: 4 },
      ...{ masterAddr: 'node0', masterPort: 29511, agentStore: true, runId: 'r7', restartCount: 2 },
    })
    expect(readLaunch({ ...TORCHRUN, TORCHELASTIC_USE_AGENT_STORE: 'False' })!.agentStore).toBe(false)
  })

  it('is read from variables set by hand', () => {
    const launch = readLaunch({ RANK: '1', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1' })
    expect(launch).toMatchObject({
      launcher: 'environment',
      rank: 1,
      worldSize: 2,
      masterPort: 29500,
      agentStore: false,
    })
  })

  it('is read from what srun sets', () => {
    expect(readLaunch(SLURM)).toEqual({
      ...{ launcher: 'slurm', rank: 9, worldSize: 16, localRank: 1, localWorldSize: 8 },
      ...{ masterAddr: 'gpu01', masterPort: 18456, agentStore: false, runId: '123456.0', restartCount: 0 },
    })
  })

  it('is read from what a TrainJob gives a pod with one process', () => {
    expect(readLaunch(KUBERNETES)).toMatchObject({
      ...{ launcher: 'kubernetes', rank: 3, worldSize: 4, localRank: 0 },
      ...{ masterAddr: 'job-node-0-0.job', masterPort: 29400 },
    })
  })

  it('prefers RANK to Slurm and Slurm to PET_*', () => {
    expect(readLaunch({ ...TORCHRUN, ...SLURM, ...KUBERNETES })!.launcher).toBe('torchrun')
    expect(readLaunch({ ...SLURM, ...KUBERNETES })!.launcher).toBe('slurm')
  })

  it.each([
    ['nothing', {}],
    ['a shell that srun opened', { ...SLURM, SLURM_JOB_NAME: 'bash' }],
    ['a Slurm job of one task', { ...SLURM, SLURM_NTASKS: '1' }],
    ['a pod of its own', { PET_NNODES: '1', PET_NPROC_PER_NODE: '1' }],
  ])('is none: %s', (_, env) => {
    expect(readLaunch(env)).toBeUndefined()
  })

  it.each([
    [{ RANK: '0' }, 'RANK is set, WORLD_SIZE is not'],
    [{ WORLD_SIZE: '2' }, 'WORLD_SIZE is set, RANK is not'],
    [{ RANK: '2', WORLD_SIZE: '2', MASTER_ADDR: 'a' }, 'rank 2 of 2 processes: ranks go from 0 to 1'],
    [{ RANK: '0', WORLD_SIZE: '2' }, 'MASTER_ADDR is not set'],
    [{ RANK: 'a', WORLD_SIZE: '2' }, 'RANK is "a": expected a whole number'],
    [{ RANK: '0', WORLD_SIZE: '0' }, 'WORLD_SIZE is "0": expected a whole number from 1 on'],
    [{ RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: 'a', MASTER_PORT: '70000' }, 'ports end at 65535'],
    [{ RANK: '1', WORLD_SIZE: '4', MASTER_ADDR: 'a', PET_NPROC_PER_NODE: '2' }, 'RANK counts pods here'],
    [{ ...SLURM, SLURM_STEP_ID: undefined }, 'was started without srun'],
    [{ ...KUBERNETES, PET_NPROC_PER_NODE: '8' }, 'these are for a launcher'],
  ])('is refused by name: %j', (env, message) => {
    const error = torchErrorOf(() => readLaunch(env))
    expect([error.code, error.message]).toEqual(['LAUNCH_ENVIRONMENT', expect.stringContaining(message)])
  })

  it.each([
    ['gpu[01-04,07],login', 'gpu01'],
    ['node7', 'node7'],
    ['a,b', 'a'],
    ['rack[3,5]-ib', 'rack3-ib'],
  ])('takes the first host of %s', (list, host) => {
    expect(firstHost(list)).toBe(host)
  })
})
