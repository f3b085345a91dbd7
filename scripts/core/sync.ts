/**
 * Code of the working tree in the pods of the first environment, without an image. Pods that can take it come by a commit to `deploy`, so
 * that nothing is drift, and go by another one, which stands in the journal before the first is made.
 */
import { randomBytes } from 'node:crypto'
import { Failure, messageOf, UserError } from '#kit/errors'
import { bundle } from '#kit/images'
import type { KubeObject, ObjectRef } from '#kit/kube'
import { secret } from '#kit/secret'
import { type Condition, pending, ready, terminal, waitFor } from '#kit/wait'
import { type Delivery, openDelivery, releasePart } from './deliver.ts'
import { commitDeploy, valuesFiles, withValues } from './delivery.ts'
import { FIRST_ENVIRONMENT } from './environments.ts'
import { firstProblem } from './health.ts'
import { journal, settle } from './journal.ts'
import type { Undo } from './scenario.ts'
import type { Cluster, Run, Stack } from './types.ts'
import { isRolledOut, WORKLOAD, WORKLOAD_PODS } from './workload.ts'

const SECRET: ObjectRef = { apiVersion: 'v1', kind: 'Secret', name: 'sync', namespace: FIRST_ENVIRONMENT }
/** What the chart calls the port that takes code. */
const PORT_NAME = 'sync'
const ROLLOUT_TIMEOUT_MS = 180_000
/** As long as a pod may try to start new code, and a moment. */
const TAKE_TIMEOUT_MS = 12_000

/** Pods that run what they are sent; disposal brings back what Git said before. */
export interface Sync extends AsyncDisposable {
  /** Aborts with the run's, and where another run has taken the cluster. */
  readonly signal: AbortSignal
  /** Whether a changed file is part of the code that is sent. */
  isCode(path: string): Promise<boolean>
  /** Sends the code as it stands to every pod. @returns how many run it. @throws Failure where one does not, which runs on as it was */
  send(): Promise<number>
}

/**
 * @throws UserError for a cluster that is not on this machine, or that another run holds. The first environment must run the working tree's
 * chart.
 */
