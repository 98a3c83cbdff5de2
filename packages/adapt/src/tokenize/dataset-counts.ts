/** How much a dataset holds. */
export interface DatasetCounts {
  readonly numSamples: number
  /** Sum of the sample lengths: specials and the shared token of split documents included. */
  readonly numTokens: number
  /** Tokens to be predicted. */
  readonly numLabels: number
  readonly numDocuments: number
  /** Completions and chats that lost tokens at their right end. */
  readonly numTruncated: number
  /** Conversations among the documents. */
  readonly numChats: number
  /** Responses (runs of trained tokens) of completions and chats, before anything is cut off. */
  readonly numResponses: number
  /** Those of them that were cut off whole. */
  readonly numLostResponses: number
  /** Samples without any label (a prompt that fills the whole length). They train nothing. */
  readonly numUnlabelled: number
}

/** A dataset's counts as its own properties. */
export abstract class CountedDataset implements DatasetCounts {
  readonly numSamples: number
  readonly numTokens: number
  readonly numLabels: number
  readonly numDocuments: number
  readonly numTruncated: number
  readonly numChats: number
  readonly numResponses: number
  readonly numLostResponses: number
  readonly numUnlabelled: number

  constructor(counts: DatasetCounts) {
    this.numSamples = counts.numSamples
    this.numTokens = counts.numTokens
    this.numLabels = counts.numLabels
    this.numDocuments = counts.numDocuments
    this.numTruncated = counts.numTruncated
    this.numChats = counts.numChats
    this.numResponses = counts.numResponses
    this.numLostResponses = counts.numLostResponses
    this.numUnlabelled = counts.numUnlabelled
  }
}
