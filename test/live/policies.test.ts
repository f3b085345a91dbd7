/** What the API server refuses in an environment, with which words, and that nobody but the policies refuses it. */
import type { KubeObject } from '#kit/kube'
import { pending, ready, terminal, waitFor } from '#kit/wait'
import { assert, suite } from '../suite.ts'
import { runningCluster } from './stack.ts'

const test = suite('policies')

const ENVIRONMENT = 'dev'
/** It has neither these policies nor a pod-security level. */
const ELSEWHERE = 'default'
const NAME = 'policies-test'
const LABELS = { app: NAME }
const DIGEST = `example.com/app@sha256:${'ab'.repeat(32)}`
const TAG = 'example.com/app:v1'
const POD_TIMEOUT_MS = 90_000

const cluster = await runningCluster()

interface PodSpec {
  readonly containers: readonly object[]
  readonly [field: string]: unknown
}

const LIMITS = { limits: { cpu: '10m', memory: '16Mi' }, requests: { cpu: '1m', memory: '16Mi' } }
/** What the namespace's pod-security level asks for besides. */
const CONFINED = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } }
const CONTAINER = { name: 'app', image: DIGEST, resources: LIMITS, securityContext: CONFINED }

const GOOD: PodSpec = {
  restartPolicy: 'Always',
  automountServiceAccountToken: false,
  securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [CONTAINER],
}

const once = (pod: PodSpec) => ({ template: { metadata: { labels: LABELS }, spec: { ...pod, restartPolicy: 'Never' } } })
const forever = (pod: PodSpec) => ({ selector: { matchLabels: LABELS }, template: { metadata: { labels: LABELS }, spec: pod } })

/** Everything that makes pods, and a pod itself. */
const KINDS: Readonly<Record<string, (pod: PodSpec) => { apiVersion: string; spec: object }>> = {
  Pod: (spec) => ({ apiVersion: 'v1', spec }),
  ReplicationController: (pod) => ({ apiVersion: 'v1', spec: { ...forever(pod), selector: LABELS } }),
  Deployment: (pod) => ({ apiVersion: 'apps/v1', spec: forever(pod) }),
  StatefulSet: (pod) => ({ apiVersion: 'apps/v1', spec: { ...forever(pod), serviceName: NAME } }),
  DaemonSet: (pod) => ({ apiVersion: 'apps/v1', spec: forever(pod) }),
  ReplicaSet: (pod) => ({ apiVersion: 'apps/v1', spec: forever(pod) }),
  Job: (pod) => ({ apiVersion: 'batch/v1', spec: once(pod) }),
  CronJob: (pod) => ({ apiVersion: 'batch/v1', spec: { schedule: '0 0 1 1 *', jobTemplate: { spec: once(pod) } } }),
}

function workload(kind: string, pod: PodSpec, namespace: string): KubeObject {
  const made = KINDS[kind]?.(pod)
  assert.ok(made !== undefined, kind)
  return { ...made, kind, metadata: { name: NAME, namespace, labels: LABELS } }
}

interface Refusal {
  readonly what: string
  readonly pod: PodSpec
  readonly policy: string
  readonly says: string
  /** Another part of admission refuses such pods before the policies are asked. */
  readonly notOfPods?: true
}

const INIT = { name: 'init', image: DIGEST, resources: LIMITS, securityContext: CONFINED }
const BY_DIGEST = 'Name each image by its digest, repository@sha256:…, instead of'
const NON_ROOT = 'Set runAsNonRoot: true and no runAsUser: 0 in the securityContext of the pod or of the container'
const LIMITED = 'Set resources.limits.cpu and resources.limits.memory of the container'

const REFUSED: readonly Refusal[] = [
  {
    what: 'a tag instead of a digest',
    pod: { ...GOOD, containers: [{ ...CONTAINER, image: TAG }] },
    policy: 'images-by-digest',
    says: `${BY_DIGEST} '${TAG}'`,
  },
  {
    what: 'a tag of an init container',
    pod: { ...GOOD, initContainers: [{ ...INIT, image: `${TAG}@sha256:ab` }] },
    policy: 'images-by-digest',
    says: `${BY_DIGEST} '${TAG}@sha256:ab'`,
  },
  {
    what: 'a pod that may be root',
    pod: { ...GOOD, securityContext: { seccompProfile: { type: 'RuntimeDefault' } } },
    policy: 'run-as-non-root',
    says: `${NON_ROOT} 'app'`,
    notOfPods: true,
  },
  {
    what: 'a container that is root where its pod is not',
    pod: { ...GOOD, initContainers: [{ ...INIT, securityContext: { ...CONFINED, runAsUser: 0 } }] },
    policy: 'run-as-non-root',
    says: `${NON_ROOT} 'init'`,
    notOfPods: true,
  },
  {
    what: 'a container without limits',
    pod: { ...GOOD, containers: [{ ...CONTAINER, resources: {} }] },
    policy: 'cpu-and-memory-limits',
    says: `${LIMITED} 'app'`,
  },
  {
    what: 'an init container without a limit of CPU',
    pod: { ...GOOD, initContainers: [{ ...INIT, resources: { limits: { memory: '16Mi' } } }] },
    policy: 'cpu-and-memory-limits',
    says: `${LIMITED} 'init'`,
  },
]

