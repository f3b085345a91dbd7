/** The undo of what is being done, written into the cluster before it is done, so that any later command can find it. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { Failure, UserError } from '#kit/errors'
import { type Kube, KubeError, type KubeObject, refOf } from '#kit/kube'
import { isAlive } from '#kit/process'
import type { Progress } from '#kit/progress'
import { pending, ready, waitFor } from '#kit/wait'
import { commitDeploy } from './delivery.ts'
import type { Context, Undo, UndoStep } from './scenario.ts'

export const HOLDFAST_NAMESPACE = 'holdfast'
const LEASE = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', name: 'runner', namespace: HOLDFAST_NAMESPACE }
const JOURNAL_LABEL = 'holdfast.dev/journal'
const LEASE_SECONDS = 30
const RENEW_MS = 10_000
const SEEN_TIMEOUT_MS = 2_000

/** The cluster, taken for one run; disposing gives it back. */
export interface Lease extends AsyncDisposable {
  /** Aborts, with a Failure, where the cluster is another run's meanwhile. */
  readonly lost: AbortSignal
}

/** Takes the cluster for one run. @throws UserError while another run holds it. */
export async function takeLease(kube: Kube): Promise<Lease> {
  const holder = `${hostname()}/${process.pid}/${randomUUID().slice(0, 8)}`
  const current = await kube.get(LEASE)
  if (current !== undefined && isHeld(current)) throw heldBy(current.spec.holderIdentity)
  let mine = await writeLease(kube, holder, current).catch((thrown) => {
    throw thrown instanceof KubeError && thrown.status === 409 ? heldBy('another run') : thrown
  })
  const lost = new AbortController()
  const renew = async () => {
    const [now, isMine] = await renewLease(kube, holder, mine)
    if (isMine) mine = now
    else lost.abort(lostTo(now))
  }
  let renewing = Promise.resolve()
  const timer = setInterval(() => {
    renewing = renewing.then(renew).catch(() => {}) // nobody answers: it is tried again
  }, RENEW_MS)
  return {
    lost: lost.signal,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await renewing
      if (!lost.signal.aborted) await kube.deleteUnchanged(mine).catch(() => {}) // it runs out by itself
    },
  }
}

type Renewed = readonly [now: KubeObject, isMine: true] | readonly [now: KubeObject | undefined, isMine: false]

/** A renewal whose answer was lost looks as if another run had come between: only what stands there now tells. */
async function renewLease(kube: Kube, holder: string, seen: KubeObject): Promise<Renewed> {
  try {
    return [await writeLease(kube, holder, seen), true]
  } catch (thrown) {
    if (!(thrown instanceof KubeError && [404, 409].includes(thrown.status))) throw thrown
    const now = await kube.get(LEASE)
    return now?.spec?.holderIdentity === holder ? [now, true] : [now, false]
  }
}

/** A holder on this machine whose process has ended holds nothing any more, however fresh its lease. */
function isHeld({ spec }: KubeObject): boolean {
  const [host, pid] = String(spec?.holderIdentity ?? '').split('/')
  const isFresh = Date.now() - Date.parse(spec?.renewTime) < LEASE_SECONDS * 1000
  return isFresh && !(host === hostname() && !isAlive(Number(pid)))
}

function heldBy(holder: string): UserError {
  return new UserError({ what: 'Cannot start a run', why: `'${holder}' is running on this cluster`, next: 'Wait for it to end' })
}

/** One that is gone was another run's in between, which has given it back. */
function lostTo(now: KubeObject | undefined): Failure {
  const why = now === undefined ? 'its hold on the cluster is gone' : `'${now.spec?.holderIdentity}' has taken the cluster meanwhile`
  return new Failure({ what: 'Cannot go on with the run', why, next: 'Wait until nothing else runs on it, and run this again' })
}

/** The first write creates, later ones carry the version that was seen: of two writers one gets a conflict. */
async function writeLease(kube: Kube, holder: string, seen: KubeObject | undefined): Promise<KubeObject> {
  const { name, namespace, apiVersion, kind } = LEASE
  const spec = { holderIdentity: holder, renewTime: new Date().toISOString().replace('Z', '000Z'), leaseDurationSeconds: LEASE_SECONDS }
  if (seen === undefined) return kube.create({ apiVersion, kind, metadata: { name, namespace }, spec })
  return kube.mergePatch(LEASE, { metadata: { resourceVersion: seen.metadata.resourceVersion }, spec })
}