export async function openSync(stack: Stack, { name, ...run }: Run & { readonly name: string }): Promise<Sync> {
  await using begun = new AsyncDisposableStack()
  const delivery = begun.use(await openDelivery(stack, { name, what: 'Cannot sync', ...run }))
  refuseElsewhere(delivery.cluster)
  const token = randomBytes(32).toString('hex')
  begun.use(await syncedPods(delivery, token))
  const sender = begun.use(createSender(delivery, token))
  const entry = entryOf(stack)
  const held = begun.move()
  return {
    signal: delivery.signal,
    isCode: async (path) => (await bundle(entry)).inputs.includes(path),
    send: async () => sender.send((await bundle(entry)).text),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

/** What is made for a sync lets whoever has its token run anything: never beyond this machine. */
export function refuseElsewhere({ name, kind, environment = FIRST_ENVIRONMENT }: Pick<Cluster, 'name' | 'kind' | 'environment'>): void {
  if (kind === 'k3s' && environment === FIRST_ENVIRONMENT) return
  const why = `'${name}' is ${kind === 'k3s' ? `the environment ${environment}` : `a cluster of the kind ${kind}`}`
  throw new UserError({
    what: 'Cannot sync',
    why,
    next: `Only ${FIRST_ENVIRONMENT} of a cluster on this machine takes code without an image`,
  })
}

function entryOf(stack: Stack): string {
  const inputs = releasePart(stack).release.build?.inputs ?? []
  const [entry] = inputs.flatMap((input) => (input.kind === 'bundle' ? [input.entry] : []))
  if (entry === undefined) throw new TypeError('The image that moves is not made of a bundle')
  return entry
}

// ── The pods ────────────────────────────────────────────────────────────────────────────────────────────────────────

async function syncedPods(delivery: Delivery, token: string): Promise<AsyncDisposable> {
  const { cluster, part, git, progress, signal } = delivery
  const of = { part: part.name, environment: FIRST_ENVIRONMENT }
  const { files } = await (await git()).readDeploy()
  const undo: Undo = [
    { op: 'commit', message: `${FIRST_ENVIRONMENT} runs its image again`, files: valuesFiles(files, of), applications: [] },
    { op: 'delete', ref: SECRET },
  ]
  const entry = await journal(cluster.kube, `the sync of code into ${FIRST_ENVIRONMENT}`, undo)
  const end = () =>
    progress.step(`Bring back what Git says of ${FIRST_ENVIRONMENT}`, async () => {
      await settle({ cluster, git: (own) => delivery.stack.git(cluster, own ?? new AbortController().signal) }, entry)
      await untilPods(cluster, { synced: false })
    })
  try {
    await progress.step(`Let ${FIRST_ENVIRONMENT} take code`, async (note) => {
      await cluster.kube.apply(secret(SECRET, { token }))
      const message = `${FIRST_ENVIRONMENT} takes code of a working tree, until its sync ends`
      const change = withValues(files, of, { sync: { secretName: SECRET.name } })
      await commitDeploy(delivery, { message, files: change, applications: [] })
      await untilPods(cluster, { synced: true, signal, onSeen: note })
    })
  } catch (thrown) {
    await end().catch((failed) => progress.say(`Bringing it back failed, the next command does it: ${messageOf(failed)}`))
    throw thrown
  }
  return { [Symbol.asyncDispose]: end }
}

interface WantedPods {
  readonly synced: boolean
  readonly signal?: AbortSignal
  readonly onSeen?: (seen: string) => void
}

/** Until all pods are of this kind, and ready. */
async function untilPods({ kube }: Cluster, { synced, ...options }: WantedPods): Promise<void> {
  const look = async (): Promise<Condition<void>> => {
    const [workload, pods] = await Promise.all([kube.get(WORKLOAD), kube.list(WORKLOAD_PODS)])
    if ((syncPort(workload?.spec.template.spec) !== undefined) !== synced) return pending('Argo CD has not synced it')
    if (isRolledOut(workload)) return ready(undefined)
    const problem = firstProblem(pods.filter((pod) => takesCode(pod) === synced))
    return problem === undefined ? pending('its pods are being replaced') : terminal(problem)
  }
  await waitFor(`the pods of ${FIRST_ENVIRONMENT}`, look, { timeoutMs: ROLLOUT_TIMEOUT_MS, everyMs: 200, ...options })
}

interface PodSpec {
  readonly containers: readonly { readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[] }[]
}

function syncPort(spec: PodSpec | undefined): number | undefined {
  return spec?.containers.flatMap(({ ports = [] }) => ports).find(({ name }) => name === PORT_NAME)?.containerPort
}

const takesCode = ({ spec }: KubeObject) => syncPort(spec) !== undefined

/** One that ends takes no code, and one that has not begun cannot yet. */
export function canTake(pod: KubeObject): boolean {
  return takesCode(pod) && pod.metadata.deletionTimestamp === undefined && pod.status?.phase === 'Running'
}

// ── Sending ─────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Sender extends Disposable {
  send(code: string): Promise<number>
}

/** What was sent last is sent to pods that come later, too. */
function createSender({ cluster, progress, signal }: Delivery, token: string): Sender {
  let newest: string | undefined
  const sent = new Set<string | undefined>()
  const sendTo = (pod: KubeObject, code: string) => {
    sent.add(pod.metadata.uid) // a container that starts again has it still, and what was refused is not sent again by itself
    return take(cluster, pod, { code, token, signal })
  }
  const watch = cluster.kube.watch(WORKLOAD_PODS, ({ type, object: pod }) => {
    if (type === 'DELETED') return void sent.delete(pod.metadata.uid)
    if (newest === undefined || !canTake(pod) || sent.has(pod.metadata.uid)) return
    sendTo(pod, newest).catch((thrown) => {
      if (!signal.aborted) progress.say(`✗ ${messageOf(thrown)}`)
    })
  })
  return {
    async send(code) {
      newest = code
      const pods = (await cluster.kube.list(WORKLOAD_PODS)).filter(canTake)
      if (pods.length === 0) throw new Failure({ what: 'Cannot send the code', why: `${FIRST_ENVIRONMENT} has no pod that takes it` })
      await Promise.all(pods.map((pod) => sendTo(pod, code)))
      return pods.length
    },
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  }
}

interface Sent {
  readonly code: string
  readonly token: string
  readonly signal: AbortSignal
}

/** Through the API server: the port is for nobody in the cluster. Ends when the pod serves the code. */
async function take({ kube }: Cluster, { metadata, spec }: KubeObject, { code, token, signal }: Sent): Promise<void> {
  const path = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}:${syncPort(spec)}/proxy/code`
  const look = async (): Promise<Condition<void>> => {
    const headers = { 'content-type': 'text/javascript', 'x-sync-token': token }
    const own = AbortSignal.any([signal, AbortSignal.timeout(TAKE_TIMEOUT_MS)])
    const answer = await kube.fetch(path, { method: 'PUT', body: code, headers, signal: own })
    const said = await answer.text()
    if (answer.ok) return ready(undefined)
    // What the pod itself refuses it always will; the API server's answers are of a pod that has just come.
    return [403, 422].includes(answer.status) ? terminal(said) : pending(`HTTP ${answer.status}: ${said.slice(0, 200)}`)
  }
  await waitFor(`pod '${metadata.name}' to run the code`, look, { timeoutMs: TAKE_TIMEOUT_MS, everyMs: 100, signal })
}
