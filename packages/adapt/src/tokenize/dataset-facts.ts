import type { DataNotes } from './data-notes.js'

import type { DatasetCounts } from './dataset-counts.js'

/** The facts of a dataset that are the same for all samples; kept as `meta.json` in the cache. */
export interface DatasetFacts extends DatasetCounts {
  readonly vocabSize: number
  readonly sources: readonly string[]
  /** Names of the data files. */
  readonly paths: readonly string[]
  /** Absent in caches of earlier versions, and where nothing was read from files. */
  readonly notes?: DataNotes
}
