/** The HPA adds pods under load and takes them away after it, and keeps still while it is blind. */
import {
  type Claim,
  type Context,
  changeApplications,
  hasReady,
  isFrom,
  LOAD_SOURCE,
  type LoadProfile,
  loadEnds,
  loadMeasured,
  loadSeconds,
  type Mutant,
  noRequestFailed,
  pauseSync,
  podsWhenReady,
  type RecordedEvent,
  type Scenario,
  type Step,
  sumMs,
  type TimingProfile,
  UNTOLD,
  WORKLOAD_NAME,
} from '#core'
import { saturating } from '../profiles.ts'
import {
  atRest,
  HPA,
  isActive,
  MAX,
  METRICS,
  MIN,
  replicasOf,
  sawHighCpu,
  sawLowCpu,
  scaleByHand,
  scaledOutByCpu,
  WATCHES,
} from './cluster.ts'

const LOAD = 'load'
const FIVE_READY = `${MAX} pods are ready`
const LOW_SEEN = 'the HPA sees low CPU'
const SCALES_IN = 'the HPA begins to scale in'
const TWO_READY = `${MIN} pods are ready again`
const REPLICAS_MUST_STAY = `${MAX} replicas are kept while the HPA is blind`
/** Fewer answers than this could have come by without a pod being in service. */
const LEAST_ANSWERS = 5

/** Two looks of a controller are a little more or less than its period apart. */
const TIMER_JITTER_MS = 500

const scaleLoad: LoadProfile = saturating({ name: 'scale', heavyMs: 45_000, lightMs: 75_000 })
const blindLoad: LoadProfile = saturating({ name: 'blind', heavyMs: 45_000, lightMs: 0 })

const isLight = (event: RecordedEvent) => isFrom(LOAD_SOURCE, event) && event.value.stage === 'light'
const wantsFewer = (event: RecordedEvent) => (replicasOf(event) ?? MAX) < MAX

/** Two samples of usage, a look of the HPA; a further step where the first did not go all the way; then pods start. */
const scaleOutParts = ({ hpa }: TimingProfile) => ({
  usageMs: 2 * hpa.usageMs,
  syncMs: hpa.syncMs,
  furtherStepMs: hpa.usageMs + hpa.syncMs,
  podStartMs: hpa.podStartMs,
})

function scaleOut(timing: TimingProfile, profile: LoadProfile): Step[] {
  const timeoutMs = 2 * sumMs(scaleOutParts(timing))
  return [
    { kind: 'load', name: LOAD, profile },
    { kind: 'until', isBite: true, name: 'the HPA sees CPU above its target', timeoutMs, matches: sawHighCpu },
    { kind: 'until', name: 'the HPA scales out by CPU', timeoutMs, matches: scaledOutByCpu },
    { kind: 'until', name: FIVE_READY, timeoutMs, matches: hasReady(MAX) },
  ]
}

const eachPodAnswered: Claim = {
  name: `each of the ${MAX} pods answered`,
  check(evidence) {
    const pods = podsWhenReady(evidence, MAX)
    const answers = pods.map((pod) => loadSeconds(evidence).reduce((all, { byPod }) => all + (byPod[pod] ?? 0), 0))
    const seen = answers.length === 0 ? `there were never ${MAX}` : `${answers.join(', ')} requests`
    return { outcome: answers.length === MAX && answers.every((count) => count >= LEAST_ANSWERS) ? 'true' : 'false', seen }
  },
}

/** An HPA with another spec, which Argo CD would put right at once; everything else stays as it is. */
const hpaWith = (name: string, change: (spec: HpaSpec) => object): Mutant => ({
  name,
  expect: 'violated',
  async break(context) {
    const { kube } = context.cluster
    const pause = await pauseSync(context, WORKLOAD_NAME)
    const spec = (await kube.get(HPA))?.spec as HpaSpec
    return {
      async apply() {
        await pause.apply()
        await kube.mergePatch(HPA, { spec: change(spec) })
      },
      undo: [{ op: 'patch', ref: HPA, patch: { spec: { metrics: spec.metrics, behavior: spec.behavior } } }, ...pause.undo],
    }
  },
})

interface HpaSpec {
  readonly metrics: readonly { readonly resource: { readonly target: object } }[]
  readonly behavior: { readonly scaleDown: object }
}

export const targetOutOfReach = hpaWith('target-out-of-reach', ({ metrics }) => ({
  metrics: metrics.map((metric) => ({
    ...metric,
    resource: { ...metric.resource, target: { type: 'Utilization', averageUtilization: 500 } },
  })),
}))
const scaleInDisabled = hpaWith('scale-in-disabled', () => ({ behavior: { scaleDown: { selectPolicy: 'Disabled' } } }))
const noWindow = hpaWith('no-window', () => ({ behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } }))

/** Argo CD takes the HPA's number for drift, as it would without the one line of its Application that leaves it to the HPA. */
const foughtByArgocd: Mutant = {
  name: 'fought-by-argocd',
  expect: 'violated',
  break: (context) =>
    changeApplications(context, [WORKLOAD_NAME], (spec) => ({
      ...spec,
      ignoreDifferences: [],
      syncPolicy: { ...spec.syncPolicy, syncOptions: ['ServerSideApply=true'] },
    })),
}

