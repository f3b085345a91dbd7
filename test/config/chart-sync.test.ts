/** Pods that take code: what the chart makes of them, and where it refuses to. */

import { refuseElsewhere } from '#core'
import type { KubeObject } from '#kit/kube'
import { root } from '#kit/paths'
import { readPolicies } from '../../chart/policies.ts'
import { judgeObject } from '../../chart/policy.ts'
import { assert, suite } from '../suite.ts'
import { at, BUILD, objects, WITH_DIGEST } from './chart-fixture.ts'

const test = suite('chart sync')
const SYNC = ['--set', 'sync.secretName=sync']
const CONTAINER = 'spec.template.spec.containers.0'

test(
  'without a Secret nothing of it is there',
  async () => {
    const { Deployment } = await objects(...WITH_DIGEST)
    assert.not.match(JSON.stringify(Deployment), /sync/i)
  },
  BUILD,
)

test(
  'with one the same image is started by the supervisor, with a folder and a port for code, and room for two processes',
  async () => {
    const { Deployment } = await objects(...WITH_DIGEST, ...SYNC)
    const plain = (await objects(...WITH_DIGEST)).Deployment
    assert.is(at(Deployment, `${CONTAINER}.image`), at(plain, `${CONTAINER}.image`))
    assert.equal(at(Deployment, `${CONTAINER}.command`), ['/usr/local/bin/node', '--input-type=module-typescript', '--eval'])
    const [code] = at(Deployment, `${CONTAINER}.args`) as string[]
    assert.match(code ?? '', 'PUT /code')
    assert.not.match(code ?? '', /\$\(|\$\$/, 'Kubernetes would put variables in there')
    assert.equal(at(Deployment, `${CONTAINER}.volumeMounts`), [{ name: 'sync', mountPath: '/sync' }])
    assert.equal(at(Deployment, 'spec.template.spec.volumes'), [{ name: 'sync', emptyDir: { sizeLimit: '64Mi' } }])
    assert.is(at(Deployment, `${CONTAINER}.resources.limits.cpu`), '1000m')
    assert.equal(at(Deployment, `${CONTAINER}.securityContext`), at(plain, `${CONTAINER}.securityContext`))
    const ports = at(Deployment, `${CONTAINER}.ports`) as { name: string }[]
    assert.ok(ports.some(({ name }) => name === 'sync'))
  },
  BUILD,
)

test(
  'the policies of the environments let it in',
  async () => {
    const { Deployment } = await objects(...WITH_DIGEST, ...SYNC)
    assert.equal(judgeObject(Deployment as KubeObject, await readPolicies(root)), [])
  },
  BUILD,
)

test(
  'any environment but dev, and a Rollout, are refused',
  async () => {
    for (const other of ['environment=staging', 'environment=prod', 'workload.kind=Rollout'])
      await assert.rejects(objects(...WITH_DIGEST, ...SYNC, '--set', other), /sync\.secretName is for dev alone/)
  },
  BUILD,
)

test('a cluster that is not on this machine, and one that is another environment, are refused', () => {
  refuseElsewhere({ name: 'local', kind: 'k3s' })
  refuseElsewhere({ name: 'local', kind: 'k3s', environment: 'dev' })
  assert.throws(() => refuseElsewhere({ name: 'far', kind: 'eks', environment: 'dev' }), /Cannot sync: 'far' is a cluster of the kind eks/)
  assert.throws(() => refuseElsewhere({ name: 'local', kind: 'k3s', environment: 'staging' }), /'local' is the environment staging/)
})

test.run()
