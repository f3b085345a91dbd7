/** Everything that the chart and the policies render is what the API server of the pinned version takes, field by field. */
import type { StoredImage, Target } from '#core'
import type { KubeObject } from '#kit/kube'
import { readEnums } from '#kit/schemas'
import { prometheusOperator } from '../../alerts/operator/part.ts'
import { rollouts } from '../../argocd/rollouts/part.ts'
import { policies } from '../../chart/part.ts'
import { assert, suite } from '../suite.ts'
import { BUILD, CHART, renderedObjects, valuesFiles, WITH_DIGEST } from './chart-fixture.ts'
import { createValidator, type Validator } from './openapi.ts'

const test = suite('chart schema')

let validator: Validator
test.before(async () => {
  validator = await createValidator(await definitions())
}, BUILD)

/** The kinds of others, as the stack installs them. */
async function definitions(): Promise<readonly KubeObject[]> {
  const parts = [prometheusOperator, rollouts]
  const stored = parts
    .flatMap(({ images }) => images)
    .map((spec): [string, StoredImage] => [spec.name, { spec, key: 'k', digest: 'sha256:aa', way: 'built' }])
  const target = { cluster: {}, images: new Map(stored), timing: { speedup: 1 } } as unknown as Target
  const objects = await Promise.all(parts.map(async (part) => (await part.rendered?.(target)) ?? []))
  return objects.flat().filter(({ kind }) => kind === 'CustomResourceDefinition')
}

/** Each problem with the object that has it. */
async function problemsOf(objects: readonly KubeObject[]): Promise<string[]> {
  const all = await Promise.all(
    objects.map(async (object) =>
      (await validator.problemsOf(object)).map((problem) => `${object.kind} ${object.metadata.name}: ${problem}`),
    ),
  )
  return all.flat()
}

const EVERYTHING = ['--set', 'database.secretName=db,tracing.endpoint=http://collector.tracing.svc:4318,autoscaling.enabled=false']
const BALANCED = { type: 'LoadBalancer', annotations: { 'example.com/scheme': 'internal' }, loadBalancerSourceRanges: ['10.0.0.0/8'] }

for (const file of valuesFiles) {
  test(
    `what ${file} renders is valid, with the features that are off by default too`,
    async () => {
      const args = ['--values', `${CHART}${file}`, ...WITH_DIGEST]
      const byDefault = await renderedObjects(...args)
      assert.ok(byDefault.length >= 8, 'there is something to validate')
      assert.equal(await problemsOf(byDefault), [])
      assert.equal(await problemsOf(await renderedObjects(...args, ...EVERYTHING)), [])
    },
    BUILD,
  )
}

test('the Service is valid as a load balancer', async () => {
  assert.equal(await problemsOf(await renderedObjects(...WITH_DIGEST, '--set-json', `service=${JSON.stringify(BALANCED)}`)), [])
})

test('the Ingress is valid', async () => {
  const ingress = 'ingress.host=shop.example.org,ingress.certificateArn=arn:aws:acm:us-east-2:111122223333:certificate/a-1'
  const rendered = await renderedObjects(...WITH_DIGEST, '--set', ingress)
  assert.ok(rendered.some(({ kind }) => kind === 'Ingress'))
  assert.equal(await problemsOf(rendered), [])
})

test('the policies are valid', async () => {
  const objects = (await policies.rendered?.({} as Target)) ?? []
  assert.ok(objects.length >= 6, 'there is something to validate')
  assert.equal(await problemsOf(objects), [])
})

/** The object of a kind, with `change` made to a copy of it. */
async function changed(kind: string, change: (object: KubeObject) => void): Promise<KubeObject> {
  const found = (await renderedObjects(...WITH_DIGEST, '--set', 'workload.kind=Rollout')).find((each) => each.kind === kind)
  assert.ok(found !== undefined, kind)
  const copy = structuredClone(found)
  change(copy)
  return copy
}

