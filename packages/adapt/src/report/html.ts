/** Markup that is safe to put into a page as it is. Only `html` makes it from foreign text. */
export class Html {
  readonly markup: string

  constructor(markup: string) {
    this.markup = markup
  }
}

type HtmlValue = Html | readonly Html[] | string | number

/** Template tag: text and numbers are escaped, `Html` is taken over. */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let markup = strings[0]!
  values.forEach((value, i) => {
    markup += toMarkup(value) + strings[i + 1]!
  })
  return new Html(markup)
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** For element content and quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character]!)
}

/**
 * Text with the characters made visible that change how the rest of a page reads, or that a reader cannot see:
 * controls (but line feed and tab), line separators, the marks that reverse the direction of writing, and the
 * invisible ones (soft hyphen, zero-width space, word joiner, tag characters). Joiners inside words and emoji stay.
 */
export function visibleText(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/gu,
    (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`,
  )
}

/** JSON for a `<script type="application/json">`: nothing in it can end the element. Non-finite numbers are null. */
export function embedJson(value: unknown): Html {
  const json = JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return new Html(json)
}

function toMarkup(value: HtmlValue): string {
  if (value instanceof Html) return value.markup
  if (typeof value === 'object') return value.map((part) => part.markup).join('')
  return escapeHtml(String(value))
}
