/** What watches is away, or what it is watched through: Prometheus, Alertmanager, the cluster's DNS. The service serves all the while. */
import {
  type Absence,
  type Act,
  away,
  ENVIRONMENT,
  type Experiment,
  experiment,
  freshPods,
  hasAllReady,
  inSync,
  isFrom,
  LOAD_SOURCE,
  neverEnds,
  outageOf,
  podRefs,
  type RecordedEvent,
  rolledOut,
  type Scenario,
  type Sight,
  type StartLoad,
  steadyLoad,
  sumMs,
  type TimingProfile,
  WORKLOAD_WATCHES,
} from '#core'
import type { ListRef, ObjectRef } from '#kit/kube'
import { MONITORING_NAMESPACE } from '../operator/part.ts'
import { alertTiming } from '../rules.ts'
import { errorRate, errorsFor } from './error-rate.ts'
import { ARRIVED, afterClean, observesOf, oneOfEach, steadyOf } from './lifecycle.ts'
import { ruleWith, sinkAway } from './mutants.ts'
import {
  alertStates,
  beating,
  heartbeat,
  inState,
  isAlive,
  isMessage,
  isState,
  messages,
  quiet,
  type Sighted,
  silenceMs,
} from './observers.ts'
import { ALERTMANAGER, POD as ALERTMANAGER_POD, answering } from './restart.ts'

const RATE_PER_S = 10
/** An operator sees that it is to make none, and the pod writes down what it knows. */
const STOPS_MS = 15_000
const STARTS_MS = 30_000
const TOLD_MS = 2_000
const DELIVERY_MS = 5_000

const isGone =
  ({ kind, name }: Pick<ObjectRef, 'kind' | 'name'>) =>
  (event: RecordedEvent) =>
    event.type === 'DELETED' && event.object.kind === kind && event.object.metadata.name === name
const PODS: ListRef = { apiVersion: 'v1', kind: 'Pod', namespace: MONITORING_NAMESPACE }

const silent: Sight = { name: 'the dead man’s switch misses the heartbeat', matches: isAlive(false) }

/** The parts of an experiment that takes something away. */
const takesAway = ({ first, take, giveBack, undo, targets, held }: Absence) =>
  ({ first, fault: take, end: giveBack, undo, targets, held, isExtra: true }) satisfies Partial<Experiment>

// ── prometheus-down ─────────────────────────────────────────────────────────────────────────────────────────────────

const PROMETHEUS_REF: ObjectRef = { ...ALERTMANAGER, kind: 'Prometheus', name: 'prometheus' }
const PROMETHEUS = away({ what: 'Prometheus', ref: async () => PROMETHEUS_REF, application: 'prometheus' })

/** Whoever keeps the switch down, by whatever means, makes it worthless. */
const beatsFromElsewhere = {
  name: 'beats-from-elsewhere',
  expect: 'violated',
  holdMs: 60_000,
  break: async ({ cluster }) => ({
    async apply() {
      const alert = { labels: { alertname: 'Watchdog', severity: 'none' }, endsAt: new Date(Date.now() + 120_000).toISOString() }
      const headers = { 'content-type': 'application/json' }
      const answer = await cluster.fetch('alertmanager', '/api/v2/alerts', { method: 'POST', headers, body: JSON.stringify([alert]) })
      if (!answer.ok) throw new Error(`Alertmanager answered ${answer.status}`)
    },
    // It ends by itself.
    undo: [],
  }),
} satisfies Experiment['mutants'][number]

export const prometheusDown: Scenario = experiment({
  ...takesAway(PROMETHEUS),
  name: 'prometheus-down',
  about:
    'Takes Prometheus away: no rule is evaluated and no alert can fire, so its heartbeat stops, and the receiver outside misses it; it is back, and the heartbeat too.',
  asks: ['prometheus', 'alertmanager', 'sink'],
  steady: [inSync, rolledOut, PROMETHEUS.there, beating],
  watches: [PODS],
  observes: [heartbeat],
  load: steadyLoad('prometheus-down', { forMs: 80_000, ratePerS: RATE_PER_S }),
  bite: { name: 'its pod is gone', matches: isGone({ kind: 'Pod', name: 'prometheus-prometheus-0' }) },
  noticed: {
    sights: [silent],
    within: (timing) => ({
      lowerMs: silenceMs(timing) / 2,
      // Alertmanager goes on telling of an alert until the end that Prometheus has named.
      partsMs: { stops: STOPS_MS, 'named end': alertTiming(timing, 'Watchdog').endsMs, silence: silenceMs(timing), told: TOLD_MS },
    }),
  },
  healed: {
    sights: [{ name: 'the heartbeat is heard again', matches: isAlive(true) }],
    within: (timing) => {
      const { scrapeMs, evaluationMs, groupIntervalMs } = alertTiming(timing, 'Watchdog')
      return {
        lowerMs: 1_000,
        partsMs: { starts: STARTS_MS, scrape: scrapeMs, evaluation: evaluationMs, group_interval: groupIntervalMs, delivery: DELIVERY_MS },
      }
    },
  },
  mutants: [beatsFromElsewhere],
})

