import { readFileSync } from 'node:fs'

/** Templates that come with the package, each in `templates/<name>.jinja`. */
export const SHIPPED_TEMPLATES = [
  'chatml',
  'chatml-generation',
  'gemma',
  'llama-2',
  'llama-3',
  'mistral',
  'phi',
  'zephyr',
] as const

/** The text of a shipped template; undefined for any other name. */
export function shippedTemplate(name: string): string | undefined {
  const isShipped = (SHIPPED_TEMPLATES as readonly string[]).includes(name)
  // The same path from src/ and from dist/.
  const file = new URL(`../../templates/${name}.jinja`, import.meta.url)
  return isShipped ? readFileSync(file, 'utf8') : undefined
}
