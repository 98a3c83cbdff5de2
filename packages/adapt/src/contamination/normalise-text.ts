import { createHash } from 'node:crypto'
import type { DocumentContent } from '../dataset/index.js'

/** The whole text of a record; a prompt and its completion are one text. */
export function contentText(content: DocumentContent): string {
  return content.kind === 'text' ? content.text : `${content.prompt}\n${content.completion}`
}

/**
 * Hash (hex, 128 bits of SHA-256) of a text in Unicode form C, lower case and with single spaces: equal for texts
 * that differ in capitals and white space only. Undefined for a blank text.
 */
export function contentHash(text: string): string | undefined {
  const normalised = text.normalize('NFC').toLowerCase().replace(/\s+/gu, ' ').trim()
  if (normalised === '') return undefined
  return createHash('sha256').update(normalised).digest('hex').slice(0, 32)
}
