/** The chart's values: what it refuses, and a kept rendering of every values file. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { assert, suite } from '../suite.ts'
import { BUILD, CHART, helm, render, valuesFiles, WITH_DIGEST } from './chart-fixture.ts'

const test = suite('chart values')
const execute = promisify(execFile)

const SNAPSHOTS = fileURLToPath(new URL('snapshots/', import.meta.url))
const UPDATE = 'UPDATE_SNAPSHOTS=1 npm run test:config'

test(
  'helm lint finds nothing in any values file',
  async () => {
    assert.ok(valuesFiles.length >= 2, 'the values files are found')
    for (const file of valuesFiles) {
      const out = await helm('lint', CHART, '--strict', '--values', `${CHART}${file}`, ...WITH_DIGEST)
      assert.match(out, '1 chart(s) linted, 0 chart(s) failed')
      assert.not.match(out, /\[(WARNING|ERROR)\]/)
    }
  },
  BUILD,
)

const REFUSED: readonly [setting: string, cause: RegExp][] = [
  ['replicas=two', /'\/replicas': got string, want integer/],
  ['replicas=-1', /'\/replicas': minimum/],
  ['workload.kind=StatefulSet', /'\/workload\/kind': value must be one of 'Deployment', 'Rollout'/],
  ['canary.weight=0', /'\/canary\/weight': minimum/],
  ['canary.weight=100', /'\/canary\/weight': maximum/],
  ['canary.steps=2', /additional properties 'steps' not allowed/],
  ['analysis.successes=1', /'\/analysis\/successes': minimum/],
  ['analysis.failureLimit=0', /'\/analysis\/failureLimit': minimum/],
  ['analysis.minRequests=0', /'\/analysis\/minRequests': minimum/],
  ['analysis.maxErrorShare=1', /'\/analysis\/maxErrorShare': exclusiveMaximum/],
  ['analysis.maxP95Seconds=10', /'\/analysis\/maxP95Seconds': exclusiveMaximum/],
  ['analysis.window=90', /'\/analysis\/window': got number, want string/],
  ['analysis.prometheus=prometheus:9090', /'\/analysis\/prometheus': .*does not match pattern/],
  ['analysis.template=Own', /'\/analysis\/template': .*does not match pattern/],
  ['analysis.query=up', /additional properties 'query' not allowed/],
  ['rollout.maxUnavailable=half', /'\/rollout\/maxUnavailable': .*oneOf/],
  ['rollout.maxSurge=-1', /'\/rollout\/maxSurge': .*oneOf/],
  ['replica=2', /additional properties 'replica' not allowed/],
  ['image.sha=x', /additional properties 'sha' not allowed/],
  ['image.digest=sha256:abc', /'\/image\/digest': .*does not match pattern/],
  ['image.repository=Holdfast', /'\/image\/repository': .*does not match pattern/],
  ['service.type=ExternalName', /'\/service\/type': value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'/],
  [
    'service.loadBalancerSourceRanges={10.0.0.0/8}',
    /service\.loadBalancerSourceRanges needs service\.type LoadBalancer instead of ClusterIP/,
  ],
  ['service.loadBalancerSourceRanges={10.0.0.0}', /'\/service\/loadBalancerSourceRanges\/0': .*does not match pattern/],
  ['service.annotations.internal=true', /'\/service\/annotations\/internal': got boolean, want string/],
  ['ingress.host=shop.example.org', /ingress\.host and ingress\.certificateArn go together: nothing is public without TLS/],
  ['ingress.certificateArn=arn:aws:acm:us-east-2:111122223333:certificate/a-1', /go together/],
  ['ingress.host=https://shop.example.org', /'\/ingress\/host': .*does not match pattern/],
  ['ingress.certificateArn=cert', /'\/ingress\/certificateArn': .*does not match pattern/],
  ['database.secretName=Database', /'\/database\/secretName': .*does not match pattern/],
  ['database.url=x', /additional properties 'url' not allowed/],
  ['tracing.endpoint=http://collector:4318', /'\/tracing\/endpoint': .*does not match pattern/],
  ['tracing.endpoint=http://collector.tracing.svc', /'\/tracing\/endpoint': .*does not match pattern/],
  ['tracing.sampler=always', /additional properties 'sampler' not allowed/],
  ['tolerationSeconds=-1', /'\/tolerationSeconds': minimum/],
  ['tolerationSeconds=soon', /'\/tolerationSeconds': got string, want integer/],
  ['service.nodePort=80', /'\/service\/nodePort': minimum/],
  ['service.nodePort=30001', /service\.nodePort is 30001, which needs service\.type NodePort instead of ClusterIP/],
  ['environment=Prod', /'\/environment': .*does not match pattern/],
  ['autoscaling.minReplicas=6', /autoscaling\.minReplicas is 6, more than autoscaling\.maxReplicas 5/],
  ['autoscaling.minReplicas=0', /'\/autoscaling\/minReplicas': minimum/],
  ['autoscaling.enabled=yes', /'\/autoscaling\/enabled': got string, want boolean/],
  ['autoscaling.replicas=3', /additional properties 'replicas' not allowed/],
  ['metrics.interval=15', /'\/metrics\/interval': got number, want string/],
  ['metrics.interval=1x', /'\/metrics\/interval': .*does not match pattern/],
  ['metrics.port=1', /additional properties 'port' not allowed/],
  ['logRequests=true', /'\/logRequests': value must be one of 'off', 'on'/],
  ['faults=true', /'\/faults': value must be one of 'off', 'on'/],
  [
    'preStopSeconds=20',
    /A pod may need 31000 ms to end \(preStopSeconds 20, drainMs 2000, stopMs 8000, and 1 s\), more than terminationGracePeriodSeconds 30/,
  ],
  ['terminationGracePeriodSeconds=15', /A pod may need 16000 ms to end/],
  ['stopMs=9001', /'\/stopMs': maximum/],
  ['drainMs=20001', /'\/drainMs': maximum/],
  ['resources.limits.cpu=lots', /'\/resources\/limits\/cpu': .*does not match pattern/],
  ['resources.limits.memory=null', /missing property 'memory'/],
]

for (const [setting, cause] of REFUSED) {
  test(`the chart refuses ${setting}`, async () => {
    await assert.rejects(render(...WITH_DIGEST, '--set', setting), cause)
  })
}

for (const file of valuesFiles) {
  test(`${file} renders what its snapshot says`, async () => {
    const path = snapshotOf(file)
    const rendered = await render('--values', `${CHART}${file}`, ...WITH_DIGEST)
    if (process.env.UPDATE_SNAPSHOTS === '1') {
      mkdirSync(SNAPSHOTS, { recursive: true })
      writeFileSync(path, rendered)
    }
    assert.ok(existsSync(path), `There is no ${path} yet. To write it: ${UPDATE}`)
    if (readFileSync(path, 'utf8') === rendered) return
    throw new Error(`The rendering differs from its snapshot. When that is meant: ${UPDATE}\n${await differences(path, rendered)}`)
  })
}

test('each snapshot belongs to a values file', () => {
  const kept = readdirSync(SNAPSHOTS).filter((name) => name.startsWith('chart-'))
  assert.equal(kept.sort(), valuesFiles.map((file) => basename(snapshotOf(file))).sort())
})

function snapshotOf(file: string): string {
  return join(SNAPSHOTS, `chart-${file}`)
}

/** What `diff` says; it ends with 1 when there is a difference. */
async function differences(path: string, rendered: string): Promise<string> {
  const running = execute('diff', ['-u', '--label', path, '--label', 'rendered', path, '-'])
  running.child.stdin?.end(rendered)
  return running.then(
    ({ stdout }) => stdout,
    ({ stdout, message }: Error & { stdout?: string }) => stdout || message,
  )
}

test.run()
