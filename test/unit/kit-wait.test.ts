/** The one wait: each way it ends, and that a wait that can never come true does end. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '#kit/errors'
import { type Condition, overdue, pending, ready, TimeoutFailure, terminal, type WaitOptions, waitFor } from '#kit/wait'
import { assert, suite } from '../suite.ts'

const test = suite('waitFor()')

test('it returns the value of the first look that is ready', async () => {
  const looks: Condition<string>[] = [pending('0 of 2'), pending('1 of 2'), ready('both')]
  const seen: string[] = []
  const value = await waitFor('pods', async () => looks.shift() ?? terminal('looked too often'), {
    timeoutMs: 5000,
    everyMs: 1,
    onSeen: (what) => seen.push(what),
  })
  assert.is(value, 'both')
  assert.equal(seen, ['0 of 2', '1 of 2'])
})

test('it ends at once, with its cause, on what waiting cannot mend', async () => {
  const started = performance.now()
  const waiting = waitFor('the image', async () => terminal('ErrImagePull', 'Check the registry'), { timeoutMs: 60_000 })
  const error = await assert.rejects(waiting, 'Waiting for the image is of no use: ErrImagePull. Check the registry')
  assert.instance(error, Failure)
  assert.ok(performance.now() - started < 5000)
})

test('its timeout names what was awaited, for how long, and what was seen last', async () => {
  const waiting = waitFor('pods', async () => pending('1 of 2'), { timeoutMs: 30, everyMs: 5 })
  await assert.rejects(waiting, 'Waited 30 ms for pods: last seen: 1 of 2')
})

test('an error of the probe is kept for the timeout', async () => {
  const waiting = waitFor('the API', () => Promise.reject(new Error('connection refused')), { timeoutMs: 30, everyMs: 5 })
  await assert.rejects(waiting, 'Waited 30 ms for the API: last seen: error: connection refused')
})

test("a probe's TypeError is a bug and is thrown at once", async () => {
  const bug = new TypeError('x is not a function')
  assert.is(
    await assert.rejects(
      waitFor('pods', () => Promise.reject(bug), { timeoutMs: 60_000 }),
      bug.message,
    ),
    bug,
  )
})

test('an unreachable host, which fetch reports as a TypeError, is waited for', async () => {
  const waiting = waitFor('the service', async () => ready(await fetch('http://127.0.0.1:1/')), { timeoutMs: 50, everyMs: 10 })
  await assert.rejects(waiting, 'last seen: error: fetch failed')
})

test('a change makes it look again before the interval is over', async () => {
  let done = false
  let disposed = false
  const changes = (wake: () => void) => {
    const timer = setTimeout(() => {
      done = true
      wake()
    }, 10)
    return {
      [Symbol.dispose]: () => {
        clearTimeout(timer)
        disposed = true
      },
    }
  }
  const started = performance.now()
  await waitFor('a change', async () => (done ? ready(true) : pending('no')), { timeoutMs: 60_000, everyMs: 60_000, changes })
  assert.ok(performance.now() - started < 5000)
  assert.ok(disposed)
})

test('a change during a look is not lost', async () => {
  let looks = 0
  let wake = () => {}
  const probe = async () => {
    looks++
    wake()
    return looks === 2 ? ready(looks) : pending('no')
  }
  const changes = (ring: () => void) => {
    wake = ring
    return { [Symbol.dispose]: () => {} }
  }
  assert.is(await waitFor('a change', probe, { timeoutMs: 60_000, everyMs: 60_000, changes }), 2)
})

test('where changes come all the time, it rests four times as long as it looked', async () => {
  const [lookMs, forMs] = [20, 600]
  let looks = 0
  const probe = async () => {
    looks++
    await sleep(lookMs)
    return pending('no')
  }
  const changes = (wake: () => void) => {
    const timer = setInterval(wake, 1)
    return { [Symbol.dispose]: () => clearInterval(timer) }
  }
  await assert.rejects(waitFor('what never is', probe, { timeoutMs: forMs, changes }), /Waited/)
  assert.ok(looks > 1 && looks <= 1 + Math.ceil(forMs / (5 * lookMs)), `${looks} looks`)
})

test("it throws the signal's reason when that aborts between looks", async () => {
  const abort = new AbortController()
  setTimeout(() => abort.abort(new Error('Interrupted by SIGINT')), 10)
  const waiting = waitFor('pods', async () => pending('no'), { timeoutMs: 60_000, everyMs: 60_000, signal: abort.signal })
  await assert.rejects(waiting, 'Interrupted by SIGINT')
})

test('a look that hangs outlives neither the time nor the signal', async () => {
  const hang = () => new Promise<never>(() => {})
  await assert.rejects(
    waitFor('pods', hang, { timeoutMs: 30, everyMs: 5 }),
    'Waited 30 ms for pods: last seen: nothing; the last look did not end',
  )
  await assert.rejects(waitFor('pods', hang, { timeoutMs: 60_000, signal: AbortSignal.timeout(20) }), /timeout/)
})

test('only the end of its time is an answer: what is of no use, fails or is interrupted is thrown on', async () => {
  const answer = (probe: () => Promise<Condition<true>>, options: Partial<WaitOptions> = {}) =>
    waitFor('pods', probe, { timeoutMs: 30, everyMs: 5, ...options }).catch(overdue)
  const failure = new Failure({ what: 'Cannot go on', why: 'another run has the cluster' })
  const fail = () => {
    throw failure
  }
  assert.is(await answer(async () => pending('1 of 2')), false)
  assert.not.instance(
    await assert.rejects(
      answer(async () => terminal('ErrImagePull')),
      'ErrImagePull',
    ),
    TimeoutFailure,
  )
  for (const options of [{ signal: AbortSignal.abort(failure) }, { onSeen: fail }, { changes: fail }])
    assert.is(
      await assert.rejects(
        answer(async () => pending('1 of 2'), options),
        'another run has the cluster',
      ),
      failure,
    )
})

test.run()
