/** The service and its database: its data comes from there, and while it is away the service says so and lives on. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, containerOf, WORKLOAD_PODS } from '#core'
import { messageOf } from '#kit/errors'
import { assert, suite } from '../suite.ts'
import { replacePod, runningCluster } from './stack.ts'

const TEST_TIMEOUT_MS = 120_000
const LOOK_MS = 100
const test = suite('database')

let cluster: Cluster
test.before(async () => {
  cluster = await runningCluster()
})

/** A status, or why there was no answer. */
async function answer(): Promise<string> {
  return cluster.fetch('service', '/api/products', { signal: AbortSignal.timeout(3_000) }).then(
    async (response) => `${response.status} ${await response.text()}`,
    (thrown) => messageOf(thrown),
  )
}

async function restarts(): Promise<number> {
  const pods = await cluster.kube.list(WORKLOAD_PODS)
  return pods.reduce((sum, pod) => sum + (containerOf(pod)?.restartCount ?? 0), 0)
}

test(
  'without its database the service answers 503 or takes no traffic, no pod of it is started anew, and it comes back by itself',
  async ({ signal }) => {
    const restartsBefore = await restarts()
    assert.match(await answer(), /^200 .*"Anchor"/)
    const seen = new Set<string>()
    const stop = new AbortController()
    const asking = (async () => {
      while (!stop.signal.aborted) {
        seen.add(await answer())
        await sleep(LOOK_MS)
      }
    })()
    try {
      await replacePod(cluster, { name: 'database-0', namespace: 'database', service: 'service' }, signal)
    } finally {
      stop.abort()
      await asking
    }
    const others = [...seen].filter((each) => !each.startsWith('200 '))
    assert.ok(others.length > 0, 'the database was away, and nobody saw it')
    const refused = others.filter((each) => !each.includes('fetch failed'))
    for (const each of refused) assert.is(each, '503 {"error":"The database does not answer"}')
    assert.match(await answer(), /^200 .*"Anchor"/)
    assert.is(await restarts(), restartsBefore)
  },
  { timeoutMs: TEST_TIMEOUT_MS },
)

test.run()
