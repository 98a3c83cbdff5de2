import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { ConfigError } from '../errors.js'
import { readNodes } from './read-nodes.js'

const EXAMPLES = fileURLToPath(new URL('../../../../examples/cluster/', import.meta.url))

describe('readNodes', () => {
  it('takes this machine alone where nothing says otherwise', () => {
    expect(readNodes({ nproc: 2 }, {})).toEqual({ numRanks: 2 })
    expect(readNodes({ nproc: 2 }, { PET_NNODES: '1', PET_NPROC_PER_NODE: '8' })).toEqual({ numRanks: 2 })
  })

  it('takes the variables of training operators, and options before them', () => {
    const env = {
      ...{ PET_NNODES: '2', PET_NPROC_PER_NODE: '8', PET_NODE_RANK: '1' },
      ...{ PET_MASTER_ADDR: 'job-node-0-0.job', PET_MASTER_PORT: '29500' },
    }
    const nodes = {
      ...{ numNodes: 2, nodeRank: 1, masterAddr: 'job-node-0-0.job', masterPort: 29500 },
      runId: 'job-node-0-0.job:29500',
    }
    expect(readNodes({}, env)).toEqual({ numRanks: 8, nodes })
    // Kubeflow's older operator gives the address without PET_.
    const { PET_MASTER_ADDR: MASTER_ADDR, PET_MASTER_PORT: MASTER_PORT, ...rest } = env
    expect(readNodes({ nodeRank: 0 }, { ...rest, MASTER_ADDR, MASTER_PORT })).toEqual({
      numRanks: 8,
      nodes: { ...nodes, nodeRank: 0 },
    })
  })

  it.each([
    [{}, {}, /--nproc/],
    [{ nproc: 2, nnodes: 2 }, {}, /--node-rank, --master-addr and --master-port/],
    [{ nproc: 2, nnodes: 2, nodeRank: 2, masterAddr: 'a', masterPort: 1 }, {}, /machine 2 of 2/],
    [{}, { PET_NPROC_PER_NODE: 'auto' }, /PET_NPROC_PER_NODE, received "auto"/],
  ])('refuses %j with %j', (options, env, message) => {
    expect(() => readNodes(options, env)).toThrow(ConfigError)
    expect(() => readNodes(options, env)).toThrow(message)
  })
})

describe('examples/cluster', () => {
  it.each(['slurm.sh', 'torchrun.sh'])('%s is a script that a shell reads', (name) => {
    expect(spawnSync('bash', ['-n', path.join(EXAMPLES, name)]).status).toBe(0)
  })

  it('torchrun.sh starts adapt train under torchrun', () => {
    const { stdout } = spawnSync(
      'bash',
      [
        '-c',
        `torchrun() { echo "$@"; }; export -f torchrun; exec() { "$@"; }; set -- run.yaml; . ./torchrun.sh`,
      ],
      {
        cwd: EXAMPLES,
        encoding: 'utf8',
      },
    )
    expect(stdout.trim()).toBe(
      '--nnodes 1 --nproc-per-node 2 --max-restarts 3 --rdzv-backend c10d --rdzv-endpoint localhost:0 --no-python node_modules/.bin/adapt train run.yaml',
    )
  })

  it('pytorchjob.yaml is a job of as many pods as launch is told by its operator', () => {
    const job = parse(readFileSync(path.join(EXAMPLES, 'pytorchjob.yaml'), 'utf8'))
    const { Master, Worker } = job.spec.pytorchReplicaSpecs
    expect(job.kind).toBe('PyTorchJob')
    for (const { template } of [Master, Worker]) {
      expect(template.spec.containers[0].command).toEqual([
        '/app/node_modules/.bin/adapt',
        'launch',
        'run.yaml',
      ])
      expect(template.spec.containers[0].name).toBe('pytorch')
    }
  })
})