for (const { what, pod, policy, says, notOfPods } of REFUSED) {
  const kinds = Object.keys(KINDS).filter((kind) => kind !== 'Pod' || notOfPods === undefined)

  test(`${what} is refused in ${ENVIRONMENT}, with what to do`, async () => {
    for (const kind of kinds) {
      const refused = await assert.rejects(cluster.kube.dryRun(workload(kind, pod, ENVIRONMENT)), says)
      assert.match(refused.message, `ValidatingAdmissionPolicy '${policy}' with binding '${policy}' denied request`)
    }
  })

  test(`${what} is not refused in ${ELSEWHERE}: it is the policy that refuses`, async () => {
    for (const kind of kinds) assert.is((await cluster.kube.dryRun(workload(kind, pod, ELSEWHERE))).metadata.name, NAME)
  })
}

test(`what conforms is accepted in ${ENVIRONMENT}`, async () => {
  const inContainers = { runAsNonRoot: true, ...CONFINED }
  const pods: readonly PodSpec[] = [
    GOOD,
    { ...GOOD, initContainers: [INIT] },
    {
      ...GOOD,
      securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ ...CONTAINER, securityContext: inContainers }],
    },
  ]
  for (const pod of pods) {
    for (const kind of Object.keys(KINDS)) assert.is((await cluster.kube.dryRun(workload(kind, pod, ENVIRONMENT))).metadata.name, NAME)
  }
})

test('a container for debugging is no way around: it needs a digest as well', async () => {
  const [pod] = await cluster.kube.list({
    apiVersion: 'v1',
    kind: 'Pod',
    namespace: ENVIRONMENT,
    labelSelector: 'app.kubernetes.io/name=service',
  })
  const debugWith = (image: string) =>
    cluster.kube.request('PATCH', `/api/v1/namespaces/${ENVIRONMENT}/pods/${pod?.metadata.name}/ephemeralcontainers?dryRun=All`, {
      body: { spec: { ephemeralContainers: [{ name: 'debug', image, securityContext: CONFINED }] } },
      type: 'application/strategic-merge-patch+json',
    })
  await assert.rejects(debugWith(TAG), `${BY_DIGEST} '${TAG}'`)
  assert.ok(await debugWith(DIGEST))
})

test('the API server has nothing to say against the policies themselves', async ({ signal }) => {
  const look = async () => {
    const all = await cluster.kube.list({ apiVersion: 'admissionregistration.k8s.io/v1', kind: 'ValidatingAdmissionPolicy' })
    const ours = all.filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/part-of'] === 'holdfast')
    const unchecked = ours.filter(({ status, metadata }) => status?.observedGeneration !== metadata.generation)
    return ours.length >= 3 && unchecked.length === 0 ? ready(ours) : pending(`${unchecked.length} of ${ours.length} not looked at`)
  }
  const checked = await waitFor('the policies to be checked', look, { timeoutMs: 9_000, signal })
  for (const { metadata, status } of checked) assert.equal(status.typeChecking?.expressionWarnings ?? [], [], metadata.name)
})

const TRAFFIC = 'a pod of another namespace reaches the service, and neither its metrics nor its probes'

if (cluster.can.networkPolicy) {
  test(
    TRAFFIC,
    async ({ signal }) => {
      const [pod] = await cluster.kube.list({
        apiVersion: 'v1',
        kind: 'Pod',
        namespace: ENVIRONMENT,
        labelSelector: 'app.kubernetes.io/name=service',
      })
      const log = await runScript(connecting(pod?.status.podIP, [8080, 9464, 8081]), signal)
      assert.equal(JSON.parse(log), [true, false, false])
    },
    { timeoutMs: POD_TIMEOUT_MS },
  )
} else test.skip(TRAFFIC, 'this cluster enforces no NetworkPolicy; test/config/chart-network evaluates what they say')

/** Prints for each port whether a connection came about. */
function connecting(host: string, ports: readonly number[]): string {
  return `
const connects = (port) => new Promise((done) => {
  const socket = require('node:net').connect({ host: '${host}', port, timeout: 3000 })
  const end = (is) => { socket.destroy(); done(is) }
  socket.on('connect', () => end(true)).on('error', () => end(false)).on('timeout', () => end(false))
})
Promise.all([${ports}].map(connects)).then((all) => console.log(JSON.stringify(all)))`
}

/** Runs a script in a pod elsewhere, with the service's image, which has a Node. @returns its log. */
async function runScript(script: string, signal: AbortSignal): Promise<string> {
  const { kube } = cluster
  const deployment = await kube.get({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'service', namespace: ENVIRONMENT })
  const image = deployment?.spec.template.spec.containers[0].image
  const spec = { ...GOOD, restartPolicy: 'Never', containers: [{ ...CONTAINER, image, command: ['node', '-e', script], resources: {} }] }
  const ref = { apiVersion: 'v1', kind: 'Pod', name: NAME, namespace: ELSEWHERE }
  await kube.delete(ref)
  try {
    await waitFor('an older pod to be gone', async () => ((await kube.get(ref)) ? pending('still there') : ready(undefined)), {
      timeoutMs: 45_000,
      signal,
    })
    await kube.create(workload('Pod', spec, ELSEWHERE))
    const look = async () => {
      const phase = (await kube.get(ref))?.status?.phase
      if (phase === 'Failed') return terminal('the pod failed')
      return phase === 'Succeeded' ? ready(undefined) : pending(String(phase))
    }
    await waitFor(`pod ${NAME} to succeed`, look, { timeoutMs: POD_TIMEOUT_MS - 50_000, signal })
    return (await kube.request('GET', `/api/v1/namespaces/${ELSEWHERE}/pods/${NAME}/log`)) as string
  } finally {
    await kube.delete(ref)
  }
}

test.run()
