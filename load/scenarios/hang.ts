/** A process that hangs: it is there, and answers nobody. Its pod leaves the traffic, is started anew, and returns. */
import {
  actSkipped,
  type Claim,
  faultVictim,
  freshVictim,
  inSync,
  isFrom,
  LOAD_SOURCE,
  type LoadProfile,
  loadEnds,
  loadMeasured,
  type RecordedEvent,
  restartsOf,
  rolledOut,
  type Scenario,
  type TimingProfile,
  total,
  victimIn,
  victimIsIn,
  victimIsOut,
  victimRefs,
  WORKLOAD_WATCHES,
  withContainer,
} from '#core'
import type { KubeObject } from '#kit/kube'

const LOAD = 'load'
const HANG = 'let a pod hang'
const LEFT = 'the pod gets no more traffic'
const STARTED_ANEW = 'its container is started anew'
const BACK = 'it gets traffic again'
const RATE_PER_S = 10
const HANG_MS = 120_000
/** What the service's probe thread calls a hang, and how the chart's probes ask: see chart/values.yaml. */
const PROBES = { noBeatMs: 10_000, readinessMs: 2 * 2_000 + 2_000, livenessMs: 2 * 5_000 + 3_000, graceMs: 10_000 }

const hangLoad: LoadProfile = {
  name: 'hang',
  about: `${RATE_PER_S} requests per second.`,
  stages: [{ name: 'steady', forMs: 75_000, ratePerS: RATE_PER_S, requests: [{ path: '/api/products' }] }],
}

function startedAnew(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  return (victimIn(event, before)?.restartCount ?? 0) > restartsOf(before)
}

const leftParts = (timing: TimingProfile) => ({
  noBeat: PROBES.noBeatMs,
  readiness: PROBES.readinessMs,
  endpoints: timing.hpa.podStartMs,
})

/** A connection to a hung process is accepted by the kernel, and answered by nobody: half of all requests until it has left. */
function lossIsBounded(timing: TimingProfile): Claim {
  const hangMs = Object.values(leftParts(timing)).reduce((sum, ms) => sum + ms, 0)
  const most = Math.ceil(((hangMs / 1000) * RATE_PER_S) / 2)
  return {
    name: `at most ${most} requests failed`,
    check(evidence) {
      const [failed, requests] = [total(evidence, 'failed'), total(evidence, 'requests')]
      const seen = `${failed} of ${requests}`
      if (failed > most) return { outcome: 'false', seen }
      return { outcome: requests > 500 && failed > 0 ? 'true' : 'no data', seen }
    },
  }
}

/** Nobody asks the pods any more. */
const withoutProbes = withContainer('without-probes', () => ({ readinessProbe: null, livenessProbe: null }))

export const processHangs: Scenario = {
  name: 'process-hangs',
  kind: 'proof',
  about: 'A pod hangs: its probe thread misses its heartbeat, it gets no more traffic, the kubelet starts it anew, and it returns.',
  isExtra: true,
  steady: [inSync, rolledOut],
  watches: WORKLOAD_WATCHES,
  undo: freshVictim,
  steps: (timing) => [
    { kind: 'load', name: LOAD, profile: hangLoad },
    { kind: 'act', name: HANG, run: (context) => faultVictim(context, { forMs: HANG_MS, hang: true }) },
    { kind: 'until', isBite: true, name: 'requests are not answered', timeoutMs: 20_000, matches: isUnanswered },
    { kind: 'until', name: LEFT, timeoutMs: 60_000, matches: victimIsOut },
    { kind: 'until', name: STARTED_ANEW, timeoutMs: 90_000, matches: startedAnew },
    { kind: 'until', name: BACK, timeoutMs: 60_000 + timing.hpa.podStartMs, matches: victimIsIn },
    loadEnds,
  ],
  claims: (timing) => [loadMeasured(hangLoad), lossIsBounded(timing)],
  bounds: (timing) => [
    { name: 'out of the traffic after the hang', from: HANG, to: LEFT, lowerMs: PROBES.noBeatMs / 2, partsMs: leftParts(timing) },
    {
      name: 'back after the hang',
      from: HANG,
      to: BACK,
      lowerMs: PROBES.noBeatMs,
      partsMs: {
        noBeat: PROBES.noBeatMs,
        liveness: PROBES.livenessMs,
        grace: PROBES.graceMs,
        podStart: 2 * timing.hpa.podStartMs,
        endpoints: timing.hpa.podStartMs,
      },
    },
  ],
  mutants: [withoutProbes, actSkipped()],
  harm: {
    targets: victimRefs,
    held: 'Its event loop is blocked from the inside for two minutes: only the end of the process ends that.',
    limit: { failedShare: 0.7, forMs: 15_000 },
  },
}

/** Timed out, not refused: a process that is gone refuses. */
const isUnanswered = (event: RecordedEvent) => isFrom(LOAD_SOURCE, event) && (event.value.byStatus['0'] ?? 0) > 0
