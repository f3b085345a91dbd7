/** The chart: by which ways the service is reached. */
import type { Cluster, Target } from '#core'
import { service } from '../../chart/part.ts'
import { assert, suite } from '../suite.ts'
import { at, CHART, DIGEST, objects, TARGET, WITH_DIGEST } from './chart-fixture.ts'

const test = suite('chart-reach')

test('the Service is a ClusterIP on 80, and a NodePort where it is published locally', async () => {
  const port = { name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }
  const byDefault = await objects(...WITH_DIGEST)
  assert.is(at(byDefault.Service, 'spec.type'), 'ClusterIP')
  assert.equal(at(byDefault.Service, 'spec.ports'), [port])
  const local = await objects('--values', `${CHART}values-local-published.yaml`, ...WITH_DIGEST)
  assert.is(at(local.Service, 'spec.type'), 'NodePort')
  assert.equal(at(local.Service, 'spec.ports'), [{ ...port, nodePort: 30082 }])
})

test('with a domain there is an Ingress, by TLS alone; without one, or without its certificate, nothing is public', async () => {
  const ingress = { host: 'shop.example.org', certificateArn: 'arn:aws:acm:us-east-2:111122223333:certificate/a-1' }
  const target: Target = { ...TARGET, cluster: { kind: 'eks', ingress } as Cluster, environment: 'staging' }
  const valuesOf = (given: Target) =>
    JSON.stringify(service().applications(given, { image: { digest: DIGEST } })[1]?.spec.sources[0].helm.valuesObject)
  const [project] = service().applications(target, {})
  assert.ok(project?.spec.namespaceResourceWhitelist.some(({ kind }: { kind: string }) => kind === 'Ingress'))
  const { Ingress, Service } = await objects('--set-json', valuesOf(target))
  assert.is(at(Ingress, 'spec.rules.0.host'), ingress.host)
  assert.equal(at(Ingress, 'spec.rules.0.http.paths.0.backend.service'), { name: Service?.metadata.name, port: { name: 'http' } })
  const annotations = Object.entries(Ingress?.metadata.annotations ?? {}).map(([name, value]) => [name.split('/')[1], value])
  const { 'certificate-arn': certificate, 'ssl-redirect': redirect, 'listen-ports': ports } = Object.fromEntries(annotations)
  assert.equal([certificate, redirect, JSON.parse(String(ports))], [ingress.certificateArn, '443', [{ HTTP: 80 }, { HTTPS: 443 }]])
  assert.is(at(Service, 'spec.type'), 'ClusterIP')
  assert.is((await objects('--set-json', valuesOf({ ...target, cluster: { kind: 'eks' } as Cluster }))).Ingress, undefined)
})

test('the Service may be a load balancer, with its annotations and those who may reach it', async () => {
  const { Service } = await objects(
    ...WITH_DIGEST,
    '--set-json',
    'service={"type":"LoadBalancer","annotations":{"example.com/scheme":"internal"},"loadBalancerSourceRanges":["10.0.0.0/8","fd00::/8"]}',
  )
  assert.is(at(Service, 'spec.type'), 'LoadBalancer')
  assert.equal(Service?.metadata.annotations, { 'example.com/scheme': 'internal' })
  assert.equal(at(Service, 'spec.loadBalancerSourceRanges'), ['10.0.0.0/8', 'fd00::/8'])
})

test.run()
