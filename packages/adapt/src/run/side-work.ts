/**
 * What a run does besides the model: evaluations, the report, its heartbeat. One rule for all of it: what is not the model
 * never ends the training of the model. A failure is told, and remembered until the same work succeeds, so that the run can end
 * with it when something is still missing then.
 */
export class SideWork {
  private readonly failures = new Map<string, unknown>()

  /** @param onFailure  Told once of failures in a row that say the same. */
  constructor(private readonly onFailure: (work: string, message: string) => void) {}

  /** The result, or undefined when the work failed, whatever for. */
  async attempt<T>(work: string, action: () => Promise<T>): Promise<T | undefined> {
    try {
      const result = await action()
      this.failures.delete(work)
      return result
    } catch (error) {
      return this.note(work, error)
    }
  }

  /** The same of work that is done at once. */
  attemptNow(work: string, action: () => void): void {
    try {
      action()
      this.failures.delete(work)
    } catch (error) {
      this.note(work, error)
    }
  }

  private note(work: string, error: unknown): undefined {
    const earlier = this.failures.get(work)
    this.failures.set(work, error)
    if (messageOf(error) !== messageOf(earlier)) this.onFailure(work, messageOf(error))
  }

  /** The error of the last attempt, when it failed. */
  failure(work: string): unknown {
    return this.failures.get(work)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error)
}
