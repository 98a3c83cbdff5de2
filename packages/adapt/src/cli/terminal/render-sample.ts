import { printableText } from '../../dataset/index.js'
import type { TokenizedSample, Tokenizer } from '../../tokenize/index.js'

/** What stands before and after a run of trained tokens. */
export interface TrainedMark {
  readonly open: string
  readonly close: string
}

export const BRACKETS: TrainedMark = { open: '[[', close: ']]' }
export const GREEN: TrainedMark = { open: '\u001b[32m', close: '\u001b[39m' }

/**
 * The text of a sample, special tokens included, with its trained tokens marked. Control characters of the text
 * are escaped, line breaks and tabs are kept.
 */
export async function renderSample(
  sample: Pick<TokenizedSample, 'tokens' | 'labelMask'>,
  tokenizer: Pick<Tokenizer, 'decode'>,
  mark: TrainedMark,
): Promise<string> {
  const { tokens, labelMask } = sample
  const parts: string[] = []
  let before = ''
  for (let start = 0, end = 0; start < tokens.length; start = end) {
    const isTrained = labelMask[start] === 1
    while (end < tokens.length && (labelMask[end] === 1) === isTrained) end++
    // Runs are cut out of the decoded whole: a decoder treats the start of a text specially, and a character may
    // span several tokens.
    const decoded = await tokenizer.decode(tokens.subarray(0, end))
    const text = printableText(decoded.slice(commonLength(before, decoded)))
    before = decoded
    parts.push(isTrained && text !== '' ? `${mark.open}${text}${mark.close}` : text)
  }
  return parts.join('')
}

function commonLength(a: string, b: string): number {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return length
}
