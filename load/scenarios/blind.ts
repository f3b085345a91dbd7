/** Nobody measures, and somebody measures too much: the HPA without its metrics, and under pods that burn. */
import {
  answers,
  experiment,
  faultPods,
  freshPods,
  hasReady,
  isSilent,
  type Mutant,
  neverEnds,
  podRefs,
  readyPods,
  type Scenario,
  type Step,
  steadyLoad,
} from '#core'
import { atRest, HPA, isActive, METRICS, MIN, replicasOf, sawHighCpu, scaleByHand, scaledOutByCpu, WATCHES } from './cluster.ts'
import { targetOutOfReach } from './hpa.ts'

const RATE_PER_S = 10

// ── metrics-server-down ─────────────────────────────────────────────────────────────────────────────────────────────

const METRICS_API = 'the metrics API'
const STOPS_MS = 15_000
const STARTS_MS = 30_000
const HOLD_MS = 15_000

const replicasStay: Step = {
  kind: 'always',
  name: `${MIN} replicas are kept while the HPA is blind`,
  forMs: HOLD_MS,
  concerns: (event) => replicasOf(event) !== undefined,
  holds: (event) => replicasOf(event) === MIN,
}

const scaledByHand: Mutant = {
  name: 'scaled-by-hand',
  expect: 'violated',
  steps: (steps) => steps.flatMap((step) => (step.name === replicasStay.name ? [scaleByHand, step] : [step])),
}

export const metricsServerDown: Scenario = experiment({
  name: 'metrics-server-down',
  about: 'Takes the metrics away: the HPA says that it is blind and keeps every pod, and goes on once it sees again.',
  isExtra: true,
  steady: [atRest, METRICS.there],
  watches: WATCHES,
  observes: [
    answers(METRICS_API, ({ cluster }) => cluster.kube.request('GET', `/apis/metrics.k8s.io/v1beta1/namespaces/${HPA.namespace}/pods`)),
  ],
  first: METRICS.first,
  targets: METRICS.targets,
  held: METRICS.held,
  undo: METRICS.undo,
  load: steadyLoad('metrics-server-down', { forMs: 60_000, ratePerS: RATE_PER_S }),
  fault: METRICS.take,
  bite: { name: 'the metrics API does not answer', matches: isSilent(METRICS_API) },
  noticed: {
    sights: [{ name: 'the HPA says that it has no metrics', matches: isActive('False') }],
    within: ({ hpa }) => ({ lowerMs: 0, partsMs: { stops: STOPS_MS, sync: 2 * hpa.syncMs } }),
  },
  meanwhile: () => [replicasStay],
  end: METRICS.giveBack,
  healed: {
    sights: [{ name: 'the HPA has its metrics again', matches: isActive('True') }],
    within: ({ hpa }) => ({ lowerMs: 1_000, partsMs: { starts: STARTS_MS, usage: 2 * hpa.usageMs, sync: 2 * hpa.syncMs } }),
  },
  mutants: [scaledByHand, neverEnds(METRICS.giveBack, 30_000)],
})

// ── cpu-hog ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const HOG_MS = 45_000
/** Of a core: three quarters of what a pod may use, and twice as much as the HPA wants to see. The rest is enough to answer. */
const HOG_SHARE = 0.15

export const cpuHog: Scenario = experiment({
  name: 'cpu-hog',
  about: 'All pods burn processor time for nothing: the HPA adds pods beside them, nobody waits, and those go again once it is over.',
  isExtra: true,
  steady: [atRest],
  watches: WATCHES,
  targets: podRefs,
  held: `It is inside of the processes and ends by itself after ${HOG_MS / 1_000} s; nobody else could end it.`,
  undo: freshPods,
  load: steadyLoad('cpu-hog', { forMs: 110_000, ratePerS: RATE_PER_S }),
  fault: {
    kind: 'act',
    name: 'let the pods burn',
    run: async (context) => faultPods(context, { forMs: HOG_MS, cpuShare: HOG_SHARE }, await podRefs(context)),
  },
  bite: { name: 'the HPA sees CPU above its target', matches: sawHighCpu },
  noticed: {
    sights: [
      { name: 'the HPA scales out by CPU', matches: scaledOutByCpu },
      { name: 'more pods take traffic', matches: (event) => (readyPods(event)?.length ?? 0) > MIN },
    ],
    within: ({ hpa }) => ({
      lowerMs: 1_000,
      partsMs: { usage: 2 * hpa.usageMs, sync: 2 * hpa.syncMs, podStart: hpa.podStartMs, endpoints: 5_000 },
    }),
  },
  healed: {
    sights: [{ name: `${MIN} pods are ready again`, matches: hasReady(MIN) }],
    within: ({ hpa }) => ({
      lowerMs: 1_000,
      partsMs: { burns: HOG_MS, usage: 2 * hpa.usageMs, window: 2 * hpa.scaleInWindowMs, sync: 2 * hpa.syncMs, endpoints: 5_000 },
    }),
  },
  mutants: [targetOutOfReach],
})
