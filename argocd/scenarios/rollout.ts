/** A new version takes over without a lost request; one that cannot run never takes the old one's place. */
import {
  actSkipped,
  type Claim,
  type Context,
  commitValues,
  containerOf,
  ENVIRONMENT,
  type Evidence,
  experiment,
  imageOf,
  inSync,
  isFrom,
  isRolledOut,
  isWorkload,
  LOAD_SOURCE,
  loadEnds,
  loadMeasured,
  loadSeconds,
  noRequestFailed,
  podOf,
  present,
  type RecordedEvent,
  readyPods,
  restoreValues,
  rolledOut,
  type Scenario,
  type Sight,
  type Step,
  steadyLoad,
  storeVariant,
  type TimingProfile,
  versionOf,
  WORKLOAD,
  WORKLOAD_PODS,
  WORKLOAD_WATCHES,
  withValuesOf,
  workloadOf,
} from '#core'
import { Failure } from '#kit/errors'
import type { KubeObject } from '#kit/kube'
import type { ImageConfig } from '#kit/variant'

const LOAD = 'load'
const COMMIT = 'commit another version'
const REPLICAS = 2
export const PULL_MS = 5_000
const REPLACED_MS = 5_000
const BITE_TIMEOUT_MS = 40_000
const ROLLOUT_TIMEOUT_MS = 60_000

/** What runs before the act: its image tells old pods and answers from new ones. */
export const oldVersion = (before: readonly KubeObject[]) => versionOf(imageOf(before.find(isWorkload)))

/** Commits the digest of a variant of the running image. */
async function deployVariant(context: Context, name: string, change: (config: ImageConfig) => ImageConfig): Promise<void> {
  await commitValues(context, `Proof: ${name}`, { image: { digest: await storeVariant(context, ENVIRONMENT, { name, change }) } })
}

/** A version of its own, each time. */
export const labelled = (config: ImageConfig): ImageConfig => ({
  ...config,
  Labels: { ...config.Labels, 'dev.holdfast.proof': new Date().toISOString() },
})

/** It starts, and never becomes ready: nobody listens. */
const deaf = (config: ImageConfig): ImageConfig => ({
  ...labelled(config),
  Entrypoint: [config.Entrypoint?.[0] ?? 'node', '-e', "process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000)"],
  Cmd: [],
})

// ── rollout-lossless ────────────────────────────────────────────────────────────────────────────────────────────────

const losslessLoad = steadyLoad('rollout', { forMs: 30_000, takesMs: 200 })
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
  mutants: [withValuesOf('without-drain', { preStopSeconds: 0, drainMs: 0, stopMs: 0 }), actSkipped()],
}

/** One pod after the other. */
function rolloutParts(timing: TimingProfile) {
  return { ...timing.delivery, pull: PULL_MS, podStarts: REPLICAS * timing.hpa.podStartMs, endpoints: 5_000 }
}

// ── A version that cannot run ───────────────────────────────────────────────────────────────────────────────────────

const HOLD_MS = 10_000

/** Whether an event is of a pod of another version. */
export const isNew = (event: RecordedEvent, before: readonly KubeObject[]) => {
  const pod = podOf(event)
  return pod !== undefined && versionOf(imageOfPod(pod)) !== oldVersion(before)
}

export const cannotPull = (event: RecordedEvent) =>
  /^(ErrImagePull|ImagePullBackOff)$/.test(containerOf(podOf(event))?.state?.waiting?.reason ?? '')
const runs = (event: RecordedEvent) => containerOf(podOf(event))?.state?.running !== undefined

/** What serves is what goes on. */
async function takeBack(context: Context): Promise<void> {
  const pods = await context.cluster.kube.list(WORKLOAD_PODS)
  const digest = imageOfPod(pods.find((pod) => containerOf(pod)?.ready === true))?.split('@')[1]
  if (digest === undefined) throw new Failure({ what: 'Cannot take the version back', why: 'no pod serves that runs an image by digest' })
  await commitValues(context, 'Proof: the old version again', { image: { digest } })
}

const imageOfPod = (pod: KubeObject | undefined): string | undefined => pod?.spec.containers[0].image

function isTakenBack(event: RecordedEvent, before: readonly KubeObject[]): boolean {
  const workload = workloadOf(event)
  return workload !== undefined && versionOf(imageOf(workload)) === oldVersion(before) && isRolledOut(workload)
}

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
  readonly shows: Sight
  readonly isExtra?: boolean
}

/** The old pods go only when new ones are ready, and these never are. On both menus: what is proven is that it does no harm. */
function brokenVersion({ name, about, deploy, shows, isExtra = false }: BrokenVersion): Scenario {
  const scenario = experiment({
    name,
    about,
    isExtra,
    targets: present(WORKLOAD),
    held: 'Git asks for it all the while: Argo CD holds it, and only the rollout’s own caution speaks against it.',
    steady: [inSync, rolledOut],
    watches: WORKLOAD_WATCHES,
    undo: restoreValues,
    load: steadyLoad(name, { forMs: 36_000, ratePerS: 10, takesMs: 200 }),
    fault: { kind: 'act', name: COMMIT, run: deploy },
    bite: { name: 'a pod of it is there', matches: isNew },
    noticed: {
      sights: [{ name: shows.name, matches: (event, before) => isNew(event, before) && shows.matches(event, before) }],
      within: ({ delivery }) => ({ lowerMs: 200, partsMs: { ...delivery, pull: 2 * PULL_MS } }),
    },
    meanwhile: () => [asManyServe],
    end: { kind: 'act', name: 'commit the old version again', run: takeBack },
    healed: {
      sights: [{ name: 'the workload is the old version, and no other', matches: isTakenBack }],
      within: ({ delivery }) => ({ lowerMs: 50, partsMs: { ...delivery, replaced: REPLACED_MS } }),
    },
    claims: () => [onlyOldAnswered],
    mutants: [withValuesOf('all-at-once', { rollout: { maxUnavailable: '100%', maxSurge: 1 } })],
  })
  return { ...scenario, kind: 'proof', harm: { ...scenario.harm, isExtra: true } }
}

const asManyServe: Step = {
  kind: 'always',
  name: 'as many pods as before take traffic',
  forMs: HOLD_MS,
  concerns: (event) => readyPods(event) !== undefined,
  holds: (event) => (readyPods(event)?.length ?? 0) >= REPLICAS,
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
