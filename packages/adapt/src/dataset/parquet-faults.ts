/** What a Parquet file does that is not read; the message says it in a few words. */
export class ParquetUnsupported extends Error {}

/** Stands for a value that cannot be used, so that only its row is bad. */
export class BadValue {
  constructor(
    readonly code: string,
    readonly problem: string,
  ) {}
}
