/**
 * Prints what the set-up does and adds up how long it took, downloads apart from building,
 * because the first depends on the network and only the second on this project.
 * @param {{ quiet?: boolean, write?: (text: string) => void }} [options]
 */
export function createProgress({ quiet = false, write = (text) => process.stdout.write(text) } = {}) {
  const startedMs = performance.now()
  const finished = { download: [], build: [] }
  const line = (text) => {
    if (!quiet) write(`${text}\n`)
  }
  return {
    line,
    /** Shown even with --quiet. */
    warn: (text) => write(`warning: ${text}\n`),
    /** Runs `work` and books its time under `kind`, 'download' or 'build'. */
    async timed(kind, label, work) {
      const beganMs = performance.now()
      const result = await work()
      finished[kind].push({ label, seconds: (performance.now() - beganMs) / 1000 })
      return result
    },
    summary() {
      const seconds = (performance.now() - startedMs) / 1000
      if (finished.download.length + finished.build.length === 0) {
        return `Set-up is up to date (${formatSeconds(seconds)}).`
      }
      return `Set-up done in ${formatSeconds(seconds)}: ${describe('downloads', finished.download)}; ${describe('build', finished.build)}.`
    },
  }
}

function describe(name, parts) {
  if (parts.length === 0) return `${name} none`
  const total = parts.reduce((sum, part) => sum + part.seconds, 0)
  return `${name} ${formatSeconds(total)} (${parts.map((part) => `${part.label} ${formatSeconds(part.seconds)}`).join(', ')})`
}

export function formatSeconds(seconds) {
  return seconds < 10 ? `${seconds.toFixed(seconds < 1 ? 2 : 1)} s` : `${Math.round(seconds)} s`
}
