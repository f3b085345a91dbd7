/** The platform comes back by itself with its data, whatever becomes of its containers, its engine and its address. */
import { snapshotKey, untilRunsAgain } from '#core'
import { type ContainerInfo, docker, inspect } from '#kit/docker'
import { Images } from '#kit/images'
import { refOf } from '#kit/kube'
import { createProgress } from '#kit/progress'
import { stack } from '../../holdfast.config.ts'
import { ownEngine, restartEngine } from '../../local/engine.ts'
import { containerName } from '../../local/node-config.ts'
import { REGISTRY_CONTAINER } from '../../local/registry/registry.ts'
import { giveAnotherAddress } from '../live/another-address.ts'
import { clusterName, runningCluster } from '../live/stack.ts'
import { assert, suite } from '../suite.ts'
import { comesBack } from './place.ts'

const test = suite('comeback')
const LONG = { timeoutMs: 420_000 }
const NODE = containerName(clusterName)

/** As `local:start` does, or the engine of a machine that boots. */
async function start(signal: AbortSignal): Promise<void> {
  using progress = createProgress()
  await stack.clusters.local.start({ name: clusterName, images: new Images({ progress, signal }), progress, signal })
}

test(
  'docker restart of the node',
  async ({ signal }) => comesBack('docker restart', async () => void (await docker(['restart', '--time', '20', NODE])), { signal }),
  LONG,
)

test(
  'local:stop and local:start',
  async ({ signal }) => {
    const stopAndStart = async () => {
      assert.is(await stack.clusters.local.stop(clusterName), true)
      await start(signal)
    }
    await comesBack('local:stop and local:start', stopAndStart, { signal })
  },
  LONG,
)

const LABEL = 'comeback'
const LATER = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'after-the-snapshot' } }

for (const [where, isThere] of [
  ['in the place of the cluster', true],
  ['with no cluster there', false],
] as const) {
  test(
    `a snapshot, restored ${where}: what came after it is gone`,
    async ({ signal }) => {
      await using _removed = await takeSnapshot(signal)
      const restore = async () => {
        await (await runningCluster()).kube.create(LATER)
        using progress = createProgress()
        if (!isThere) await stack.clusters.local.down({ name: clusterName, all: false, progress })
        await restoreSnapshot(signal)
      }
      await comesBack(`restored ${where}`, restore, { signal })
      assert.is(await (await runningCluster()).kube.get(refOf(LATER)), undefined)
    },
    LONG,
  )
}

async function takeSnapshot(signal: AbortSignal): Promise<AsyncDisposable> {
  const { snapshots } = stack.clusters.local
  using progress = createProgress()
  const request = { name: clusterName, images: new Images({ progress, signal }), progress, signal }
  await snapshots.take({ ...request, label: LABEL, key: await snapshotKey(stack) })
  await untilRunsAgain(stack, await stack.clusters.local.start(request), { progress, signal })
  return { [Symbol.asyncDispose]: async () => void (await snapshots.remove(clusterName, LABEL)) }
}

async function restoreSnapshot(signal: AbortSignal): Promise<void> {
  using progress = createProgress()
  const images = new Images({ progress, signal })
  await stack.clusters.local.snapshots.restore({
    name: clusterName,
    from: LABEL,
    key: await snapshotKey(stack),
    images,
    progress,
    signal,
  })
}

test(
  'all containers killed, as by a cut of the power',
  async ({ signal }) => {
    const cut = async () => {
      await docker(['kill', NODE, REGISTRY_CONTAINER])
      await start(signal)
    }
    await comesBack('all containers killed', cut, { signal })
  },
  LONG,
)

test(
  'another address of the node',
  async ({ signal }) => {
    await using others = new AsyncDisposableStack()
    const move = async () => void others.use(await giveAnotherAddress({ cluster: clusterName, container: NODE }))
    await comesBack('another address', move, { signal })
  },
  LONG,
)

const HOST_KILL = 'the first process of the node killed from outside: its container is started again by the engine'
const canSignal = process.platform === 'linux' && process.getuid?.() === 0
if (canSignal) test(HOST_KILL, async ({ signal }) => comesBack('first process killed', () => killFirst(), { signal }), LONG)
else test.skip(HOST_KILL, 'root on Linux is needed to signal it')

/** `docker kill` would be taken for a wish. */
async function killFirst(): Promise<void> {
  const info = await inspect<ContainerInfo & { readonly State: { readonly Pid: number } }>('container', NODE)
  assert.ok(info !== undefined && info.State.Pid > 1)
  process.kill(info.State.Pid, 'SIGKILL')
}

const PARTS = 'kubelet and containerd killed: their supervisor starts them again, and the service answers all the while'
const { can } = await runningCluster()
if (can.apiServerProcess)
  test(PARTS, async ({ signal }) => comesBack('kubelet and containerd killed', killParts, { signal, isAway: false }), LONG)
else test.skip(PARTS, 'k3s has them in one process with the API server')

async function killParts(): Promise<void> {
  for (const pattern of ['^kubelet ', '^containerd ']) await docker(['exec', NODE, 'pkill', '-KILL', '-f', pattern]) // 1 where there is none
}

const ENGINE = 'the engine stopped and started again'
const engine = await ownEngine()
if (engine !== undefined) test(ENGINE, async ({ signal }) => comesBack('engine restarted', restartEngine, { signal }), LONG)
else test.skip(ENGINE, 'the engine is not one that local:up started')

const CRASH = 'the engine killed, with all that it ran'
if (engine !== undefined) test(CRASH, async ({ signal }) => comesBack('engine killed', () => crashEngine(signal), { signal }), LONG)
else test.skip(CRASH, 'the engine is not one that local:up started')

/** The one that was started by the test before. */
async function crashEngine(signal: AbortSignal): Promise<void> {
  const pid = await ownEngine()
  assert.ok(pid !== undefined)
  process.kill(pid, 'SIGKILL')
  await start(signal)
}

test.run()
