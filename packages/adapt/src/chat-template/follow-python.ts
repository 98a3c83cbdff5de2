/** A node of the library's syntax tree; its own types are not exported. */
interface Node {
  type: string
  [key: string]: unknown
}

/** Names of the functions that rewritten expressions call; `template-functions.ts` has them. */
export const STRIP = 'adapt_strip__'
export const EQUALS = 'adapt_equals__'
export const LENGTH = 'adapt_length__'
export const SEARCH = 'adapt_search__'

const STRIPS = ['strip', 'lstrip', 'rstrip']
/** Methods of lists and texts that say where, or how often, something is in them. */
const SEARCHES = ['index', 'find', 'count']

/** A node around an `expression` that is looped over. */
export const LOOPED = 'AdaptLooped'
/** A node around an `expression` that becomes text, as Python's `str` makes it. */
export const WRITTEN = 'AdaptWritten'
/** A filter (`name`, `operand`, `args`) that writes text as Python does. */
export const WRITING_FILTER = 'AdaptWritingFilter'

/** Keys of nodes whose statements are written one after the other. */
const BLOCKS = ['body', 'alternate', 'defaultBlock']
/** Statements that write nothing of what they evaluate to, or text already. */
const NO_EXPRESSIONS = [
  'Program',
  'If',
  'For',
  'Break',
  'Continue',
  'Set',
  'Macro',
  'CallStatement',
  'FilterStatement',
  'Comment',
]
/** Filters that make text of any value first. */
const TEXT_FILTERS = ['trim', 'upper', 'lower', 'title', 'capitalize', 'replace']
/** Filters that write a value, or the values of a list, as text. */
const WRITING_FILTERS = ['tojson', 'string', 'join', 'regex_replace']

/**
 * Rewrites a syntax tree, in place, where the library would silently render another text than Python's Jinja:
 *
 * - What is no text is written in Python's notation: by itself, joined with `~`, and by filters for text such as `trim`.
 * - A loop over what is not defined has no turns; the library ends there.
 * - `tojson` writes numbers and text as Python's `json.dumps`, with all of its arguments.
 * - A variable set in a loop is forgotten at its next turn; the library keeps it.
 * - `break` and `continue` keep what the turn has written so far; the library drops it.
 * - `strip`, `lstrip`, `rstrip` and `trim` take characters to strip; the library ignores them.
 * - `index`, `find` and `count` of lists and texts; the library has none of them.
 * - `length` of a text counts characters; the library counts UTF-16 units.
 * - `==` compares lists and mappings by content and never takes text for a number; the library does as JavaScript.
 */
export function followPython(program: object): void {
  new PythonRules().rewrite(program)
}

class PythonRules {
  private numLoops = 0

  rewrite(value: unknown): void {
    if (Array.isArray(value)) {
      for (const item of value) this.rewrite(item)
    } else if (value instanceof Map) {
      for (const [key, item] of value) {
        this.rewrite(key)
        this.rewrite(item)
      }
    } else if (isNode(value)) {
      for (const [key, child] of Object.entries(value)) {
        this.rewrite(child)
        if (Array.isArray(child) && child.some((item) => isNode(item) && item.type === 'For')) {
          value[key] = child.flatMap((item: Node) => (item.type === 'For' ? this.rewriteLoop(item) : [item]))
        }
        if (Array.isArray(child) && BLOCKS.includes(key)) {
          value[key] = (value[key] as Node[]).map((item) =>
            NO_EXPRESSIONS.includes(item.type) ? item : written(item),
          )
        }
      }
      rewriteExpression(value)
    }
  }

  /** The loop with what has to be set before it. Loops inside it are rewritten already. */
  private rewriteLoop(loop: Node): Node[] {
    const id = this.numLoops++
    const body = loop.body as Node[]
    const before: Node[] = []
    // So that a turn of an empty loop counts as a step of the budget, too.
    const atTurn: Node[] = [{ type: 'Comment', value: '' }]
    const own = namesOf(loop.loopvar as Node)
    const iterable = loop.iterable as Node
    if (iterable.type === 'SelectExpression') iterable.lhs = around(LOOPED, iterable.lhs as Node)
    else loop.iterable = around(LOOPED, iterable)
    for (const name of new Set(body.flatMap(namesSetIn))) {
      if (own.includes(name)) continue
      const kept = `${name}@${id}`
      before.push(set(kept, identifier(name)))
      atTurn.push(set(name, identifier(kept)))
    }
    if (body.some(leavesTurn)) {
      const isDone = `done@${id}`
      const isOver = `over@${id}`
      before.push(set(isOver, integer(0)))
      atTurn.push(set(isDone, identifier(isOver)))
      loop.body = [...atTurn, unless(isDone, withoutJumps(body, isDone, isOver))]
    } else {
      loop.body = [...atTurn, ...body]
    }
    return [...before, loop]
  }
}

