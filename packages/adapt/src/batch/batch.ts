/** One micro-batch. Letters: B rows, T positions, S samples (segments). All arrays are row-major [B, T]. */
export interface Batch {
  /** B */
  readonly rows: number
  /** T */
  readonly length: number
  /** Token ids; `padId` on padding. */
  readonly tokens_BT: Int32Array
  /** The id that position t must predict (that of t + 1, already shifted); -100 where nothing is predicted. */
  readonly labels_BT: Int32Array
  /** Index into `samples`, counted over the whole micro-batch; -1 on padding. */
  readonly segment_BT: Int32Array
  /** Starts at 0 in each segment; 0 on padding. */
  readonly position_BT: Int32Array
  /** S entries, in order of first appearance. */
  readonly samples: readonly BatchSample[]
}

/** What a batch knows of one of its samples. */
export interface BatchSample {
  /** Index in the dataset. */
  readonly index: number
  readonly id: string
  readonly source: string
  /** Static weight of the record. */
  readonly weight: number
  readonly numTokens: number
  readonly numLabels: number
}

/** Label of a position that predicts nothing. */
export const IGNORED_LABEL = -100