/** Writes an undo down. @returns its name, for `settle`. */
export async function journal(kube: Kube, reason: string, undo: Undo): Promise<string> {
  const name = `undo-${Date.now()}-${randomUUID().slice(0, 8)}`
  await kube.create({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: HOLDFAST_NAMESPACE, labels: { [JOURNAL_LABEL]: 'open' } },
    data: { reason, undo: JSON.stringify(undo) },
  })
  return name
}

/** What an undo is carried out with. */
export type Undoer = Pick<Context, 'cluster' | 'git'>

/** Carries an undo out and strikes it from the journal. Who interrupts a run wants it undone: its signal does not count here. */
export async function settle({ cluster, git }: Undoer, name: string): Promise<void> {
  const { signal } = new AbortController()
  const entry = await cluster.kube.get(entryRef(name))
  if (entry === undefined) return
  for (const step of JSON.parse(entry.data.undo) as Undo) await carryOut({ cluster, signal, git: () => git(signal) }, step)
  await strike(cluster.kube, name)
}

const entryRef = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', name, namespace: HOLDFAST_NAMESPACE })

/** Strikes an undo from the journal and leaves things as they are: what was done is to stay. */
export async function strike(kube: Kube, name: string): Promise<void> {
  await kube.delete(entryRef(name))
}

/** Undoes, newest first, what runs that were killed left behind. @returns their reasons. @throws the first error, after all were tried. */
export async function settleAll(undoer: Undoer): Promise<string[]> {
  const entries = await openEntries(undoer.cluster.kube)
  const errors: unknown[] = []
  for (const { metadata } of entries) await settle(undoer, metadata.name).catch((thrown) => errors.push(thrown))
  if (errors.length > 0) throw errors[0]
  return entries.map((entry) => entry.data.reason as string)
}

/** What is said of an undo that an interrupted run had left to do. */
export const undoneLine = (reason: string) => `Undid what an interrupted run had left: ${reason}`

/** As `settleAll`, and says each. */
export async function settleLeft(undoer: Undoer, progress: Pick<Progress, 'say'>): Promise<readonly string[]> {
  const reasons = await settleAll(undoer)
  for (const reason of reasons) progress.say(undoneLine(reason))
  return reasons
}

/** Undos that wait, newest first. */
export async function openEntries(kube: Kube): Promise<KubeObject[]> {
  const entries = await kube.list({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    namespace: HOLDFAST_NAMESPACE,
    labelSelector: `${JOURNAL_LABEL}=open`,
  })
  return entries.toSorted((a, b) => b.metadata.name.localeCompare(a.metadata.name))
}

/** What is gone needs no patch, and what has come back meanwhile needs no creation. */
async function carryOut(means: Pick<Context, 'cluster' | 'git' | 'signal'>, step: UndoStep): Promise<void> {
  const { kube } = means.cluster
  switch (step.op) {
    case 'create':
      return createUnlessThere(kube, step.object)
    case 'patch':
      return tolerate(404, () => kube.mergePatch(step.ref, step.patch))
    case 'delete':
      await kube.delete(step.ref)
      return
    case 'start-machine':
      return means.cluster.machines?.start(step.node)
    case 'commit':
      await commitDeploy(means, step)
  }
}

/**
 * Whoever heals may make it at the same moment. Its own refusal does not tell: a Service that is there is refused for its port (422), not
 * for its name (409), and a port is taken a moment before its Service can be seen.
 */
async function createUnlessThere(kube: Kube, object: KubeObject): Promise<void> {
  try {
    await kube.create(object)
  } catch (thrown) {
    if (!(thrown instanceof KubeError)) throw thrown
    const look = async () => ((await kube.get(refOf(object))) === undefined ? pending('it is not there') : ready(undefined))
    await waitFor(refOf(object).name, look, { timeoutMs: SEEN_TIMEOUT_MS, everyMs: 200 }).catch(() => {
      throw thrown
    })
  }
}

async function tolerate(status: number, work: () => Promise<unknown>): Promise<void> {
  await work().catch((thrown) => {
    if (!(thrown instanceof KubeError && thrown.status === status)) throw thrown
  })
}