// ── alertmanager-down ───────────────────────────────────────────────────────────────────────────────────────────────

const ALERTMANAGER_AWAY = away({ what: 'Alertmanager', ref: async () => ALERTMANAGER, application: 'alertmanager' })

export const alertmanagerDown: Scenario = experiment({
  ...takesAway(ALERTMANAGER_AWAY),
  name: 'alertmanager-down',
  about:
    'Takes Alertmanager away before an alert fires: the heartbeat stops; it is back, and the alert is delivered once, and its end once.',
  asks: ['prometheus', 'alertmanager', 'sink'],
  steady: [...steadyOf(errorRate), ALERTMANAGER_AWAY.there, answering, beating],
  watches: [PODS],
  observes: [...observesOf(errorRate), heartbeat],
  load: errorsFor('alertmanager-down', { faultyMs: 60_000, cleanMs: 40_000 }),
  bite: { name: 'its pod is gone', matches: isGone(ALERTMANAGER_POD) },
  noticed: {
    sights: [silent],
    within: (timing) => ({ lowerMs: silenceMs(timing) / 2, partsMs: { stops: STOPS_MS, silence: silenceMs(timing), told: TOLD_MS } }),
  },
  meanwhile: () => [{ kind: 'until', name: 'the alert fires', timeoutMs: 45_000, matches: isState(errorRate.alert, 'firing') }],
  healed: {
    sights: [{ name: ARRIVED, matches: isMessage('firing') }],
    within: (timing) => {
      const { endsMs, groupWaitMs } = alertTiming(timing, errorRate.alert)
      // Prometheus sends again four times before the end that it names.
      return { lowerMs: 500, partsMs: { starts: STARTS_MS, sent: endsMs / 4, group_wait: groupWaitMs, delivery: DELIVERY_MS } }
    },
  },
  after: (timing) => afterClean(errorRate, timing),
  claims: () => [oneOfEach],
  mutants: [neverEnds(ALERTMANAGER_AWAY.giveBack, 45_000), sinkAway],
})

// ── dns-down ────────────────────────────────────────────────────────────────────────────────────────────────────────

const DNS = away({
  what: 'the cluster’s DNS',
  ref: async () => ({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'coredns', namespace: 'kube-system' }),
})
const MISSING = 'TargetMissing'
const LOOKUPS = 'lookups'

/** It asks for the service's name with every request; the load itself asked once, before. */
const lookups: StartLoad = {
  kind: 'load',
  name: 'look the name up, again and again',
  source: LOOKUPS,
  profile: { ...steadyLoad('dns-lookups', { forMs: 75_000, ratePerS: 2 }), remembersNamesMs: 0 },
}
const lookedUp = (well: boolean) => (event: RecordedEvent) =>
  isFrom(LOOKUPS, event) && (well ? event.value.requests > 0 && event.value.failed === 0 : (event.value.byStatus['0'] ?? 0) > 0)

const dnsIsMissed: Sight = {
  name: `${MISSING} fires for it`,
  matches: (event) => inState(MISSING, 'firing')(event) && isFrom(MISSING, event) && (event.value as Sighted).labels.job === 'kube-dns',
}

