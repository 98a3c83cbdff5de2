import ts from 'typescript'
import { maxFileLines, maxFunctionLines, oversized } from './rules.mjs'

/**
 * What is too long to be read at once in a source: the file, or a function in it.
 * @param {string} shown  path from the project
 * @param {string} text
 * @returns {string[]}
 */
export function sizeFaults(shown, text) {
  if (oversized.has(shown)) return []
  const faults = []
  const numLines = text.replace(/\n$/, '').split('\n').length
  if (numLines > maxFileLines) faults.push(`${shown}: ${numLines} lines, more than ${maxFileLines}: split it`)
  // A shorter file has no longer function.
  if (numLines <= maxFunctionLines) return faults
  const source = ts.createSourceFile(shown, text, ts.ScriptTarget.Latest, true)
  const visit = (node) => {
    if (ts.isFunctionLike(node) && node.body && !isDescribe(node)) {
      const first = source.getLineAndCharacterOfPosition(node.getStart()).line
      const length = source.getLineAndCharacterOfPosition(node.end).line - first + 1
      if (length > maxFunctionLines)
        faults.push(
          `${shown}:${first + 1}: a function of ${length} lines, more than ${maxFunctionLines}: split it`,
        )
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return faults
}

/** The body of `describe(...)` is a list of tests, not a function to be read at once. */
function isDescribe(node) {
  return ts.isCallExpression(node.parent) && /^describe\b/.test(node.parent.expression.getText())
}
