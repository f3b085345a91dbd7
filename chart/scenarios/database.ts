/** The service without its database: it says so, leaves the traffic, lives on, and comes back by itself. */
import {
  away,
  type Claim,
  containerOf,
  experiment,
  hasAllReady,
  hasReady,
  inSync,
  isFrom,
  LOAD_SOURCE,
  outageOf,
  podOf,
  type RecordedEvent,
  rolledOut,
  type Scenario,
  steadyLoad,
  sumMs,
  type TimingProfile,
  WORKLOAD_WATCHES,
  withContainer,
} from '#core'

const DATABASE = away({
  what: 'the database',
  ref: async () => ({ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'database', namespace: 'database' }),
  application: 'database',
})
const RATE_PER_S = 10
/** It writes what is in memory and ends; the service looks every second; two probes, two seconds apart, must fail. */
const outParts = { stops: 5_000, look: 2_000, readiness: 2 * 2_000 + 2_000, endpoints: 2_000 }
const backParts = ({ hpa }: TimingProfile) => ({ starts: 15_000, retry: 2_000, readiness: 2_000, endpoints: 2_000, told: hpa.podStartMs })

const answers503 = (event: RecordedEvent) => isFrom(LOAD_SOURCE, event) && (event.value.byStatus['503'] ?? 0) > 0

/** To start it again would help nobody: it is its database that is away. */
const nobodyRestarted: Claim = {
  name: 'no container was started anew',
  check({ events, before }) {
    const count = (pod: ReturnType<typeof podOf>) => containerOf(pod)?.restartCount ?? 0
    const restarts = new Map(before.filter(({ kind }) => kind === 'Pod').map((pod) => [pod.metadata.name, count(pod)]))
    const pods = events.flatMap((event) => podOf(event) ?? [])
    const more = pods.filter((pod) => count(pod) > (restarts.get(pod.metadata.name) ?? 0))
    if (pods.length === 0) return { outcome: 'no data', seen: 'no pod was seen' }
    return { outcome: more.length === 0 ? 'true' : 'false', seen: more.map(({ metadata }) => metadata.name).join(', ') || 'none' }
  },
}

export const databaseAway: Scenario = experiment({
  name: 'database-away',
  about: 'Takes the database away: the pods say so with 503, leave the traffic without being started anew, and are back soon after it.',
  steady: [inSync, rolledOut, DATABASE.there],
  watches: WORKLOAD_WATCHES,
  first: DATABASE.first,
  targets: DATABASE.targets,
  held: DATABASE.held,
  undo: DATABASE.undo,
  load: steadyLoad('database-away', { forMs: 45_000, ratePerS: RATE_PER_S }),
  fault: DATABASE.take,
  bite: { name: 'requests are answered with 503', matches: answers503 },
  noticed: { sights: [{ name: 'no pod takes traffic', matches: hasReady(0) }], within: () => ({ lowerMs: 1_000, partsMs: outParts }) },
  end: DATABASE.giveBack,
  healed: {
    sights: [{ name: 'as many pods as before take traffic', matches: (event, before) => hasAllReady(event, before) }],
    within: (timing) => ({ lowerMs: 500, partsMs: backParts(timing) }),
  },
  loss: (timing) => outageOf({ out: sumMs(outParts), back: sumMs(backParts(timing)) }, RATE_PER_S),
  limit: { failedShare: 0.95, forMs: 40_000 },
  claims: () => [nobodyRestarted],
  mutants: [withContainer('without-readiness', () => ({ readinessProbe: null }))],
})