export const dnsDown: Scenario = experiment({
  ...takesAway(DNS),
  name: 'dns-down',
  about:
    'Takes the cluster’s DNS away: who asks for a name anew gets no answer, who knows the address is served; it is missed, and names are found again once it is back.',
  isExtra: false,
  asks: ['prometheus'],
  steady: [inSync, rolledOut, DNS.there, quiet(MISSING)],
  watches: [{ apiVersion: 'apps/v1', kind: 'Deployment', namespace: ENVIRONMENT }],
  observes: [alertStates(MISSING)],
  load: steadyLoad('dns-down', { forMs: 70_000, ratePerS: RATE_PER_S }),
  probe: lookups,
  bite: { name: 'a new lookup fails', matches: lookedUp(false) },
  noticed: {
    sights: [dnsIsMissed],
    within: (timing) => {
      const { scrapeMs, evaluationMs, forMs } = alertTiming(timing, MISSING)
      // Discovery tells what is gone after up to five seconds, scraping takes that in after up to five more, and waits two intervals and
      // a bit before it calls the series stale (discovery/manager.go, scrape/manager.go and endOfRunStaleness in scrape/scrape.go of
      // Prometheus 3.13).
      const goneParts = { stops: 5_000, discovered: 5_000, reloaded: 5_000, stale: 3 * scrapeMs }
      return {
        lowerMs: forMs,
        partsMs: { ...goneParts, evaluations: 2 * evaluationMs, for: forMs, told: TOLD_MS },
      }
    },
  },
  healed: {
    sights: [{ name: 'new lookups are answered', matches: lookedUp(true) }],
    within: () => ({ lowerMs: 500, partsMs: { starts: 15_000, endpoints: 2_000, remembered: 5_000, told: TOLD_MS } }),
  },
  // A connection to the database that has to be made just then finds no name either.
  loss: () => ({ failed: 10, outageMs: 1_000 }),
  limit: { failedShare: 0.5, forMs: 10_000 },
  mutants: [neverEnds(DNS.giveBack, 45_000), ruleWith('for-ever', MISSING, (rule) => ({ ...rule, for: '1h' }))],
})

// ── service-cut-off ─────────────────────────────────────────────────────────────────────────────────────────────────

const DOWN = 'TargetDown'
/** The Job that unplugs it starts, and whoever waits for an answer gives up after five seconds. */
const CUT_MS = 15_000
/** Ends by itself after this, whatever becomes of the run. */
const CUT_AT_MOST_MS = 120_000
/** A container that the kubelet could not reach was started anew, and looks for its database. */
const backParts = ({ hpa }: TimingProfile) => ({
  mended: 15_000,
  startsAnew: 10_000,
  podStart: hpa.podStartMs,
  readiness: 2_000,
  endpoints: 2_000,
})

function downParts(timing: TimingProfile) {
  const { windowMs, scrapeMs, evaluationMs, forMs, groupWaitMs } = alertTiming(timing, DOWN)
  return {
    cut: CUT_MS,
    window: windowMs,
    scrapes: 2 * scrapeMs,
    evaluations: 2 * evaluationMs,
    for: forMs,
    group_wait: groupWaitMs,
    delivery: DELIVERY_MS,
  }
}

const mendNetwork: Act = { kind: 'act', name: 'plug it in again', run: ({ cluster, network }) => network.mend(cluster) }

export const serviceCutOff: Scenario = experiment({
  name: 'service-cut-off',
  about:
    'Unplugs all pods of the service from the network: nobody reaches them, nor do they reach anybody; an alert tells that they are not seen, and once they are plugged in again they serve by themselves.',
  isExtra: true,
  asks: ['prometheus', 'sink'],
  steady: [inSync, rolledOut, quiet(DOWN)],
  watches: WORKLOAD_WATCHES,
  observes: [alertStates(DOWN), messages(DOWN)],
  targets: podRefs,
  held: 'The node’s end of each pod’s cable is down: no object changes, so there is nothing that Argo CD or the kubelet could put right.',
  undo: async ({ cluster, network }) => [...(await network.undo(cluster)), ...(await freshPods())],
  load: steadyLoad('service-cut-off', { forMs: 90_000, ratePerS: RATE_PER_S }),
  fault: {
    kind: 'act',
    name: 'unplug the pods',
    run: async (context) => context.network.cut(context, { forMs: CUT_AT_MOST_MS, pods: await podRefs(context) }),
  },
  bite: { name: 'nobody is answered', matches: (event) => isFrom(LOAD_SOURCE, event) && event.value.failed === event.value.requests },
  noticed: {
    sights: [
      { name: 'the alert fires', matches: inState(DOWN, 'firing') },
      { name: ARRIVED, matches: isMessage('firing') },
    ],
    within: (timing) => ({ lowerMs: alertTiming(timing, DOWN).forMs, partsMs: downParts(timing) }),
  },
  end: mendNetwork,
  healed: {
    sights: [{ name: 'as many pods as before take traffic', matches: (event, before) => hasAllReady(event, before) }],
    within: (timing) => ({ lowerMs: 0, partsMs: backParts(timing) }),
  },
  loss: (timing) => outageOf({ down: sumMs(downParts(timing)), back: sumMs(backParts(timing)) }, RATE_PER_S),
  limit: { failedShare: 0.95, forMs: 70_000 },
  mutants: [
    neverEnds(mendNetwork, 45_000),
    ruleWith('never-true', DOWN, (rule) => ({ ...rule, expr: rule.expr.replace('< 0.5', '< -1') })),
    sinkAway,
  ],
})
