export type SafetensorsErrorCode =
  | 'SAFETENSORS_NOT_A_FILE'
  | 'SAFETENSORS_LENGTH'
  | 'SAFETENSORS_HEADER'
  | 'SAFETENSORS_UTF8'
  | 'SAFETENSORS_DUPLICATE_KEY'
  | 'SAFETENSORS_DTYPE'
  | 'SAFETENSORS_NUMBER'
  | 'SAFETENSORS_SHAPE'
  | 'SAFETENSORS_OFFSETS'
  | 'SAFETENSORS_METADATA'
  | 'SAFETENSORS_TOO_MANY'

/** A safetensors file that is damaged or was made to mislead. */
export class SafetensorsError extends Error {
  readonly code: SafetensorsErrorCode
  readonly context: Readonly<Record<string, unknown>>

  constructor(code: SafetensorsErrorCode, message: string, context: Readonly<Record<string, unknown>> = {}) {
    super(message)
    this.name = 'SafetensorsError'
    this.code = code
    this.context = context
  }
}

/** A key that stands twice. */
export function duplicate(key: string): SafetensorsError {
  return new SafetensorsError(
    'SAFETENSORS_DUPLICATE_KEY',
    `expected every key once, found ${quote(key)} again`,
    { key },
  )
}

/** Names come from the file: shortened, and with controls escaped, before they reach a terminal. */
export function quote(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 80)}...` : text
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
