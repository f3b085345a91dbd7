/** `npm run test:offline`: `local:up --offline` where nothing leaves this machine. */
import { type Counts, formatCounts, isGreen } from '#kit/counts'
import { type Invocation, main } from '#kit/main'
import { runTestFolder } from '#kit/test-folder'
import { pauseEngine, stack } from '../holdfast.config.ts'

const USERS_CLUSTER = 'local'
const CLUSTER = 'offline'
const { local } = stack.clusters

await main({
  name: 'test:offline',
  summary:
    'Cuts an engine off from everything beyond this machine, shows that nothing can be fetched, and brings the platform up there from the store.',
  example: 'npm run test:offline',
  async run(x) {
    await using _lock = await local.lock(USERS_CLUSTER, 'test:offline')
    await using _paused = await local.pause(USERS_CLUSTER)
    const counts = await cutOff(x)
    process.stdout.write(`${formatCounts(counts)}\n`)
    return isGreen(counts) ? 0 : 1
  },
})

/** The engine of here rests, and the one that is cut off has its data: what is left of a cluster there is removed here. */
async function cutOff({ progress, signal }: Invocation<unknown>): Promise<Counts> {
  try {
    await using _engine = await pauseEngine()
    return await runTestFolder('offline', { env: { HOLDFAST_CLUSTER: CLUSTER }, progress, signal })
  } finally {
    await local.down({ name: CLUSTER, all: false, progress })
  }
}
