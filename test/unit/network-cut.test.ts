/** What takes pods off the network: its Job, and its script in a network namespace of its own, with a bridge and a pod's cable. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '#core'
import { exec } from '#kit/exec'
import type { KubeObject, ListRef } from '#kit/kube'
import { root } from '#kit/paths'
import { createNetworkSwitch } from '../../load/network/cut.ts'
import { jobOf, jobRef } from '../../load/network/job.ts'
import { assert, suite } from '../suite.ts'

const test = suite('network cut')

const SCRIPT = join(root, 'load/network/image/cut.sh')

test('its Job may do one thing to the node, ends by itself, and is started again in its place', () => {
  const job = jobOf({ node: 'n1', image: 'i@sha256:1', untilMs: 1_700_000_000_500, forMs: 90_000, what: ['pods', '10.42.0.5'] })
  assert.equal([job.kind, job.metadata.name, job.metadata.namespace], ['Job', jobRef('n1').name, 'chaos'])
  assert.is(job.spec.activeDeadlineSeconds, 150)
  const pod = job.spec.template.spec
  assert.equal([pod.nodeName, pod.hostNetwork, pod.restartPolicy, pod.automountServiceAccountToken], ['n1', true, 'OnFailure', false])
  const [container] = pod.containers
  assert.equal(container.args, ['1700000001', 'pods', '10.42.0.5'])
  assert.equal(container.securityContext.capabilities, { drop: ['ALL'], add: ['NET_ADMIN'] })
  assert.equal([container.securityContext.privileged, container.securityContext.allowPrivilegeEscalation], [undefined, false])
  assert.equal(
    pod.volumes.filter(({ hostPath }: { hostPath?: object }) => hostPath !== undefined),
    [],
  )
})

/** Two nodes; the pods of their Jobs are ready once `isCut` says so. */
function twoNodes(isCut: (job: string) => boolean): Cluster {
  const jobs = new Set<string>()
  const podOf = (job: string) => ({ metadata: { name: job }, status: { containerStatuses: [{ ready: isCut(job) }] } })
  const kube = {
    get: async () => ({ data: { image: 'cut@sha256:1' } }),
    async list({ kind, labelSelector = '' }: ListRef) {
      if (kind === 'Node') return ['n1', 'n2'].map((name) => ({ metadata: { name } }))
      const job = labelSelector.split('=')[1] ?? ''
      return jobs.has(job) ? [podOf(job)] : []
    },
    async create(job: KubeObject) {
      jobs.add(job.metadata.name)
      return job
    },
    delete: async () => true,
  }
  return { kube } as unknown as Cluster
}

const network = createNetworkSwitch({ registryHost: 'registry' })
const EVERYWHERE = { registry: true, forMs: 60_000 } as const

test('all nodes cut side by side: none waits for another one', async ({ signal }) => {
  const asked = new Set<string>()
  const cluster = twoNodes((job) => asked.add(job).size === 2)
  await network.cut({ cluster, signal }, EVERYWHERE)
  assert.equal([...asked], ['cut-n1', 'cut-n2'])
})

test('an interrupt ends the wait for a cut', async () => {
  const context = { cluster: twoNodes(() => false), signal: AbortSignal.timeout(300) }
  await assert.rejects(network.cut(context, EVERYWHERE), /timeout/)
})

/** One bridge, as the node has it, and one pod on it; `reach` tells whether the node gets an answer from it, if only a refusal. */
const NODE = `
set -e
ip link set lo up
ip link add cni0 type bridge && ip link set cni0 up && ip address add 10.9.0.1/24 dev cni0
unshare -n sleep 60 & pod=$!
trap 'kill $pod' EXIT
sleep 0.2
ip link add veth1 type veth peer name eth0 netns $pod
ip link set veth1 master cni0 up
nsenter -t $pod -n sh -c 'ip address add 10.9.0.5/24 dev eth0; ip link set eth0 up'
try() { timeout 1 bash -c '</dev/tcp/10.9.0.5/80' 2>&1 | grep -q refused; }
reach() { for i in 1 2 3 4; do try && echo reached && return; sleep 0.3; done; echo unreached; }
lost() { try && echo reached || echo unreached; }
soon() { echo $(($(date +%s) + $1)); }
reach >/dev/null
`

const NEEDS = 'for each in ip bridge nsenter bash; do command -v $each || exit 1; done; unshare -n ip link add br0 type bridge'
const canTry = (await exec('sh', ['-c', NEEDS], { accept: [0, 1, 2, 127] })).exitCode === 0

/** What a piece of shell prints in such a node, word by word. */
async function inNode(text: string, signal: AbortSignal): Promise<string[]> {
  const state = mkdtempSync(join(tmpdir(), 'holdfast-cut-'))
  try {
    const env = { CUT_STATE: state, CUT: SCRIPT }
    const { stdout } = await exec('unshare', ['-n', 'sh', '-c', `${NODE}${text}`], { env, signal })
    return stdout.trim().split(/\s+/)
  } finally {
    rmSync(state, { recursive: true })
  }
}

if (canTry) {
  test('a pod is cut off, and back when the time is over', async ({ signal }) => {
    assert.equal(await inNode('$CUT $(soon 3) pods 10.9.0.5 & sleep 0.8; lost; ls $CUT_STATE; wait $!; reach; ls $CUT_STATE', signal), [
      'unreached',
      'done',
      'mend',
      'reached',
    ])
  })

  test('it is back at once when the cut is told to end', async ({ signal }) => {
    assert.equal(await inNode('$CUT $(soon 30) pods 10.9.0.5 & sleep 0.8; lost; kill $!; wait $! || true; reach', signal), [
      'unreached',
      'reached',
    ])
  })

  test('one that was killed puts back what it had cut when it is started again', async ({ signal }) => {
    const killed = 'until=$(soon 3); $CUT $until pods 10.9.0.5 & sleep 0.8; kill -9 $!; wait $! || true; lost'
    assert.equal(await inNode(`${killed}; $CUT $until pods 10.9.0.5; reach`, signal), ['unreached', 'reached'])
  })

  test('a host is cut off by its address', async ({ signal }) => {
    const routes = 'ip route show | grep -c unreachable || true'
    assert.equal(await inNode(`$CUT $(soon 2) host localhost & sleep 0.8; ${routes}; wait $!; ${routes}`, signal), ['1', '0'])
  })

  test('the way out of the node is never cut, and what is not known neither', async ({ signal }) => {
    const refused = (address: string) => `$CUT $(soon 9) pods ${address} 2>&1 || echo refused`
    assert.equal(
      (await inNode(`${refused('127.0.0.1')}; ${refused('10.9.0.77')}; reach`, signal)).join(' '),
      ["The cable of 127.0.0.1 is not known: 'lo' refused", 'The node has not spoken with 10.9.0.77 of late refused', 'reached'].join(' '),
    )
  })
} else {
  test.skip('its script', 'a network namespace needs root, ip, bridge and nsenter')
}

test.run()
