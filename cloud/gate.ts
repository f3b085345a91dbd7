/** A plan in brief, and what it must never do: replace the cluster or the database, with all that is in them. */
import { styleText } from 'node:util'
import { UserError } from '#kit/errors'
import type { Effect, PlanJson, ResourceChange } from './plan.ts'
import { effectsOf } from './plan.ts'
import { type Estimate, estimateOf, renderEstimate } from './prices.ts'

/** Whoever replaces one of these starts anew without its data. */
const IRREPLACEABLE = new Set(['aws_eks_cluster', 'aws_db_instance'])

export interface Brief {
  readonly counts: Readonly<Record<Effect, number>>
  /** The addresses that are changed, replaced or destroyed. */
  readonly touched: readonly { readonly effect: Effect; readonly address: string; readonly because: readonly string[] }[]
  readonly refused: readonly string[]
  readonly cost: Estimate
}

/** @param region whose prices hold */
export function briefOf(plan: PlanJson, region: string): Brief {
  const effects = effectsOf(plan)
  const names = ['made', 'changed', 'replaced', 'destroyed'] as const
  const counts = Object.fromEntries(names.map((effect) => [effect, effects[effect].length])) as Brief['counts']
  const touched = (['changed', 'replaced', 'destroyed'] as const).flatMap((effect) =>
    effects[effect].map((change) => ({ effect, address: change.address, because: becauseOf(change) })),
  )
  const lost = [...effects.replaced, ...effects.destroyed].filter((change) => IRREPLACEABLE.has(change.type) && !wasNeverWhole(change))
  const after = (plan.resource_changes ?? []).flatMap(({ type, mode, change }) =>
    mode === 'managed' && change.after !== null ? [{ type, values: change.after }] : [],
  )
  return { counts, touched, refused: lost.map(({ address }) => address), cost: estimateOf(after, region) }
}

/** Its making failed or was interrupted, so nothing is in it. */
const wasNeverWhole = ({ action_reason }: ResourceChange) => action_reason === 'replace_because_tainted'

const becauseOf = ({ change }: ResourceChange) => (change.replace_paths ?? []).map((path) => path.join('.'))

/** Lines for a person. */
export function renderBrief({ counts, touched, refused, cost }: Brief, stream: NodeJS.WriteStream = process.stderr): string {
  const summary = Object.entries(counts).map(([effect, count]) => `${count} ${effect}`)
  const red = (text: string) => styleText('red', text, { stream })
  return [
    `Plan: ${summary.join(', ')}`,
    ...touched.map(({ effect, address, because }) => {
      const line = `  ${effect} ${address}${because.length === 0 ? '' : ` (${because.join(', ')})`}`
      return refused.includes(address) || effect === 'replaced' ? red(line) : line
    }),
    ...renderEstimate(cost),
  ].join('\n')
}

/** @throws UserError where the plan takes the cluster or the database away */
export function refuseLoss({ refused }: Brief): void {
  if (refused.length === 0) return
  throw new UserError({
    what: 'Cannot apply the plan',
    why: `it replaces or destroys ${refused.join(' and ')}, with all that is in it`,
    next: 'Take the change back, or move to a new environment and remove this one with npm run cloud:down',
  })
}
