import { canMakeNamespaces, LinkedHosts } from '../../bench/dist/linked-hosts.js'
import { startRanks } from './ranks.mjs'

export { canMakeNamespaces }

/** Two ranks on two hosts that a link joins. What is there of them goes with this process, however it ends. */
export class LinkedRanks {
  #hosts = new LinkedHosts('1gbit')
  /** @type {import('./child.mjs').Child[]} */
  #ranks = []
  #signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  #leave = () => process.exit(130)
  #remove = () => this.dispose()

  constructor() {
    process.on('exit', this.#remove)
    for (const signal of this.#signals) process.on(signal, this.#leave)
  }

  /** Starts a rank on each host; the first has the store. */
  start(workshop, name, set, port) {
    const hosts = this.#hosts
    const ranks = startRanks(workshop, name, 2, set, port, (rank) => ({
      prefix: hosts.prefixOf(rank),
      env: {
        ...{ LOCAL_RANK: 0, LOCAL_WORLD_SIZE: 1 },
        ...{ MASTER_ADDR: hosts.address, GLOO_SOCKET_IFNAME: hosts.interfaceOf(rank) },
      },
    }))
    this.#ranks.push(...ranks)
    return ranks
  }

  /** @param {'down' | 'up'} state */
  setLink(state) {
    this.#hosts.setLink(state)
  }

  dispose() {
    process.off('exit', this.#remove)
    for (const signal of this.#signals) process.off(signal, this.#leave)
    for (const rank of this.#ranks) if (rank.isRunning) rank.killGroup('SIGKILL')
    this.#hosts[Symbol.dispose]()
  }
}
