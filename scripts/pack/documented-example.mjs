/**
 * The code block that follows `<!-- example: NAME -->` in a Markdown text.
 * @returns {string}
 * @throws {Error} when the marker or a TypeScript block right after it is missing
 */
export function documentedExample(markdown, name) {
  const marker = `<!-- example: ${name} -->`
  const at = markdown.indexOf(marker)
  const block = at < 0 ? null : /^\s*```ts\n(.*?)^```$/ms.exec(markdown.slice(at + marker.length))
  if (block === null || block.index !== 0) throw new Error(`no block \`\`\`ts right after ${marker}`)
  return block[1]
}
