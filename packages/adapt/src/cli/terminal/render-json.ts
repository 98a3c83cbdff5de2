import { escapeUnsafe } from '../../dataset/printable.js'

/** A value as JSON that is the same value to every reader, without a character that steers or misleads a terminal. */
export function renderJson(value: unknown): string {
  return escapeJson(JSON.stringify(value, null, 2))
}

/** The same for JSON text. */
export function escapeJson(text: string): string {
  return escapeUnsafe(text, (unit) =>
    // Of these only the layout stands outside strings.
    unit === '\n' ? unit : `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
