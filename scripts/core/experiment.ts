/** An experiment: a fault under load, who notices it and how soon, how it heals and how soon, and what its users may lose meanwhile. */
import type { KubeObject, ObjectRef } from '#kit/kube'
import { isSummary, loadMeasured, noRequestFailed } from './evidence.ts'
import { noticedBy } from './harm.ts'
import { endsOf, sumMs } from './judge.ts'
import { type LoadProfile, plannedRequests } from './load.ts'
import { leftOut } from './mutants.ts'
import type { Act, Bound, Claim, Evidence, Harm, HarmLimit, Mutant, RecordedEvent, Scenario, StartLoad, Step, Until } from './scenario.ts'
import type { TimingProfile } from './types.ts'

type Same = 'name' | 'about' | 'environments' | 'needs' | 'asks' | 'isExtra' | 'steady' | 'watches' | 'observes' | 'undo'

export interface Experiment extends Pick<Scenario, Same>, Pick<Harm, 'targets' | 'held'> {
  /** Before the load. @default nothing */
  readonly first?: readonly Step[]
  readonly load: LoadProfile
  /** Load that looks beside it. @default none */
  readonly probe?: StartLoad
  readonly fault: Act
  /** Independent of the fault: that it took effect. */
  readonly bite: Sight
  /** Who or what notices it. */
  readonly noticed: Stretch
  /** While it acts, once it was noticed. @default nothing */
  meanwhile?(timing: TimingProfile): readonly Step[]
  /** Its end, where one has to be waited for or brought about. Healing is counted from there. @default it is the fault that heals */
  readonly end?: Act | Sight
  readonly healed: Stretch
  /** Once it has healed, before the load ends. @default nothing */
  after?(timing: TimingProfile): readonly Step[]
  /** What users may lose. @default nothing */
  loss?(timing: TimingProfile): Loss
  /** More ends the run at once. @default that of an experiment that nobody should notice */
  readonly limit?: HarmLimit
  claims?(timing: TimingProfile): readonly Claim[]
  /** Each breaks the healer. That the bite is not seen without the fault is always tried. */
  readonly mutants: readonly Mutant[]
}

export interface Sight {
  readonly name: string
  matches(event: RecordedEvent, before: readonly KubeObject[]): boolean
}

/** What must be seen, in this order, and how soon the last of it. */
export interface Stretch {
  readonly sights: readonly Sight[]
  /** From which step. @default the fault, or its end */
  readonly from?: string
  within(timing: TimingProfile): Pick<Bound, 'lowerMs' | 'partsMs'>
}

export interface Loss {
  readonly failed: number
  /** Without a single good answer. */
  readonly outageMs: number
}

/** Nobody is answered for as long as these, and all that is sent meanwhile is lost. */
export function outageOf(partsMs: Readonly<Record<string, number>>, ratePerS: number): Loss {
  const outageMs = sumMs(partsMs)
  return { failed: Math.ceil((ratePerS * outageMs) / 1_000), outageMs }
}

const LOAD = 'load'
const BITE_TIMEOUT_MS = 30_000
/** Beyond twice the limit: what comes so late is late, and its time is worth knowing. */
const MARGIN_MS = 10_000
const LOAD_ENDS_TIMEOUT_MS = 180_000
/** Where nobody should notice anything: a few requests may fail before it is stopped, since it has failed then already. */
export const NOBODY_NOTICES: HarmLimit = { failedShare: 0.2, forMs: 5_000 }

export function experiment(spec: Experiment): Scenario & { readonly harm: Harm } {
  return {
    ...spec,
    kind: 'chaos',
    harm: { targets: spec.targets, held: spec.held, limit: spec.limit ?? NOBODY_NOTICES },
    steps: (timing) => stepsOf(spec, timing),
    claims: (timing) => [...usersClaims(spec.load, spec.loss?.(timing), { step: lastOf(spec.healed) }), ...(spec.claims?.(timing) ?? [])],
    bounds: (timing) => boundsOf(spec, timing),
    mutants: [...spec.mutants, leftOut(spec.fault.name)],
  }
}

function stepsOf(spec: Experiment, timing: TimingProfile): Step[] {
  const { first = [], load, probe, fault, bite, noticed, meanwhile, end, healed, after } = spec
  return [
    ...first,
    { kind: 'load', name: LOAD, profile: load },
    ...(probe === undefined ? [] : [probe]),
    fault,
    { kind: 'until', isBite: true, timeoutMs: BITE_TIMEOUT_MS, ...bite },
    ...untils(noticed, timing).map((step, i) => (i === 0 ? { ...step, mayPrecedeBite: true } : step)),
    ...(meanwhile?.(timing) ?? []),
    ...(end === undefined ? [] : [endStep(end)]),
    ...untils(healed, timing),
    ...(after?.(timing) ?? []),
    loadEnds,
  ]
}

/** The last step of what runs under load. */
export const loadEnds: Until = { kind: 'until', name: 'the load ends', timeoutMs: LOAD_ENDS_TIMEOUT_MS, matches: isSummary }

const endStep = (end: Act | Sight): Step => ('run' in end ? end : { kind: 'until', timeoutMs: LOAD_ENDS_TIMEOUT_MS, ...end })

/** The steps that wait for it. */
export function untils({ sights, within }: Stretch, timing: TimingProfile): Until[] {
  const timeoutMs = 2 * sumMs(within(timing).partsMs) + MARGIN_MS
  return sights.map((sight) => ({ kind: 'until', timeoutMs, ...sight }))
}

