/** What `cloud:up` takes the stack to ask for, against what its manifests ask for. */
import { type Cluster, renderObjects, type StoredImage, stackOn, type Target } from '#core'
import type { KubeObject } from '#kit/kube'
import { NEED } from '../../cloud/preflight.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { objects, WITH_DIGEST } from './chart-fixture.ts'

const test = suite('cloud room')

interface Container {
  readonly resources?: { readonly requests?: { readonly cpu?: string; readonly memory?: string } }
}

interface Asked {
  readonly pods: number
  readonly cpuMillis: number
  readonly memoryMiB: number
}

const millis = (cpu = '0') => (cpu.endsWith('m') ? Number(cpu.slice(0, -1)) : Number(cpu) * 1000)
const UNITS: Readonly<Record<string, number>> = { Ki: 1 / 1024, Mi: 1, Gi: 1024 }
const mebibytes = (memory = '0Mi') => Number(memory.slice(0, -2)) * (UNITS[memory.slice(-2)] ?? Number.NaN)

const of = (containers: readonly Container[], pods: number): Asked => ({
  pods,
  cpuMillis: pods * containers.reduce((sum, { resources }) => sum + millis(resources?.requests?.cpu), 0),
  memoryMiB: pods * containers.reduce((sum, { resources }) => sum + mebibytes(resources?.requests?.memory), 0),
})

/** The operator makes a StatefulSet of its own kinds. */
const OPERATED = ['Prometheus', 'Alertmanager']

function askedBy({ kind, spec }: KubeObject): Asked[] {
  if (OPERATED.includes(kind)) return [of([spec, ...(spec.containers ?? [])], spec.replicas ?? 1)]
  return kind === 'Deployment' || kind === 'StatefulSet' ? [of(spec.template.spec.containers, spec.replicas ?? 1)] : []
}

async function rendered(): Promise<readonly KubeObject[]> {
  const there = stackOn(stack, 'eks')
  const specs = there.parts.flatMap(({ images, release }) => [...images, ...(release === undefined ? [] : [release])])
  const images = new Map(specs.map((spec) => [spec.name, { spec, key: '', digest: 'sha256:aa', way: 'pulled' } as StoredImage]))
  const cluster = { name: 'holdfast-dev', kind: 'eks', timing: 'production', brings: { metricsServer: false }, address: () => 'https://x' }
  const target = {
    cluster: cluster as unknown as Cluster,
    environment: 'dev',
    timing: stack.timing.production,
    repoUrl: '',
    images,
  } as Target
  return (await renderObjects(there, target)).objects
}

test('the platform asks for no more than it is taken to', async () => {
  const asked = (await rendered()).flatMap(askedBy)
  const sum = (field: keyof Asked) => asked.reduce((total, each) => total + each[field], 0)
  const pairs = [
    [sum('pods'), NEED.platformPods],
    [sum('cpuMillis'), NEED.platformCpuMillis],
    [sum('memoryMiB'), NEED.platformMemoryMiB],
  ] as const
  for (const [needs, taken] of pairs) assert.ok(needs > 0 && needs <= taken, `${needs} of ${taken}`)
  assert.equal((await rendered()).filter(({ kind }) => kind === 'DaemonSet').length + 4, NEED.daemonsPerNode)
})

test('a pod of the service asks for what it is taken to', async () => {
  const { Deployment } = await objects(...WITH_DIGEST)
  assert.equal(of(Deployment?.spec.template.spec.containers, 1), {
    pods: 1,
    cpuMillis: NEED.serviceCpuMillis,
    memoryMiB: NEED.serviceMemoryMiB,
  })
})

test.run()
