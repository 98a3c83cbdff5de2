import { readProcessArguments, readProcessStat } from '../run-folder/index.js'

/** Least time between two looks at the parents. */
const LOOK_MS = 500
/** A shell's way to leave what it starts behind: a lone `&`, or a command that cuts the tie. */
const LEFT_BEHIND = /(^|[^&>])&(?![&>\d])|\b(nohup|setsid|disown)\b/
const RUNNER = /(^|\/)(npm|npx|pnpm|yarn|bun)(\b|$)|npm-cli\.js|npx-cli\.js/

/**
 * The `npx` or `npm run` that this process was started by, and the shell that npm puts between. They do not hand every
 * signal on: one that is sent to npm alone ends npm and leaves us behind, training for nobody. So we notice when they are gone.
 *
 * Only for a process that npm waits for. One that was started by another program, or left behind on purpose (`&`, nohup,
 * setsid), is not watched: it goes on whatever becomes of who started it.
 */
export class NpmParent {
  private nextLook = 0
  private gone = false

  private constructor(
    private readonly chain: readonly number[],
    /** npm, or `adapt launch`, which hands every signal on. */
    readonly kind: 'npm' | 'launcher' = 'npm',
  ) {}

  /** Undefined for a process that npm did not start, or does not wait for, and where there is no `/proc`. */
  static find(env: NodeJS.ProcessEnv = process.env): NpmParent | undefined {
    if (env.ADAPT_LAUNCHER_PID === String(process.ppid)) return new NpmParent([process.ppid], 'launcher')
    if (env.npm_lifecycle_event === undefined || LEFT_BEHIND.test(env.npm_lifecycle_script ?? '')) {
      return undefined
    }
    const own = readProcessStat(process.pid)
    const parent = readProcessStat(process.ppid)
    if (own === undefined || parent === undefined || own.session !== parent.session) return undefined
    const isShell = readProcessArguments(process.ppid)[1] === '-c'
    const chain = [process.ppid, ...(isShell ? [parent.parent] : [])]
    const runner = readProcessArguments(chain.at(-1)!).slice(0, 2).join(' ')
    return RUNNER.test(runner) ? new NpmParent(chain) : undefined
  }

  /** Whether one of them has ended since. */
  get isGone(): boolean {
    const now = performance.now()
    if (this.gone || now < this.nextLook) return this.gone
    this.nextLook = now + LOOK_MS
    const [parent, runner] = this.chain
    this.gone =
      process.ppid !== parent || (runner !== undefined && readProcessStat(parent!)?.parent !== runner)
    return this.gone
  }
}
