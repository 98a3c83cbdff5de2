// biome-ignore-start lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
// C0 and C1 controls, line and paragraph separators, and the characters that reorder or hide text.
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}/gu
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.

/**
 * Makes text of unknown origin safe to print on a terminal or in a log: control, bidirectional and
 * invisible characters appear as `\u{hex}`, and what is longer than `maxLength` UTF-16 units is cut with `...`.
 */
export function printable(text: string, maxLength = 200): string {
  const cut = text.length > maxLength ? text.slice(0, maxLength) : text
  const escaped = escapeUnsafe(cut, showCode)
  return cut.length < text.length ? `${escaped}...` : escaped
}

/** Like {@link printable} for a text of several lines: line breaks and tabs stay, nothing is cut. */
export function printableText(text: string): string {
  return escapeUnsafe(text, (c) => (c === '\n' || c === '\t' ? c : showCode(c)))
}

/** The text with every character that is not safe to print replaced. */
export function escapeUnsafe(text: string, replace: (character: string) => string): string {
  return text.replace(UNSAFE, replace)
}

function showCode(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`
}
