/** Who reaches what with the chart's NetworkPolicy, and whether the evaluator that says so is right. */
import { ENVIRONMENTS, type StoredImage, type Target } from '#core'
import type { KubeObject } from '#kit/kube'
import { load } from '../../load/part.ts'
import { assert, suite } from '../suite.ts'
import { at, BUILD, objects, WITH_DIGEST } from './chart-fixture.ts'
import { type Connection, OUTSIDE, type Pod, reaches } from './reach.ts'

const test = suite('chart network')

/** The namespace's own policy holds the load back as well. */
async function loadPolicies(): Promise<readonly KubeObject[]> {
  const images = new Map(
    load.images.map((spec): [string, StoredImage] => [spec.name, { spec, key: 'k', digest: 'sha256:aa', way: 'built' }]),
  )
  const rendered = (await load.rendered?.({ cluster: {}, environment: 'dev', images } as unknown as Target)) ?? []
  return rendered.filter(({ kind }) => kind === 'NetworkPolicy')
}

/** The policies, and a pod of the service, as they are rendered with these values. */
async function network(...settings: readonly string[]): Promise<{ policies: readonly KubeObject[]; service: Pod }> {
  const { NetworkPolicy, Deployment } = await objects(...WITH_DIGEST, ...settings.flatMap((each) => ['--set', each]))
  assert.ok(NetworkPolicy !== undefined)
  const labels = at(Deployment, 'spec.template.metadata.labels') as Pod['labels']
  const ports = at(Deployment, 'spec.template.spec.containers.0.ports') as NonNullable<Pod['ports']>
  return { policies: [NetworkPolicy, ...(await loadPolicies())], service: { namespace: 'dev', labels, ports } }
}

const named = (name: string) => ({ 'app.kubernetes.io/name': name })

/** Pods as others make them. */
const POD = {
  prometheus: { namespace: 'monitoring', labels: named('prometheus') },
  alertmanager: { namespace: 'monitoring', labels: named('alertmanager') },
  k6: { namespace: 'load', labels: named('k6') },
  neighbour: { namespace: 'dev', labels: named('neighbour') },
  /** It calls itself Prometheus, in a namespace that is not Prometheus'. */
  stranger: { namespace: 'default', labels: named('prometheus') },
  database: { namespace: 'database', labels: named('postgresql') },
  dns: { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } },
  kubeProxy: { namespace: 'kube-system', labels: { 'k8s-app': 'kube-proxy' } },
  collector: { namespace: 'tracing', labels: named('collector') },
} satisfies Record<string, Pod>

const SOURCES = ['prometheus', 'alertmanager', 'k6', 'neighbour', 'stranger'] as const

type End = Omit<Connection, 'from'>

const DATABASE: End = { to: POD.database, port: 5432 }
const OUTWARD = {
  database: DATABASE,
  'database, other port': { to: POD.database, port: 5433 },
  'dns by UDP': { to: POD.dns, port: 53, protocol: 'UDP' },
  'dns by TCP': { to: POD.dns, port: 53 },
  'dns, metrics': { to: POD.dns, port: 9153 },
  'another pod of kube-system': { to: POD.kubeProxy, port: 53 },
  collector: { to: POD.collector, port: 4318 },
  'collector, other port': { to: POD.collector, port: 4317 },
  'a pod of its own namespace': { to: POD.neighbour, port: 8080 },
} satisfies Record<string, End>

const INWARD: readonly [from: (typeof SOURCES)[number] | typeof OUTSIDE, reached: readonly string[]][] = [
  [OUTSIDE, ['http']],
  ['prometheus', ['http', 'metrics']],
  ['alertmanager', ['http']],
  ['k6', ['http']],
  ['neighbour', ['http']],
  ['stranger', ['http']],
]

for (const [from, reached] of INWARD) {
  test(
    `of the service, ${from} reaches ${reached.join(' and ')} and nothing else`,
    async () => {
      const { policies, service } = await network()
      const ports = (service.ports ?? []).filter(({ containerPort }) =>
        reaches({ from: from === OUTSIDE ? OUTSIDE : POD[from], to: service, port: containerPort }, policies),
      )
      assert.equal(
        ports.map(({ name }) => name),
        reached,
      )
      assert.is(service.ports?.length, 3, 'http, metrics and probes were tried')
    },
    BUILD,
  )
}

