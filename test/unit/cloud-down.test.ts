/** Taking an environment down, without one: what it counts, and what it does not go on after. */
import { createProgress } from '#kit/progress'
import { destroyAll, takeDown } from '../../cloud/down.ts'
import type { Place } from '../../cloud/place.ts'
import type { Swept } from '../../cloud/sweep.ts'
import { assert, suite } from '../suite.ts'

const test = suite('cloud/down')

const nothing: Swept = { removed: [], left: [] }

/** Its state holds less each time; every apply but the last fails. */
function placeOf(states: readonly number[], thrown: unknown = new Error('a subnet is held')) {
  const left = [...states]
  const options = { progress: createProgress(), signal: new AbortController().signal }
  return {
    options,
    addresses: async () => Array.from({ length: left.shift() ?? 0 }, (_, i) => `resource.${i}`),
    planDestroy: async () => ({}),
    apply: async () => {
      if (left.length > 0) throw thrown
    },
  } as unknown as Place
}

test('what was destroyed is counted over all tries', async () => {
  assert.is((await destroyAll(placeOf([7]), async () => nothing)).destroyed, 7)
  assert.is((await destroyAll(placeOf([7, 2]), async () => nothing)).destroyed, 7)
  assert.is((await destroyAll(placeOf([7, 2, 0]), async () => nothing)).destroyed, 7)
  assert.is((await destroyAll(placeOf([0]), async () => nothing)).destroyed, 0)
})

test('after a bug nothing more is destroyed', async () => {
  const bug = new TypeError('x is not a function')
  const swept: string[] = []
  const sweepNow = async () => {
    swept.push('once')
    return nothing
  }
  await assert.rejects(destroyAll(placeOf([7, 2], bug), sweepNow), 'x is not a function')
  assert.equal(swept, [])
  const cluster = {
    get endpoint() {
      throw bug
    },
  }
  const aws = { eks: { describeCluster: async () => ({ cluster }) } }
  const place = placeOf([7])
  const options = { ...place.options, aws, request: { environment: 'dev' } }
  await assert.rejects(takeDown({ ...place, name: 'holdfast-dev', options } as unknown as Place), 'x is not a function')
})

test.run()
