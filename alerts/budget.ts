/** The error budget of the service's objectives, by the series that the rules record: see rules/slo-fast.yaml. */
import type { Alerting, ErrorBudget } from '#core'
import { parseDuration, sped } from '#kit/duration'
import { type AskProm, promQuery } from '#kit/prom'

export interface Objective {
  readonly alert: string
  readonly says: string
  readonly allowedShare: number
  /** The recorded rate of requests that were bad by it. */
  readonly bad: string
}

export const OBJECTIVES: readonly Objective[] = [
  { alert: 'SloAvailabilityBurn', says: '99.9 % not answered with 5xx', allowedShare: 0.001, bad: 'service:errors:rate' },
  { alert: 'SloLatencyBurn', says: '99 % answered within 0.5 s', allowedShare: 0.01, bad: 'service:slow_requests:rate' },
]
/** What the objectives speak of. */
const PERIOD = '30d'

export const budgets: Alerting['budgets'] = async (cluster, { environment, timing, windowMs }) => {
  const ask: AskProm = (path, init) => cluster.fetch('prometheus', path, init)
  const over = (series: string) => `sum_over_time(${series}{namespace="${environment}"}[${Math.ceil(windowMs / 1000)}s])`
  const read = async ({ says, allowedShare, bad }: Objective): Promise<ErrorBudget> => {
    const [share] = await promQuery(ask, `${over(bad)} / (${over('service:requests:rate')} > 0)`)
    return { objective: says, badShare: share?.value, allowedShare, periodMs: parseDuration(sped(PERIOD, timing.speedup)) }
  }
  return Promise.all(OBJECTIVES.map(read))
}
