/**
 * Moves of Kubernetes that must turn red, each on a cluster of its own beside the one that runs, some minutes each. The move that holds is a
 * command: npm run upgrade -- --part kubernetes --to 1.36.3.
 */
import {
  cordonPatch,
  type drain,
  type KubernetesUpgrade,
  nodeRef,
  planKubernetes,
  renderKubernetes,
  type Stack,
  upgradeKubernetes,
} from '#core'
import { CLUSTER_LABEL, listByLabel } from '#kit/docker'
import { Images } from '#kit/images'
import { createProgress } from '#kit/progress'
import { stack } from '../../holdfast.config.ts'
import { localClusters } from '../../local/local.ts'
import { imageOf, NODE_IMAGES, versionsOf } from '../../local/node/image.ts'
import { assert, suite } from '../suite.ts'

const test = suite('kubernetes')
const MOVE = { timeoutMs: 900_000 }
const NAME = 'mutant'
const { pinned } = versionsOf(NODE_IMAGES)
/** One that takes seconds: what is shown here is shown before it or without it. */
const brief: Stack = { ...stack, kubernetes: { ...stack.kubernetes, proofs: ['commit-live'] } }

/** The same node, but that it ends at once. */
const cannotStart = {
  name: 'k3s-node',
  tag: 'cannot-start',
  build: { context: 'test/series/cannot-start', base: imageOf(NODE_IMAGES) },
}

async function move(whole: Stack, to: string, more: Pick<KubernetesUpgrade, 'empty' | 'signal'>) {
  using progress = createProgress()
  const { signal } = more
  const plan = planKubernetes(whole, { name: NAME, to })
  const report = await upgradeKubernetes(whole, { plan, images: new Images({ progress, signal }), progress, ...more })
  progress.say(renderKubernetes(report))
  for (const type of ['container', 'volume', 'network'] as const)
    assert.equal(await listByLabel(type, `${CLUSTER_LABEL}=${plan.cluster}`), [], 'its cluster is gone')
  assert.is(report.held, false)
  assert.is(report.back?.holds, true, report.back?.why)
  return report
}

test(
  'a node that is cordoned but not emptied takes requests with it',
  async ({ signal }) => {
    const empty: typeof drain = async (kube, node) => void (await kube.mergePatch(nodeRef(node), cordonPatch(true)))
    const { why, nodes, back } = await move(brief, pinned, { signal, empty })
    assert.match(why ?? '', /^Cannot go on: \d+ of the \d+ requests of one second failed/)
    assert.equal([nodes.length, back?.nodes.length], [0, 1])
  },
  MOVE,
)

test(
  'a version that cannot start is red, and the node goes on as it was',
  async ({ signal }) => {
    const nodeImages = new Map([...NODE_IMAGES, [cannotStart.tag, cannotStart]])
    const local = localClusters({ serverArgs: [], nodeImages })
    const { why, after, back } = await move({ ...brief, clusters: { ...stack.clusters, local } }, cannotStart.tag, { signal })
    assert.match(why ?? '', /^Cannot start the node: it ended with exit code 1/)
    assert.equal([after, back?.proofs.length], [[], 1])
  },
  MOVE,
)

test.run()
