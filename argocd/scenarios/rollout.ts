/** A new version takes over without a lost request; one that cannot run never takes the old one's place. */
import {
  type Claim,
  type Context,
  containerOf,
  type Evidence,
  imageOf,
  inSync,
  isFrom,
  isSummary,
  isWorkload,
  LOAD_SOURCE,
  type LoadProfile,
  loadMeasured,
  loadSeconds,
  lookAll,
  type Mutant,
  noRequestFailed,
  podOf,
  type RecordedEvent,
  readyPods,
  rolledOut,
  type Scenario,
  type Step,
  type TimingProfile,
  versionOf,
  WORKLOAD,
  WORKLOAD_WATCHES,
} from '#core'
import type { KubeObject } from '#kit/kube'
import { type ImageConfig, pushVariant } from '#kit/variant'
import { waitFor } from '#kit/wait'
import { actSkipped, commitValues, restoreValues } from './delivery.ts'

const LOAD = 'load'
const COMMIT = 'commit another version'
const REPLICAS = 2
const PULL_MS = 5_000
const BITE_TIMEOUT_MS = 40_000
const ROLLOUT_TIMEOUT_MS = 60_000

/** Requests take a while, so that some are in flight at every moment; one that is cut fails. */
function slowRequests(name: string, { forMs, ratePerS }: { forMs: number; ratePerS: number }): LoadProfile {
  return {
    name,
    about: `${ratePerS} requests per second that take 200 ms each.`,
    stages: [{ name: 'steady', forMs, ratePerS, requests: [{ path: '/api/products', headers: { 'x-fault': 'delay=200' } }] }],
  }
}

/** What runs before the act: its image tells old pods and answers from new ones. */
const oldVersion = (before: readonly KubeObject[]) => versionOf(imageOf(before.find(isWorkload)))

/** Puts a variant of the running image into the registry, and commits its digest. */
async function deployVariant(context: Context, name: string, change: (config: ImageConfig) => ImageConfig): Promise<void> {
  const { cluster } = context
  const [repository = '', digest = ''] = imageOf(await cluster.kube.get(WORKLOAD))?.split('@') ?? []
  const image = { registry: cluster.registry, name: repository.slice(repository.indexOf('/') + 1), digest }
  const variant = await pushVariant(image, `proof-${name.replaceAll(' ', '-')}`, change)
  await commitValues(context, `Proof: ${name}`, { image: { digest: variant } })
}

const labelled = (config: ImageConfig): ImageConfig => ({
  ...config,
  Labels: { ...config.Labels, 'dev.holdfast.proof': new Date().toISOString() },
})

/** It starts, and never becomes ready: nobody listens. */
const deaf = (config: ImageConfig): ImageConfig => ({
  ...labelled(config),
  Entrypoint: [config.Entrypoint?.[0] ?? 'node', '-e', "process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000)"],
  Cmd: [],
})

/** The workload under other values, in Git and running before the proof begins. */
function withValuesOf(name: string, change: object): Mutant {
  return {
    name,
    expect: 'violated',
    break: async (context) => ({
      async apply() {
        await commitValues(context, `Mutant: ${name}`, change)
        const calm = () => lookAll([inSync, rolledOut], context)
        await waitFor(`the workload to run with ${name}`, calm, { timeoutMs: ROLLOUT_TIMEOUT_MS, signal: context.signal })
      },
      undo: await restoreValues(context),
    }),
  }
}

const loadEnds: Step = { kind: 'until', name: 'the load ends', timeoutMs: 90_000, matches: isSummary }

// ── rollout-lossless ────────────────────────────────────────────────────────────────────────────────────────────────

const losslessLoad = slowRequests('rollout', { forMs: 30_000, ratePerS: 20 })
const ROLLED_OUT = 'only new pods serve'
const LEAST_ANSWERS = 20

function answeredByNew(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  return isFrom(LOAD_SOURCE, event) && Object.keys(event.value.byVersion).some((version) => version !== oldVersion(before))
}

function onlyNewPods(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  const old = new Set(before.filter(({ kind }) => kind === 'Pod').map(({ metadata }) => metadata.name))
  const pods = readyPods(event)
  return pods !== undefined && pods.length === REPLICAS && pods.every((pod) => !old.has(pod))
}

/** How many requests each version answered. */
function answers(evidence: Evidence): { readonly old: number; readonly other: number } {
  const version = oldVersion(evidence.before)
  const counts = loadSeconds(evidence).flatMap(({ byVersion }) => Object.entries(byVersion))
  const sum = (of: typeof counts) => of.reduce((all, [, count]) => all + count, 0)
  return { old: sum(counts.filter(([name]) => name === version)), other: sum(counts.filter(([name]) => name !== version)) }
}

const bothAnswered: Claim = {
  name: 'the old version answered, and the new one',
  check(evidence) {
    const { old, other } = answers(evidence)
    return { outcome: old >= LEAST_ANSWERS && other >= LEAST_ANSWERS ? 'true' : 'no data', seen: `${old} and ${other} requests` }
  },
}