/** Statements that do the same without `break` and `continue`: what follows one stands behind a condition. */
function withoutJumps(statements: readonly Node[], isDone: string, isOver: string): Node[] {
  const first = statements.findIndex(leavesTurn)
  if (first < 0) return [...statements]
  const jump = statements[first]!
  const done = set(isDone, integer(1))
  if (jump.type === 'Continue') return [...statements.slice(0, first), done]
  if (jump.type === 'Break') return [...statements.slice(0, first), done, set(isOver, integer(1))]
  jump.body = withoutJumps(jump.body as Node[], isDone, isOver)
  jump.alternate = withoutJumps(jump.alternate as Node[], isDone, isOver)
  const rest = withoutJumps(statements.slice(first + 1), isDone, isOver)
  return [...statements.slice(0, first + 1), unless(isDone, rest)]
}

function leavesTurn(statement: Node): boolean {
  if (statement.type === 'Break' || statement.type === 'Continue') return true
  return statement.type === 'If' && branches(statement).some(leavesTurn)
}

/** Names that a statement of a loop's body sets in the scope of the loop. */
function namesSetIn(statement: Node): string[] {
  if (statement.type === 'Set') return namesOf(statement.assignee as Node)
  return statement.type === 'If' ? branches(statement).flatMap(namesSetIn) : []
}

function branches(statement: Node): Node[] {
  return [...(statement.body as Node[]), ...(statement.alternate as Node[])]
}

/** Names that an assignment to `target` binds; none for an attribute of a namespace. */
function namesOf(target: Node): string[] {
  if (target.type === 'Identifier') return [target.value as string]
  return target.type === 'TupleLiteral' ? (target.value as Node[]).flatMap(namesOf) : []
}

function rewriteExpression(node: Node): void {
  if (node.type === 'CallExpression') {
    const callee = node.callee as Node
    const name = (callee.property as Node | undefined)?.value
    if (callee.type === 'MemberExpression' && callee.computed === false && STRIPS.includes(name as string)) {
      becomeCall(node, STRIP, [text(name as string), callee.object as Node, ...(node.args as Node[])])
    } else if (
      callee.type === 'MemberExpression' &&
      callee.computed === false &&
      SEARCHES.includes(name as string)
    ) {
      becomeCall(node, SEARCH, [text(name as string), callee.object as Node, ...(node.args as Node[])])
    }
  } else if (node.type === 'FilterExpression') {
    const filter = node.filter as Node
    const args = filter.type === 'CallExpression' ? (filter.args as Node[]) : []
    const name = filter.type === 'CallExpression' ? (filter.callee as Node).value : filter.value
    if (TEXT_FILTERS.includes(name as string)) node.operand = written(node.operand as Node)
    if (name === 'trim') becomeCall(node, STRIP, [text('strip'), node.operand as Node, ...args])
    if (WRITING_FILTERS.includes(name as string)) {
      Object.assign(node, { type: WRITING_FILTER, name, args })
    }
    if (name === 'length') becomeCall(node, LENGTH, [node.operand as Node])
  } else if (node.type === 'BinaryExpression') {
    const operator = (node.operator as { value: string }).value
    if (operator === '==' || operator === '!=') {
      becomeCall(node, EQUALS, [text(operator), node.left as Node, node.right as Node])
    } else if (operator === '~') {
      node.left = written(node.left as Node)
      node.right = written(node.right as Node)
    }
  }
}

function becomeCall(node: Node, name: string, args: Node[]): void {
  Object.assign(node, { type: 'CallExpression', callee: identifier(name), args })
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Node>).type === 'string'
}

const identifier = (value: string): Node => ({ type: 'Identifier', value })
const integer = (value: number): Node => ({ type: 'IntegerLiteral', value })
const text = (value: string): Node => ({ type: 'StringLiteral', value })
/** Of the library's own class of nodes, because it looks into no others for what a macro uses. */
const around = (type: string, expression: Node): Node =>
  Object.assign(Object.create(Object.getPrototypeOf(expression)), { type, expression })
const written = (expression: Node): Node =>
  expression.type === 'StringLiteral' ? expression : around(WRITTEN, expression)
const set = (name: string, value: Node): Node => ({
  type: 'Set',
  assignee: identifier(name),
  value,
  body: [],
})
const unless = (name: string, body: Node[]): Node => ({
  type: 'If',
  test: {
    type: 'UnaryExpression',
    operator: { type: 'UnaryOperator', value: 'not' },
    argument: identifier(name),
  },
  body,
  alternate: [],
})