const BROKEN: readonly [what: string, kind: string, change: (object: KubeObject) => void, problems: readonly string[]][] = [
  [
    'a misspelt field',
    'Deployment',
    ({ spec }) => Object.assign(spec.template.spec.containers[0], { imagePullpolicy: 'Always' }),
    ['spec.template.spec.containers.0.imagePullpolicy is not a field'],
  ],
  [
    'a misspelt field of metadata',
    'ServiceMonitor',
    ({ metadata }) => Object.assign(metadata, { label: {} }),
    ['metadata.label is not a field'],
  ],
  [
    'a wrong type',
    'Deployment',
    ({ spec }) => Object.assign(spec, { revisionHistoryLimit: '5' }),
    ['spec.revisionHistoryLimit must be integer'],
  ],
  [
    'a label that is a number',
    'Service',
    ({ metadata }) => Object.assign(metadata.labels ?? {}, { 'example.com/n': 1 }),
    ['metadata.labels.example.com/n must be string'],
  ],
  ['an empty value', 'Service', ({ spec }) => Object.assign(spec, { selector: null }), ['spec.selector must be object']],
  [
    'a missing field',
    'Deployment',
    ({ spec }) => Object.assign(spec, { selector: undefined }),
    ["spec must have required property 'selector'"],
  ],
  [
    'a value that is none of those allowed',
    'Service',
    ({ spec }) => Object.assign(spec, { type: 'NodeBalancer' }),
    ['spec.type must be one of ClusterIP, ExternalName, LoadBalancer, NodePort'],
  ],
  [
    'a list’s value that is none of those allowed',
    'NetworkPolicy',
    ({ spec }) => Object.assign(spec, { policyTypes: ['Ingres'] }),
    ['spec.policyTypes.0 must be one of Egress, Ingress'],
  ],
  [
    'a misspelt field of a custom kind',
    'ServiceMonitor',
    ({ spec }) => Object.assign(spec.endpoints[0], { scrapeTimeOut: '1s' }),
    ['spec.endpoints.0.scrapeTimeOut is not a field'],
  ],
  [
    'a misspelt field of a canary',
    'Rollout',
    ({ spec }) => Object.assign(spec.strategy.canary, { maxsurge: 1 }),
    ['spec.strategy.canary.maxsurge is not a field'],
  ],
  [
    'a misspelt limit',
    'AnalysisTemplate',
    ({ spec }) => Object.assign(spec.metrics[0], { consecutiveSuccessesLimit: 3 }),
    ['spec.metrics.0.consecutiveSuccessesLimit is not a field'],
  ],
  [
    'a wrong value of a custom kind',
    'ServiceMonitor',
    ({ spec }) => Object.assign(spec.endpoints[0].relabelings[0], { action: 'drop-label' }),
    ['spec.endpoints.0.relabelings.0.action must be one of'],
  ],
]

for (const [what, kind, change, problems] of BROKEN) {
  test(`${what} of a ${kind} is reported with its path`, async () => {
    const found = await validator.problemsOf(await changed(kind, change))
    assert.is(found.length, problems.length, found.join('\n'))
    for (const [i, problem] of problems.entries()) assert.ok(found[i]?.startsWith(problem), found[i])
  })
}

test('a name and a number are both a port, and nothing else is', async () => {
  const withPort = (port: unknown) =>
    changed('Deployment', ({ spec }) => Object.assign(spec.template.spec.containers[0].livenessProbe.httpGet, { port }))
  assert.equal(await validator.problemsOf(await withPort('probes')), [])
  assert.equal(await validator.problemsOf(await withPort(8081)), [])
  assert.match((await validator.problemsOf(await withPort(true))).join(), /httpGet\.port must be/)
})

test('a kind that its version does not have is refused', async () => {
  const object = { apiVersion: 'policy/v1', kind: 'PodDisruptionBugdet', metadata: { name: 'x' } }
  await assert.rejects(validator.problemsOf(object), 'Cannot validate PodDisruptionBugdet: policy/v1 has no such kind')
})

test('enums are read by their type and field', () => {
  const code = [
    'func schema_k8sio_api_core_v1_ServicePort(ref common.ReferenceCallback) common.OpenAPIDefinition {',
    '\t\t\t\t\t"protocol": {',
    '\t\t\t\t\t\t\tEnum:        []interface{}{"SCTP", "TCP", "UDP"},',
  ]
  assert.equal([...readEnums(code.join('\n'))], [['io.k8s.api.core.v1.ServicePort.protocol', ['SCTP', 'TCP', 'UDP']]])
})

test.run()
