/** A list of failures with a count of what was tried. */
export class Tally {
  count = 0
  /** @type {string[]} */
  failures = []

  /** Books one case. @param {string | undefined | false} problem what is wrong with it, if anything */
  add(name, problem) {
    this.count++
    if (problem) this.failures.push(`${name}: ${problem}`)
    return !problem
  }

  /** "n of m" without failures. */
  get share() {
    return `${this.count - this.failures.length} of ${this.count}`
  }
}

export const seconds = (ms) => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`