export const rolloutLossless: Scenario = {
  name: 'rollout-lossless',
  kind: 'proof',
  about:
    'Commits the digest of another version under load: new pods serve before old ones leave, what is in flight is finished, no request fails.',
  steady: [inSync, rolledOut],
  watches: WORKLOAD_WATCHES,
  undo: restoreValues,
  steps: () => [
    { kind: 'load', name: LOAD, profile: losslessLoad },
    { kind: 'act', name: COMMIT, run: (context) => deployVariant(context, 'another version', labelled) },
    { kind: 'until', isBite: true, name: 'the new version answers', timeoutMs: BITE_TIMEOUT_MS, matches: answeredByNew },
    { kind: 'until', name: ROLLED_OUT, timeoutMs: ROLLOUT_TIMEOUT_MS, matches: onlyNewPods },
    loadEnds,
  ],
  claims: () => [loadMeasured(losslessLoad), noRequestFailed(500), bothAnswered],
  bounds: (timing) => [
    { name: 'rolled out after the commit', from: COMMIT, to: ROLLED_OUT, lowerMs: 1_000, partsMs: rolloutParts(timing) },
  ],
  mutants: [withValuesOf('without-drain', { preStopSeconds: 0, drainMs: 0, stopMs: 0 }), actSkipped],
}

/** One pod after the other. */
function rolloutParts(timing: TimingProfile) {
  return { ...timing.delivery, pull: PULL_MS, podStarts: REPLICAS * timing.hpa.podStartMs, endpoints: 5_000 }
}

// ── A version that cannot run ───────────────────────────────────────────────────────────────────────────────────────

const HOLD_MS = 10_000
const brokenLoad = (name: string) => slowRequests(name, { forMs: 24_000, ratePerS: 10 })

const isNew = (event: RecordedEvent, before: readonly KubeObject[]) => {
  const pod = podOf(event)
  return pod !== undefined && versionOf(pod.spec.containers[0].image) !== oldVersion(before)
}

const cannotPull = (event: RecordedEvent) =>
  /^(ErrImagePull|ImagePullBackOff)$/.test(containerOf(podOf(event))?.state?.waiting?.reason ?? '')
const runs = (event: RecordedEvent) => containerOf(podOf(event))?.state?.running !== undefined

const onlyOldAnswered: Claim = {
  name: 'only the old version answered',
  check(evidence) {
    const { old, other } = answers(evidence)
    return { outcome: other > 0 ? 'false' : old >= LEAST_ANSWERS ? 'true' : 'no data', seen: `${old} requests, the other ${other}` }
  },
}

interface BrokenVersion {
  readonly name: string
  readonly about: string
  readonly deploy: (context: Context) => Promise<void>
  readonly shows: { readonly name: string; readonly matches: (event: RecordedEvent) => boolean }
  readonly isExtra?: boolean
}

/** The old pods go only when new ones are ready, and these never are. */
function brokenVersion({ name, about, deploy, shows, isExtra = false }: BrokenVersion): Scenario {
  const profile = brokenLoad(name)
  return {
    name,
    kind: 'proof',
    about,
    isExtra,
    steady: [inSync, rolledOut],
    watches: WORKLOAD_WATCHES,
    undo: restoreValues,
    steps: () => [
      { kind: 'load', name: LOAD, profile },
      { kind: 'act', name: COMMIT, run: deploy },
      {
        kind: 'until',
        isBite: true,
        name: shows.name,
        timeoutMs: BITE_TIMEOUT_MS,
        matches: (event, before) => isNew(event, before) && shows.matches(event),
      },
      {
        kind: 'always',
        name: 'as many pods as before take traffic',
        forMs: HOLD_MS,
        concerns: (event) => readyPods(event) !== undefined,
        holds: (event) => (readyPods(event)?.length ?? 0) >= REPLICAS,
      },
      loadEnds,
    ],
    claims: () => [loadMeasured(profile), noRequestFailed(200), onlyOldAnswered],
    bounds: (timing) => [
      {
        name: 'noticed after the commit',
        from: COMMIT,
        to: shows.name,
        lowerMs: 200,
        partsMs: { ...timing.delivery, pull: 2 * PULL_MS },
      },
    ],
    mutants: [withValuesOf('all-at-once', { rollout: { maxUnavailable: '100%', maxSurge: 1 } }), actSkipped],
  }
}

/** As long as a digest is, and of no image. */
const MISSING = `sha256:${'0'.repeat(63)}1`

export const imageMissing = brokenVersion({
  name: 'image-missing',
  about: 'Commits a digest that no registry has: the new pod cannot start, and the old ones serve everything.',
  deploy: (context) => commitValues(context, 'Proof: a digest that does not exist', { image: { digest: MISSING } }),
  shows: { name: 'the image cannot be pulled', matches: cannotPull },
})

export const readinessFails = brokenVersion({
  name: 'readiness-fails',
  about: 'Commits a version that starts and never becomes ready: it gets no traffic, and the old pods serve everything.',
  deploy: (context) => deployVariant(context, 'a deaf version', deaf),
  shows: { name: 'the new version runs', matches: runs },
  isExtra: true,
})
