/** How messages about the alert of a pod are counted, where those of other pods are in the same group. */
import type { Evidence } from '#core'
import { MESSAGES } from '../../alerts/scenarios/observers.ts'
import { onceEach } from '../../alerts/scenarios/pods.ts'
import type { Message } from '../../alerts/sink/client.ts'
import { assert, suite } from '../suite.ts'

const test = suite('alerts of pods')

function seen(...all: readonly Partial<Message>[]): string {
  const events = all.map((value) => ({ type: 'OBSERVED', source: MESSAGES, value, atMs: 0 }))
  const { outcome, seen: what } = onceEach.check({ events } as unknown as Evidence)
  return `${outcome}: ${what}`
}

const fired: Partial<Message> = { state: 'firing', fingerprints: ['a'], text: 'a' }
const ended: Partial<Message> = { state: 'resolved', fingerprints: ['a'], text: 'a (resolved)' }

test('one of each is what it should be', () => {
  assert.is(seen(fired, ended), 'true: 1 firing, 1 resolved')
  assert.is(seen(fired), 'false: 1 firing, 0 resolved')
  assert.is(seen(), 'false: 0 firing, 0 resolved')
})

test('the same words a second time count, and so does another pod that crashes', () => {
  assert.is(seen(fired, fired, ended), 'false: 2 firing, 1 resolved')
  assert.is(seen(fired, { ...fired, fingerprints: ['a', 'b'], text: 'a\nb' }, ended), 'false: 2 firing, 1 resolved')
})

test('that the alert of another pod ended before is no news of this one', () => {
  const late = { ...fired, text: 'a\nb (resolved)' }
  assert.is(seen(fired, late, ended), 'true: 1 firing, 1 resolved')
  assert.is(seen(fired, late, late, ended), 'false: 2 firing, 1 resolved')
})

test.run()
