// The project's side of check_process_group.py: node process-group-rank.mjs TASK [FOLDER]
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const dist = new URL('../../../packages/torch/dist/', import.meta.url)
const { buildInfo, distributed, full, scope, tensor } = await import(new URL('index.js', dist).href)
const { engine } = await import(new URL('native.js', dist).href)
const [task, folder] = process.argv.slice(2)

const TYPES = [
  ['float32', Float32Array],
  ['float64', Float64Array],
  ['int32', Int32Array],
  ['int64', BigInt64Array],
]

/** c10d's own reductions in the group that `init_process_group('cpu:gloo')` of PyTorch makes. */
function reduceWithPython() {
  const { rank, worldSize, masterAddr, masterPort } = distributed.readLaunch(process.env)
  const { native } = engine()
  let store = native.storeOpen(masterAddr, masterPort, rank === 0, 60_000)
  for (const prefix of ['default_pg', '0/', 'cpu/']) store = native.storePrefix(store, prefix)
  const group = native.groupOpen(store, rank, worldSize, 60_000, '', process.env.GLOO_SOCKET_IFNAME ?? '')
  const hashes = TYPES.flatMap(([dtype, Type]) =>
    ['sum', 'max', 'min'].map((reduction) =>
      scope(() => {
        const values = Type.from({ length: 1_000_003 }, (_, i) => {
          const whole = ((i * (rank + 3)) % 1013) - 500
          if (dtype.startsWith('float')) return whole * 0.37
          return dtype === 'int64' ? BigInt(whole) : whole
        })
        const x = tensor(values, [values.length], { dtype })
        native.allReduce(group, x.handle, reduction)
        native.toHost(x.handle, values)
        return createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex')
      }),
    ),
  )
  native.barrier(group)
  process.stdout.write(`hashes ${hashes.join(' ')}\n`)
  // The store is in rank 0: it stays until the others are done with it.
  if (rank === 0) setTimeout(() => process.exit(0), 3000)
  else process.exit(0)
}

/** A sum over the ranks that torchrun started; `killOnce`: rank 1 is killed before it, the first time. */
async function sumUnderTorchrun(killOnce) {
  const launch = distributed.readLaunch(process.env)
  const leave = (name, text) =>
    writeFileSync(join(folder, `${name}-${launch.rank}-${launch.restartCount}`), text)
  const group = await distributed.joinProcessGroup({ launch, timeoutMs: 60_000 })
  try {
    if (killOnce && launch.restartCount === 0 && launch.rank === 1) process.kill(process.pid, 'SIGKILL')
    scope(() => {
      const x = full([1], group.rank + 1)
      group.allReduceSum([x])
      leave('sum', String(x.item()))
    })
    await group.leave()
  } catch (error) {
    leave('failure', `${error.code} ${error.message}`)
    process.exit(6)
  }
}

if (task === 'version') process.stdout.write(`${buildInfo().libtorchVersion}\n`)
else if (task === 'mixed') reduceWithPython()
else await sumUnderTorchrun(task === 'killed once')