async function takeMetrics(context: Context): Promise<void> {
  for (const act of [...METRICS.first, METRICS.take]) await act.run(context, 0, UNTOLD)
}

const metricsGone: Mutant = {
  name: 'metrics-gone',
  expect: 'not injected',
  break: async (context) => ({ apply: () => takeMetrics(context), undo: await METRICS.undo(context) }),
}

export const hpaScales: Scenario = {
  name: 'hpa-scales',
  kind: 'proof',
  about: `Load drives the service from ${MIN} to ${MAX} pods; after it the HPA waits its window and goes back to ${MIN}; no request fails.`,
  steady: [atRest],
  watches: WATCHES,
  steps: (timing) => [
    ...scaleOut(timing, scaleLoad),
    { kind: 'until', name: 'the load eases', timeoutMs: 60_000, matches: isLight },
    { kind: 'until', name: LOW_SEEN, timeoutMs: 4 * timing.hpa.usageMs, matches: sawLowCpu },
    { kind: 'until', name: SCALES_IN, timeoutMs: 2 * timing.hpa.scaleInWindowMs + 4 * timing.hpa.syncMs, matches: wantsFewer },
    { kind: 'until', name: TWO_READY, timeoutMs: 2 * timing.hpa.scaleInWindowMs + 4 * timing.hpa.syncMs, matches: hasReady(MIN) },
    loadEnds,
  ],
  claims: () => [loadMeasured(scaleLoad), noRequestFailed(500), eachPodAnswered],
  bounds: (timing) => [
    // No usage is measured, looked at and answered by new pods within two seconds: that would be someone else's scaling.
    { name: `${MAX} ready after the load began`, from: LOAD, to: FIVE_READY, lowerMs: 2_000, partsMs: scaleOutParts(timing) },
    {
      name: 'held before scaling in',
      from: LOW_SEEN,
      to: SCALES_IN,
      // The last look that saw high CPU was at most one sync before the first that saw it low.
      lowerMs: timing.hpa.scaleInWindowMs - timing.hpa.syncMs - TIMER_JITTER_MS,
      partsMs: { windowMs: timing.hpa.scaleInWindowMs, lookMs: timing.hpa.syncMs, nextLookMs: timing.hpa.syncMs },
    },
    {
      name: `${MIN} ready after scaling in began`,
      from: SCALES_IN,
      to: TWO_READY,
      lowerMs: 0,
      partsMs: { windowMs: timing.hpa.scaleInWindowMs, syncMs: 2 * timing.hpa.syncMs, endpointsMs: 5_000 },
    },
  ],
  mutants: [
    targetOutOfReach,
    scaleInDisabled,
    noWindow,
    foughtByArgocd,
    metricsGone,
    { name: 'no-load', expect: 'not injected', skipAct: true, holdMs: 10_000 },
  ],
}

/** The load is over, so only blindness keeps the pods; longer than the window, or the window would be what was proven. */
const blindMs = ({ hpa }: TimingProfile) => hpa.scaleInWindowMs + 2 * hpa.usageMs + 3 * hpa.syncMs

export const hpaBlind: Scenario = {
  name: 'hpa-blind',
  kind: 'proof',
  about: `With ${MAX} pods and no load the metrics go away: the HPA keeps all ${MAX}; when they are back it goes to ${MIN}.`,
  isExtra: true,
  steady: [atRest],
  watches: WATCHES,
  undo: METRICS.undo,
  steps: (timing) => [
    ...scaleOut(timing, blindLoad),
    { ...METRICS.take, run: takeMetrics },
    {
      kind: 'until',
      name: 'the HPA says that it has no metrics',
      timeoutMs: 60_000,
      matches: isActive('False'),
    },
    loadEnds,
    {
      kind: 'always',
      name: REPLICAS_MUST_STAY,
      forMs: blindMs(timing),
      concerns: (event) => replicasOf(event) !== undefined,
      holds: (event) => replicasOf(event) === MAX,
    },
    METRICS.giveBack,
    { kind: 'until', name: TWO_READY, timeoutMs: 180_000, matches: hasReady(MIN) },
  ],
  claims: () => [loadMeasured(blindLoad), noRequestFailed(300)],
  bounds: (timing) => [
    {
      name: `${MIN} ready after the metrics came back`,
      from: METRICS.giveBack.name,
      to: TWO_READY,
      lowerMs: 1_000,
      partsMs: {
        serverStartMs: 30_000,
        usageMs: 2 * timing.hpa.usageMs,
        windowMs: timing.hpa.scaleInWindowMs,
        syncMs: 2 * timing.hpa.syncMs,
        endpointsMs: 5_000,
      },
    },
  ],
  mutants: [
    { name: 'metrics-left-up', expect: 'violated', steps: (steps) => steps.filter(({ name }) => name !== METRICS.take.name) },
    { name: 'scaled-by-hand', expect: 'violated', steps: withHandScaling },
  ],
}

/** Someone takes pods away while the HPA is blind: the watch must see it. */
function withHandScaling(steps: readonly Step[]): readonly Step[] {
  return steps.flatMap((step) => (step.name === REPLICAS_MUST_STAY ? [scaleByHand, step] : [step]))
}
