/** The ranks that prepare together: all of them call the same of these in the same order. */
export interface PreparingRanks {
  readonly rank: number
  readonly worldSize: number
  /** Whether this is rank 0, which writes what there is once. */
  readonly isFirst: boolean
  /** What `work` gives on rank 0, as plain data, on every rank; none goes on before all are there. */
  fromFirst<T>(work: () => T | Promise<T>): Promise<T>
  /** Whether a rank says so. */
  any(flag: boolean): boolean | Promise<boolean>
}

/** A process that prepares without others. */
export const ALONE: PreparingRanks = {
  rank: 0,
  worldSize: 1,
  isFirst: true,
  fromFirst: async (work) => await work(),
  any: (flag) => flag,
}
