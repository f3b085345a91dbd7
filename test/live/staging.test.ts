/**
 * Delivery on the running stack: the digest of dev goes on to staging by the evidence of the proofs before, a bad version does not come
 * through there and a good one does, and on that evidence the digest goes on to prod, which lets no other in.
 */

import {
  attachSbom,
  digestIn,
  type Environment,
  evidencePath,
  imageIn,
  keepEvidence,
  openDelivery,
  openRun,
  parsePromotion,
  promote,
  selectScenarios,
  WORKLOAD_NAME,
} from '#core'
import { createProgress } from '#kit/progress'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { declareRuns } from './scenarios.ts'
import { clusterName, runningCluster } from './stack.ts'

const PROMOTION_TIMEOUT_MS = 180_000
/** The first SBOM of a machine compiles syft. */
const COMPILE_MS = 600_000
const ENVIRONMENT = 'staging'
const test = suite(ENVIRONMENT)

const cluster = await runningCluster()
const openGit = (signal: AbortSignal) => stack.git(cluster, signal)

async function digestOf(environment: Environment, signal: AbortSignal) {
  const { files } = await (await openGit(signal)).readDeploy()
  return digestIn(files, { part: WORKLOAD_NAME, environment })
}

async function promoteTo(environment: Environment, signal: AbortSignal) {
  using progress = createProgress()
  await using delivery = await openDelivery(stack, { name: clusterName, what: 'Cannot promote', progress, signal })
  return promote(delivery, parsePromotion(environment), { revert: true })
}

/** As `chart/faults.ts` does it where there are switches. */
const switchFaultOn = (pod: string) =>
  cluster.kube.request('PUT', `/api/v1/namespaces/prod/pods/${pod}:9464/proxy/faults`, { body: { forMs: 1 }, type: 'application/json' })

const FOREIGN = 'a promotion on the evidence of another digest is refused with the names of all proofs'
const now = AbortSignal.timeout(30_000)
if ((await digestOf(ENVIRONMENT, now)) === (await digestOf('dev', now))) test.skip(FOREIGN, `${ENVIRONMENT} runs what dev runs already`)
else
  test(
    FOREIGN,
    async ({ signal }) => {
      const git = await openGit(signal)
      const path = evidencePath('dev')
      const pointer = (await git.readDeploy()).files.get(path) ?? '{}'
      const foreign = JSON.stringify({ ...JSON.parse(pointer), subject: `sha256:${'ab'.repeat(32)}` })
      await git.updateDeploy('Test: evidence of another digest', (files) => void files.set(path, foreign))
      try {
        await assert.rejects(promoteTo(ENVIRONMENT, signal), `these proofs have not held for it in dev: ${stack.evidence.dev.join(', ')}`)
      } finally {
        await git.updateDeploy('Test: the evidence again', (files) => void files.set(path, pointer))
      }
    },
    { timeoutMs: 30_000 },
  )

test(
  'the digest that the proofs held for goes on to staging',
  async ({ signal }) => {
    const { digest } = await promoteTo(ENVIRONMENT, signal)
    assert.is(digest, await digestOf('dev', signal))
    assert.is(await digestOf(ENVIRONMENT, signal), digest)
  },
  { timeoutMs: PROMOTION_TIMEOUT_MS },
)

const results = declareRuns(test, selectScenarios(stack, 'proof', { environment: ENVIRONMENT }), { environment: ENVIRONMENT })

test(
  'on the evidence of staging it goes on to prod, where no pod has a switch for faults',
  async ({ signal }) => {
    using progress = createProgress()
    {
      await using run = await openRun(stack, { name: clusterName, environment: ENVIRONMENT, progress, signal })
      assert.match((await keepEvidence(stack, run, results)) ?? 'none', /^Evidence for sha256:\w{12} in staging: /)
    }
    const image = await imageIn(stack, { name: clusterName, environment: ENVIRONMENT }, { progress, signal })
    await attachSbom(stack, image, { progress, signal })
    const { digest } = await promoteTo('prod', signal)
    assert.is(await digestOf('prod', signal), digest)
    const pods = await cluster.kube.list({ apiVersion: 'v1', kind: 'Pod', namespace: 'prod' })
    assert.ok(pods.length >= 2, `${pods.length} pods`)
    for (const { metadata } of pods) await assert.rejects(switchFaultOn(metadata.name), /HTTP 404/)
  },
  { timeoutMs: PROMOTION_TIMEOUT_MS + COMPILE_MS },
)

// Now that prod has one.
declareRuns(test, selectScenarios(stack, 'proof', { environment: 'prod', names: ['admission'] }), {
  environment: 'prod',
  mutants: ['admission / scoped-away'],
})

test.run()
