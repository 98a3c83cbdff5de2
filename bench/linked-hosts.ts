import { execFileSync, spawnSync } from 'node:child_process'

const FIRST_ADDRESS = '10.213.77.1'
const SECOND_ADDRESS = '10.213.77.2'

const run = (...command: [string, ...string[]]) =>
  execFileSync(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })

/** Why no {@link LinkedHosts} can be made here; undefined where they can. */
export function canMakeNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root'
  for (const tool of ['ip', 'tc'])
    if (spawnSync(tool, ['-V'], { stdio: 'ignore' }).status !== 0) return `needs ${tool} (iproute2)`
  const probe = spawnSync('ip', ['netns', 'add', `adapt-probe-${process.pid}`], { encoding: 'utf8' })
  if (probe.status !== 0) return probe.stderr.trim()
  run('ip', 'netns', 'delete', `adapt-probe-${process.pid}`)
  return undefined
}

/** Two hosts of Linux network namespaces, joined by a link of a given rate both ways. Disposing removes them. */
export class LinkedHosts {
  /** Of the first host. */
  readonly address = FIRST_ADDRESS
  private readonly names = [0, 1].map((i) => `adapt-${process.pid}-${i}`)

  /** @param rate  As `tc` takes it: 1gbit. */
  constructor(rate: string) {
    const [first, second] = this.names as [string, string]
    for (const name of this.names) run('ip', 'netns', 'add', name)
    run(
      'ip',
      'link',
      'add',
      'wire0',
      'netns',
      first,
      'type',
      'veth',
      'peer',
      'name',
      'wire1',
      'netns',
      second,
    )
    for (const [i, name] of this.names.entries()) {
      const inside = (...command: string[]) => run('ip', 'netns', 'exec', name, ...command)
      inside('ip', 'address', 'add', `${[FIRST_ADDRESS, SECOND_ADDRESS][i]}/24`, 'dev', `wire${i}`)
      inside('ip', 'link', 'set', `wire${i}`, 'up')
      inside('ip', 'link', 'set', 'lo', 'up')
      inside(
        'tc',
        'qdisc',
        'add',
        'dev',
        `wire${i}`,
        'root',
        'tbf',
        'rate',
        rate,
        'burst',
        '256kb',
        'latency',
        '100ms',
      )
    }
  }

  /** What a command for a rank begins with. */
  prefixOf(rank: number): string[] {
    return ['ip', 'netns', 'exec', this.names[rank]!]
  }

  interfaceOf(rank: number): string {
    return `wire${rank}`
  }

  /** By the first host, as its interface has counted them. */
  bytesSent(): number {
    return Number(
      run('ip', 'netns', 'exec', this.names[0]!, 'cat', '/sys/class/net/wire0/statistics/tx_bytes'),
    )
  }

  /** Takes the link away, or gives it back. */
  setLink(state: 'down' | 'up'): void {
    run('ip', '-netns', this.names[0]!, 'link', 'set', this.interfaceOf(0), state)
  }

  [Symbol.dispose](): void {
    for (const name of this.names) spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' })
  }
}