const DNS = ['dns by UDP', 'dns by TCP']
const OUTWARD_OF_SERVICE: readonly [settings: string, reached: readonly string[]][] = [
  ['faults=off', DNS],
  ['database.secretName=database', ['database', ...DNS]],
  ['tracing.endpoint=http://collector.tracing.svc:4318', [...DNS, 'collector']],
  ['tracing.endpoint=https://collector.tracing.svc.cluster.local:4317', [...DNS, 'collector, other port']],
]

for (const [settings, reached] of OUTWARD_OF_SERVICE) {
  test(`with ${settings} the service reaches ${reached.join(', ')} and nothing else`, async () => {
    const { policies, service } = await network(settings)
    const ends = Object.entries({ ...OUTWARD, itself: { to: service, port: 8080 } })
    const found = ends.filter(([, end]) => reaches({ from: service, ...end }, policies)).map(([name]) => name)
    assert.equal(found, reached)
  })
}

test('the load reaches the environments and DNS, and no database; the policy of the service says nothing about others', async () => {
  const { policies } = await network()
  const found = (from: Pod) => Object.entries(OUTWARD).filter(([, end]) => reaches({ from, ...end }, policies)).length
  assert.ok(reaches({ from: POD.k6, ...OUTWARD['dns by UDP'] }, policies))
  assert.not.ok(reaches({ from: POD.k6, ...DATABASE }, policies))
  for (const namespace of ENVIRONMENTS)
    assert.ok(reaches({ from: POD.k6, to: { ...POD.neighbour, namespace }, port: 8080 }, policies), namespace)
  for (const from of [POD.prometheus, POD.alertmanager, POD.neighbour, POD.stranger]) assert.is(found(from), Object.keys(OUTWARD).length)
})

test('the address of the service is no way around it: a pod of another release is not let in or out by it', async () => {
  const { policies, service } = await network()
  const other = { ...service, labels: { ...service.labels, 'app.kubernetes.io/instance': 'other' } }
  assert.ok(reaches({ from: POD.stranger, to: other, port: 8081 }, policies))
  assert.ok(reaches({ from: other, ...DATABASE }, policies))
})

// ── The evaluator ───────────────────────────────────────────────────────────────────────────────────────────────────

const END: Pod = { namespace: 'a', labels: { app: 'end', tier: '1' }, ports: [{ name: 'web', containerPort: 80 }] }
const START: Pod = { namespace: 'b', labels: { app: 'start' } }

function policy(namespace: string, spec: object): KubeObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'p', namespace },
    spec: { podSelector: {}, ...spec },
  }
}

const into = (...ingress: readonly object[]) => policy('a', { policyTypes: ['Ingress'], ingress })
const outOf = (...egress: readonly object[]) => policy('b', { policyTypes: ['Egress'], egress })
const space = (name: string) => ({ matchLabels: { 'kubernetes.io/metadata.name': name } })
const expression = (key: string, operator: string, ...values: readonly string[]) => ({ matchExpressions: [{ key, operator, values }] })

