/** Every proof and every experiment that a cluster on EKS has all for, unmodified, where the cloud is rehearsed. An hour; `npm test` runs four. */
import { lackOf, type Scenario, selectScenarios } from '#core'
import { createProgress, formatMs } from '#kit/progress'
import { NOT_OURS } from '../../cloud/eks.ts'
import { stack } from '../../holdfast.config.ts'
import { command, type Ended } from '../rehearsal/commands.ts'
import { openPlace, type Place, unavailable } from '../rehearsal/place.ts'
import { assert, suite } from '../suite.ts'

const MINUTE_MS = 60_000
const test = suite('parity')

const progress = createProgress()
const abort = new AbortController()
let place: Place

/** As rehearsed: two nodes. Whether policies are enforced the cluster says itself. */
const ON_EKS = { can: { ...NOT_OURS, secondNode: true, networkPolicy: true } }
const both = (['proof', 'chaos'] as const).flatMap((kind) => selectScenarios(stack, kind, { all: true }))
const scenarios = new Map(both.map((scenario): [string, Scenario] => [scenario.name, scenario]))

const why = await unavailable()
if (why === undefined) declareAll()
else test.skip('all proofs and experiments on the rehearsed cloud', why)

function declareAll(): void {
  test.before(
    async () => {
      place = await openPlace({ progress, signal: abort.signal })
      await succeed('cloud-up', [...place.upArgs, '--yes'])
    },
    { timeoutMs: 10 * MINUTE_MS },
  )
  test.after(
    async () => {
      abort.abort()
      await place?.[Symbol.asyncDispose]()
      progress[Symbol.dispose]()
    },
    { timeoutMs: 2 * MINUTE_MS },
  )
  for (const scenario of scenarios.values()) {
    const { name } = scenario
    const lack = lackOf(ON_EKS, scenario)
    if (lack === undefined) test(`${name} holds`, () => holds(name), { timeoutMs: 8 * MINUTE_MS })
    else test.skip(name, `on EKS ${lack[0]}`)
  }
}

async function holds(name: string): Promise<void> {
  const { stdout, ms } = await succeed('cloud-test', [name, '--json'])
  const runs = JSON.parse(stdout) as { verdict: string; reason: string }[]
  assert.equal(
    runs.map(({ verdict }) => verdict),
    ['held'],
  )
  progress.say(`  ${formatMs(ms).padStart(12)}  ${name}: ${runs[0]?.reason}`)
}

async function succeed(name: string, args: readonly string[]): Promise<Ended> {
  const onLine = (line: string) => progress.say(`  ${line}`)
  const ended = await command(name, args, { env: place.env, signal: abort.signal, onLine })
  assert.is(ended.exitCode, 0, `${name} ${args[0]} ended with ${ended.exitCode}: ${ended.stderr.split('\n').slice(-5).join('\n')}`)
  return ended
}

test.run()
