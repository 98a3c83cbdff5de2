import { createHash } from 'node:crypto'
import type { DocumentContent } from '../dataset/index.js'

/** The whole text of a record; a prompt and its completion, or all messages of a chat, are one text. */
export function contentText(content: DocumentContent): string {
  if (content.kind === 'text') return content.text
  if (content.kind === 'completion') return `${content.prompt}\n${content.completion}`
  return content.messages.map((message) => message.content).join('\n')
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
