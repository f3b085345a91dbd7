/** Polled observers: an error is told as one and never taken for an observation, and looking goes on. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Context, polled } from '#core'
import { assert, suite } from '../suite.ts'

const test = suite('observe')

function contextOf(signal: AbortSignal): Context {
  return { signal } as Context
}

test('an error is told, and the next look is made', async ({ signal }) => {
  const told: string[] = []
  let looks = 0
  const observer = polled({
    name: 'probe',
    everyMs: 5,
    begin: () => async () => {
      looks++
      if (looks === 2) throw new Error('HTTP 503')
      return [{ value: looks, atMs: looks }]
    },
  })
  const running = await observer.start(contextOf(signal), {
    observed: (value, atMs) => told.push(`${value}@${atMs}`),
    failed: (why) => told.push(why),
  })
  while (looks < 4) await sleep(5)
  await running[Symbol.asyncDispose]()
  assert.equal(told.slice(0, 3), ['1@1', 'HTTP 503', '3@3'])
})

test('nothing is told after it was disposed', async ({ signal }) => {
  const told: unknown[] = []
  const observer = polled({
    name: 'slow',
    everyMs: 5,
    begin: () => async () => {
      await sleep(50)
      return [{ value: 'late', atMs: 0 }]
    },
  })
  const running = await observer.start(contextOf(signal), { observed: (value) => told.push(value), failed: (why) => told.push(why) })
  await running[Symbol.asyncDispose]()
  assert.equal(told, [])
})

test('each start begins anew', async ({ signal }) => {
  let begun = 0
  const begin = () => {
    begun++
    return async () => []
  }
  const observer = polled({ name: 'probe', everyMs: 5, begin })
  for (let i = 0; i < 2; i++) {
    const running = await observer.start(contextOf(signal), { observed: () => {}, failed: () => {} })
    await running[Symbol.asyncDispose]()
  }
  assert.is(begun, 2)
})

test.run()
