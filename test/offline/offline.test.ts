/** `local:up --offline` with no way out of the machine: first that nothing can be fetched, then that nothing has to be. */
import { exec } from '#kit/exec'
import { formatMs } from '#kit/progress'
import { clusterName } from '../live/stack.ts'
import { whyNotHere } from '../own-machine.ts'
import { assert, suite } from '../suite.ts'
import { type CutOff, openCutOff } from './place.ts'

const CLUSTER = ['--name', clusterName]
const PING = ['ping', '--loglevel', 'error', '--fetch-retries', '0', '--fetch-timeout', '10000']
const NO_WAY = /ENETUNREACH|EAI_AGAIN|ENOTFOUND|ECONNREFUSED|no such host|network is unreachable|dial tcp/
const UP_TIMEOUT_MS = 480_000
const test = suite('offline')

function declareAll(): void {
  let place: CutOff
  test.before(
    async ({ signal }) => {
      await exec('npm', PING, { signal }) // else that nothing can be fetched would show nothing
      place = await openCutOff(signal)
    },
    { timeoutMs: 180_000 },
  )
  test.after(async () => place?.[Symbol.asyncDispose](), { timeoutMs: 180_000 })

  test(
    'nothing can be fetched: no package, which could be before, and no image',
    async () => {
      const ping = await place.run('npm', PING, { accept: [1] })
      assert.match(ping.stderr, NO_WAY)
      const pull = await place.run('docker', ['pull', 'docker.io/library/busybox:1'], { accept: [1] })
      assert.match(pull.stderr, NO_WAY)
    },
    { timeoutMs: 60_000 },
  )

  test(
    'everything is Healthy, and a commit goes live',
    async () => {
      const started = performance.now()
      await place.command('local-up', ...CLUSTER, '--offline')
      console.log(`  everything is Healthy after ${formatMs(performance.now() - started)}`)
      await place.command('prove', 'commit-live', ...CLUSTER)
    },
    { timeoutMs: UP_TIMEOUT_MS },
  )
}

const why = whyNotHere()
if (why === undefined) declareAll()
else test.skip('local:up --offline with the network cut', why)
test.run()
