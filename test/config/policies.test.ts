/** The policies as Git holds them: each is bound, refuses, and is about the environments. What they refuse is tested on a cluster. */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { type Cluster, composeDeploy, ENVIRONMENTS, renderObjects, type Stack, type Target } from '#core'
import type { KubeObject } from '#kit/kube'
import { policies, service } from '../../chart/part.ts'
import { assert, suite } from '../suite.ts'

const test = suite('policies')

const FOLDER = fileURLToPath(new URL('../../chart/policies/', import.meta.url))
const NAMES = ['cpu-and-memory-limits', 'images-by-digest', 'run-as-non-root']
const TEMPLATED = ['replicationcontrollers', 'deployments', 'statefulsets', 'daemonsets', 'replicasets', 'jobs', 'cronjobs']
const target = { cluster: {} as Cluster, environment: 'dev', repoUrl: 'http://git/x.git', images: new Map() } as unknown as Target

async function rendered(kind: string): Promise<KubeObject[]> {
  const objects = (await policies.rendered?.(target)) ?? []
  return objects.filter((each) => each.kind === kind).toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name))
}

const namesOf = (objects: readonly KubeObject[]) => objects.map(({ metadata }) => metadata.name)

test('every file is rendered, and holds a policy with a binding of the same name', async () => {
  assert.equal(
    readdirSync(FOLDER)
      .map((file) => file.replace(/\.yaml$/, ''))
      .sort(),
    NAMES,
  )
  const bindings = await rendered('ValidatingAdmissionPolicyBinding')
  assert.equal(namesOf(await rendered('ValidatingAdmissionPolicy')), NAMES)
  assert.equal(namesOf(bindings), NAMES)
  assert.equal(
    bindings.map(({ spec }) => spec.policyName),
    NAMES,
  )
})

test('each policy refuses, also when it cannot tell, and says what to do', async () => {
  for (const { spec, metadata } of await rendered('ValidatingAdmissionPolicy')) {
    assert.is(spec.failurePolicy, 'Fail', metadata.name)
    for (const { message, messageExpression } of spec.validations) {
      assert.match(message, /^(Name|Set) /)
      // What is said of a container that is named begins alike: the message stands in for it where it cannot be made.
      assert.ok(messageExpression.startsWith(`'${message.slice(0, 20)}`), metadata.name)
    }
  }
  for (const { spec } of await rendered('ValidatingAdmissionPolicyBinding')) assert.equal(spec.validationActions, ['Deny'])
})

test('each policy looks at pods, at what changes the containers of one, and at everything with a template for them', async () => {
  const subresource: Readonly<Record<string, string>> = {
    'cpu-and-memory-limits': 'pods/resize',
    'images-by-digest': 'pods/ephemeralcontainers',
    'run-as-non-root': 'pods/ephemeralcontainers',
  }
  for (const { spec, metadata } of await rendered('ValidatingAdmissionPolicy')) {
    const rules = spec.matchConstraints.resourceRules as { resources: string[]; operations: string[] }[]
    assert.equal(
      rules.flatMap(({ resources }) => resources),
      ['pods', subresource[metadata.name], ...TEMPLATED],
    )
    for (const { operations } of rules) assert.equal(operations, ['CREATE', 'UPDATE'])
  }
})

test('the policies are about the environments, by a label that nobody can take off, and about no other namespace', async () => {
  for (const { spec } of await rendered('ValidatingAdmissionPolicyBinding')) {
    assert.equal(spec.matchResources.namespaceSelector, {
      matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: ENVIRONMENTS }],
    })
  }
  for (const { name } of service().namespaces) assert.ok((ENVIRONMENTS as readonly string[]).includes(name), name)
})

test('the platform’s project allows them, the service’s does not', async () => {
  const files = new Map<string, string>()
  const stack = { name: 's', parts: [policies] } as unknown as Stack
  composeDeploy(files, stack, { target, rendered: await renderObjects(stack, target) })
  const platform = parse(files.get('applications/appproject.argocd.platform.yaml') ?? '')
  const kinds = ['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding']
  assert.equal(
    platform.spec.clusterResourceWhitelist,
    kinds.map((kind) => ({ group: 'admissionregistration.k8s.io', kind })),
  )
  const application = parse(files.get('applications/application.argocd.policies.yaml') ?? '')
  assert.is(application.spec.project, 'platform')
  const timing = { speedup: 1, hpa: { scaleInWindowMs: 1000 } }
  const [project] = service().applications({ ...target, timing } as unknown as Target, {})
  assert.equal(project?.spec.clusterResourceWhitelist, [])
})

test.run()