const CASES: readonly [what: string, policies: readonly KubeObject[], isReached: boolean][] = [
  ['no policy', [], true],
  ['a policy without rules', [into()], false],
  ['an empty rule', [into({})], true],
  ['a policy of another namespace', [policy('c', { policyTypes: ['Ingress', 'Egress'] })], true],
  ['a policy that selects other pods', [policy('a', { podSelector: { matchLabels: { app: 'other' } } })], true],
  ['a policy that selects by one of two labels', [policy('a', { podSelector: { matchLabels: { app: 'end' } } })], false],
  ['a policy that needs one label more', [policy('a', { podSelector: { matchLabels: { app: 'end', tier: '2' } } })], true],
  ['no types and no egress: not about what goes out', [policy('b', {})], true],
  ['no types, but egress', [policy('b', { egress: [] })], false],
  ['types without egress', [policy('b', { policyTypes: ['Ingress'], egress: [] })], true],
  ['in allowed, out refused', [into({}), outOf()], false],
  ['out allowed, in refused', [into(), outOf({})], false],
  ['both allowed', [into({}), outOf({})], true],
  ['one policy refuses, one allows: they add up', [into(), into({})], true],
  ['the namespace', [into({ from: [{ namespaceSelector: space('b') }] })], true],
  ['another namespace', [into({ from: [{ namespaceSelector: space('c') }] })], false],
  ['every namespace', [into({ from: [{ namespaceSelector: {} }] })], true],
  ['the pod, but in the policy’s own namespace', [into({ from: [{ podSelector: { matchLabels: { app: 'start' } } }] })], false],
  ['the pod in its namespace', [into({ from: [{ namespaceSelector: space('b'), podSelector: { matchLabels: { app: 'start' } } }] })], true],
  [
    'another pod in its namespace',
    [into({ from: [{ namespaceSelector: space('b'), podSelector: { matchLabels: { app: 'x' } } }] })],
    false,
  ],
  ['either of two peers', [into({ from: [{ podSelector: {} }, { namespaceSelector: space('b') }] })], true],
  ['the port', [into({ ports: [{ port: 80 }] })], true],
  ['another port', [into({ ports: [{ port: 81 }] })], false],
  ['the port by another protocol', [into({ ports: [{ port: 80, protocol: 'UDP' }] })], false],
  ['every port of the protocol', [into({ ports: [{ protocol: 'TCP' }] })], true],
  ['every port of another protocol', [into({ ports: [{ protocol: 'UDP' }] })], false],
  ['a range of ports', [into({ ports: [{ port: 79, endPort: 81 }] })], true],
  ['a range of other ports', [into({ ports: [{ port: 81, endPort: 90 }] })], false],
  ['the port’s name', [into({ ports: [{ port: 'web' }] })], true],
  ['another port’s name', [into({ ports: [{ port: 'metrics' }] })], false],
  ['the port’s name by another protocol', [into({ ports: [{ port: 'web', protocol: 'UDP' }] })], false],
  ['the name of a port of the end, on the way out', [outOf({ ports: [{ port: 'web' }] })], true],
  ['the peer with another port', [into({ from: [{ namespaceSelector: {} }], ports: [{ port: 81 }] })], false],
  [
    'the peer in one rule, the port in another',
    [into({ from: [{ podSelector: {} }], ports: [{ port: 80 }] }, { ports: [{ port: 81 }] })],
    false,
  ],
  ['In', [policy('a', { podSelector: expression('tier', 'In', '1', '2') })], false],
  ['In, of none', [policy('a', { podSelector: expression('tier', 'In', '2') })], true],
  ['NotIn', [policy('a', { podSelector: expression('tier', 'NotIn', '2') })], false],
  ['NotIn of a label that is not there', [policy('a', { podSelector: expression('zone', 'NotIn', '2') })], false],
  ['Exists', [policy('a', { podSelector: expression('tier', 'Exists') })], false],
  ['DoesNotExist', [policy('a', { podSelector: expression('tier', 'DoesNotExist') })], true],
]

for (const [what, policies, isReached] of CASES) {
  test(`reaches() is ${isReached} with ${what}`, () => {
    assert.is(reaches({ from: START, to: END, port: 80 }, policies), isReached)
  })
}

test('reaches() lets in from outside only what a rule lets in from everywhere', () => {
  assert.ok(reaches({ from: OUTSIDE, to: END, port: 80 }, [into({ ports: [{ port: 80 }] })]))
  assert.not.ok(reaches({ from: OUTSIDE, to: END, port: 80 }, [into({ from: [{ namespaceSelector: {} }] })]))
})

test('reaches() does not guess: it refuses addresses and unknown operators', async () => {
  const ask = async (given: KubeObject) => reaches({ from: START, to: END, port: 80 }, [given])
  await assert.rejects(ask(into({ from: [{ ipBlock: { cidr: '10.0.0.0/8' } }] })), /Cannot tell whom an ipBlock reaches/)
  await assert.rejects(ask(policy('a', { podSelector: expression('tier', 'Is', '1') })), /'Is' is no operator of a selector/)
})

test.run()
