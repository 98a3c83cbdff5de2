/**
 * A token and whether it is to be predicted, in one int32: the id where it is, `~id` (negative) where it is context.
 */
export function markedToken(id: number, isTrained: boolean): number {
  return isTrained ? id : ~id
}

/** The id of a marked token. */
export function idOfToken(token: number): number {
  return token < 0 ? ~token : token
}

/** Whether a marked token is to be predicted. */
export function isLabel(token: number): boolean {
  return token >= 0
}

/** Marks the tokens of [start, end) as context, in place. */
export function markContext(tokens: Int32Array, start: number, end: number): void {
  for (let i = start; i < end; i++) tokens[i] = markedToken(idOfToken(tokens[i]!), false)
}

/** Starts of the runs of labels. */
export function labelRuns(tokens: Int32Array): readonly number[] {
  const starts: number[] = []
  for (let i = 0; i < tokens.length; i++) {
    if (isLabel(tokens[i]!) && (i === 0 || !isLabel(tokens[i - 1]!))) starts.push(i)
  }
  return starts
}
