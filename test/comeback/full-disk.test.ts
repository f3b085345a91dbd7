/** A full disk: nothing is lost, and everything goes on once there is room. The disk is a volume with a limit, never the machine's own. */
import { bringUp } from '#core'
import { CLUSTER_LABEL, docker } from '#kit/docker'
import { messageOf } from '#kit/errors'
import { Images } from '#kit/images'
import { createProgress } from '#kit/progress'
import { overdue, pending, ready, waitFor } from '#kit/wait'
import { stack } from '../../holdfast.config.ts'
import { containerName, volumeNames } from '../../local/node-config.ts'
import { clusterName, runningCluster } from '../live/stack.ts'
import { assert, suite } from '../suite.ts'
import { comesBack } from './place.ts'

const test = suite('full disk')
const NODE = containerName(clusterName)
/** Images unpacked, etcd, Git, metrics: 2.0 GB at rest. In memory, so that it has an end. */
const SIZE = '4g'
const [DATA = ''] = volumeNames(clusterName)
const FILE = '/var/lib/rancher/k3s/full'
const FULL_MS = 30_000

test.before(
  async ({ signal }) => {
    using progress = createProgress()
    const { local } = stack.clusters
    await local.down({ name: clusterName, all: false, progress })
    const limited = ['--opt', 'type=tmpfs', '--opt', 'device=tmpfs', '--opt', `o=size=${SIZE}`]
    await docker(['volume', 'create', '--label', `${CLUSTER_LABEL}=${clusterName}`, ...limited, DATA])
    await bringUp(stack, { name: clusterName, images: new Images({ progress, signal }), progress, signal })
  },
  { timeoutMs: 480_000 },
)

test(
  'writes fail while the disk is full, and everything is Healthy with its data once there is room',
  async ({ signal }) => {
    const fillAndFree = async () => {
      await fill()
      await untilNothingIsWritten(signal)
      await docker(['exec', NODE, 'rm', FILE])
    }
    await comesBack('a full disk', fillAndFree, { signal, isAway: 'maybe' })
    assert.is(await commitTo('after', signal), undefined)
  },
  { timeoutMs: 480_000 },
)

/** To the last byte; the size of the volume is checked, for else it would be the machine's own disk. */
async function fill(): Promise<void> {
  const { stdout } = await docker(['exec', NODE, 'df', '-k', '/var/lib/rancher/k3s'])
  const [, kilobytes] = /\n\S+\s+(\d+)/.exec(stdout) ?? []
  assert.ok(Number(kilobytes) <= 4.1 * 1024 * 1024, `the volume has no limit: ${stdout}`)
  const { exitCode } = await docker(['exec', NODE, 'sh', '-c', `cat /dev/zero > ${FILE}`], { accept: [0, 1] })
  assert.is(exitCode, 1, 'the disk was not full')
}

/** Git's volume is on it. What holds for so long is no accident. */
async function untilNothingIsWritten(signal: AbortSignal): Promise<void> {
  const look = async () => {
    const problem = await commitTo('full', signal)
    return problem === undefined ? pending('a commit was written') : ready(problem)
  }
  assert.ok(await waitFor('a commit to fail', look, { timeoutMs: 60_000, signal }).catch(overdue), 'it could still be written')
  await new Promise((done) => setTimeout(done, FULL_MS))
}

/** @returns why it could not be written. */
async function commitTo(word: string, signal: AbortSignal): Promise<string | undefined> {
  const git = await stack.git(await runningCluster(), signal)
  return git
    .updateDeploy(`Write ${word}`, (files) => files.set(`notes/${word}-${Date.now()}.txt`, 'x'.repeat(500_000)))
    .then(
      () => undefined,
      (thrown) => messageOf(thrown),
    )
}

test.run()