const lastOf = ({ sights }: Stretch) => sights.at(-1)?.name ?? ''

function boundsOf({ fault, noticed, end, healed }: Experiment, timing: TimingProfile): Bound[] {
  const healing = end === undefined ? 'healed after the fault' : 'healed after its end'
  return [
    { name: 'noticed', from: noticed.from ?? fault.name, to: lastOf(noticed), ...noticed.within(timing) },
    { name: healing, from: healed.from ?? (end ?? fault).name, to: lastOf(healed), ...healed.within(timing) },
  ]
}

function usersClaims(load: LoadProfile, loss: Loss | undefined, healed: Healed): Claim[] {
  if (loss === undefined) return [loadMeasured(load), noRequestFailed(LEAST_SHARE * plannedRequests(load))]
  return [loadMeasured(load), loseAtMost(loss), servesAgain(healed)]
}

/** Of what a profile plans. */
const LEAST_SHARE = 0.9

/** What users lost: counted, and bounded. */
export function loseAtMost({ failed: most, outageMs: mostMs }: Loss): Claim {
  return {
    name: `users lose at most ${most} requests, and are without an answer for at most ${mostMs / 1_000} s`,
    check({ events }) {
      const { requests, failed, outageMs } = noticedBy(events)
      const seen = `${failed} of ${requests} failed, ${outageMs / 1_000} s without an answer`
      return { outcome: failed <= most && outageMs <= mostMs ? 'true' : 'false', seen }
    },
  }
}

/** What was sent before it had healed may be given up so much later. */
const GIVEN_UP_MS = 6_000
const LEAST_AFTERWARDS = 20

/** When users find everything well again. */
export interface Healed {
  /** What has healed by then. */
  readonly step: string
  /** How much later they know it: a name has its old address for a while. @default at once */
  readonly knownAfterMs?: number
}

/** Once it has healed, every request is answered well, and there are some. */
export function servesAgain({ step, knownAfterMs = 0 }: Healed): Claim {
  return {
    name: 'then every request was answered',
    check(evidence) {
      const healedAtMs = evidence.at(step) ?? Number.POSITIVE_INFINITY
      const { requests, failed } = noticedBy(eventsAfter(evidence, healedAtMs + knownAfterMs + GIVEN_UP_MS))
      const seen = `${failed} of ${requests} failed`
      if (failed > 0) return { outcome: 'false', seen }
      return { outcome: requests >= LEAST_AFTERWARDS ? 'true' : 'no data', seen }
    },
  }
}

const eventsAfter = ({ events }: Evidence, fromMs: number) => events.filter(({ atMs }) => atMs > fromMs)

// ── From a proof ────────────────────────────────────────────────────────────────────────────────────────────────────

export interface UnderLoad extends Pick<Scenario, 'name' | 'about' | 'isExtra'>, Pick<Harm, 'targets' | 'held'> {
  readonly load: LoadProfile
  /** @default nothing */
  readonly loss?: (timing: TimingProfile) => Loss
  readonly limit?: HarmLimit
  readonly knownAfterMs?: Healed['knownAfterMs']
}

/** What a proof does once, under load: what must come back, and how soon, is the proof's own. */
export function underLoad(proof: Scenario, spec: UnderLoad): Scenario {
  const { load, loss, targets, held, limit = NOBODY_NOTICES, knownAfterMs = 0 } = spec
  return {
    ...proof,
    ...spec,
    kind: 'chaos',
    repeat: 1,
    harm: { targets, held, limit },
    steps: (timing) => [{ kind: 'load', name: LOAD, profile: load }, ...proof.steps(timing), loadEnds],
    claims: (timing) => [
      ...usersClaims(load, loss?.(timing), { step: endsOf({}, proof.steps(timing)).to, knownAfterMs }),
      ...(proof.claims?.(timing) ?? []),
    ],
    bounds: (timing) => wholeBounds(proof, timing),
  }
}

/** What holds for a share of many rounds says nothing of one. */
function wholeBounds(proof: Scenario, timing: TimingProfile): Bound[] {
  const whole = proof.bounds(timing).filter(({ share = 1 }) => share === 1)
  return whole.map((bound) => ({ ...bound, ...endsOf(bound, proof.steps(timing)) }))
}

/** Load at one rate. Where requests take a while, some are in flight at every moment: what is cut then fails. */
export function steadyLoad(name: string, { forMs, ratePerS = 20, takesMs = 0 }: Steady): LoadProfile {
  const slow = takesMs === 0 ? {} : { headers: { 'x-fault': `delay=${takesMs}` } }
  return {
    name,
    about: `${ratePerS} requests per second${takesMs === 0 ? '' : ` that take ${takesMs} ms each`}.`,
    stages: [{ name: 'steady', forMs, ratePerS, requests: [{ path: '/api/products', ...slow }] }],
  }
}

export interface Steady {
  readonly forMs: number
  /** @default 20 */
  readonly ratePerS?: number
  /** Of each request; asks for it where the service carries out faults. @default as long as it takes */
  readonly takesMs?: number
}

/** Of these objects, the ones that are there. */
export const present =
  (...refs: readonly ObjectRef[]): Harm['targets'] =>
  async ({ cluster: { kube } }) => {
    const found = await Promise.all(refs.map((ref) => kube.get(ref)))
    return refs.filter((_, i) => found[i] !== undefined)
  }
