/** What a PromQL expression says of times and numbers, read by Prometheus's own grammar. */
import { parser } from '@prometheus-io/lezer-promql'
import { parseDuration } from '#kit/duration'

/** A number or duration as it stands in an expression. */
export interface Literal {
  readonly text: string
  /** `window`, `step` and `offset` are durations; a `threshold` is what is compared with; all else is a `number`. */
  readonly role: 'window' | 'step' | 'offset' | 'threshold' | 'number'
  readonly from: number
  readonly to: number
}

export interface Promql {
  readonly literals: readonly Literal[]
  /** Names of the series that it selects, recorded ones among them. */
  readonly metrics: readonly string[]
  readonly functions: readonly string[]
}

const strict = parser.configure({ strict: true })
const COMPARISONS = new Set(['Gtr', 'Gte', 'Lss', 'Lte', 'Eql', 'Neq'])
const DURATION_ROLES = { MatrixSelector: 'window', SubqueryExpr: 'window', OffsetExpr: 'offset' } as const

type Node = ReturnType<typeof strict.parse>['topNode']

/** @throws SyntaxError where it is not PromQL */
export function readPromql(promql: string): Promql {
  const literals: Literal[] = []
  const metrics = new Set<string>()
  const functions = new Set<string>()
  parse(promql)
    .cursor()
    .iterate(({ node }) => {
      const text = promql.slice(node.from, node.to)
      if (node.name.startsWith('NumberDurationLiteral')) literals.push({ text, role: roleOf(node), from: node.from, to: node.to })
      if (node.name === 'Identifier' && node.parent?.name === 'VectorSelector') metrics.add(text)
      if (node.name === 'FunctionIdentifier') functions.add(text)
    })
  return { literals, metrics: [...metrics], functions: [...functions] }
}

/** The expression with each literal as `edit` returns it; every other character stays. @throws SyntaxError, and what `edit` throws */
export function editLiterals(promql: string, edit: (literal: Literal) => string): string {
  let from = 0
  const parts = readPromql(promql).literals.map((literal) => {
    const before = promql.slice(from, literal.from)
    from = literal.to
    return before + edit(literal)
  })
  return parts.join('') + promql.slice(from)
}

/** Whether a literal is written as a duration, wherever it stands: `5m` is also a way to write the number 300. */
export function isDuration(text: string): boolean {
  try {
    parseDuration(text.replace(/^[+-]\s*/, ''))
    return true
  } catch {
    return false
  }
}

function parse(promql: string) {
  try {
    return strict.parse(promql)
  } catch (thrown) {
    throw new SyntaxError(`'${promql}' is not PromQL`, { cause: thrown })
  }
}

function roleOf(node: Node): Literal['role'] {
  const { parent } = node
  if (parent === null) return 'number'
  if (node.name === 'NumberDurationLiteral') return isComparison(parent) ? 'threshold' : 'number'
  const isSecond = parent.getChildren(node.name)[0]?.from !== node.from
  return isSecond ? 'step' : DURATION_ROLES[parent.name as keyof typeof DURATION_ROLES]
}

function isComparison({ name, firstChild }: Node): boolean {
  if (name !== 'BinaryExpr') return false
  for (let child = firstChild; child !== null; child = child.nextSibling) if (COMPARISONS.has(child.name)) return true
  return false
}
