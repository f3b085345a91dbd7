/** Evaluations of an alert, by what Prometheus has stored of them at each look. */
import type { Cluster, Context } from '#core'
import { pending, ready, waitFor } from '#kit/wait'
import { type Evaluation, evaluations } from '../../alerts/scenarios/observers.ts'
import { assert, suite } from '../suite.ts'

const test = suite('alert observers')

const RECORDED = { always: 'requests:rate', value: 'errors:ratio' }

/** What is stored of each series at one look, as pairs of milliseconds and a value. */
interface Stored {
  readonly always: readonly [number, number][]
  readonly value?: readonly [number, number][]
  readonly pending?: readonly [number, number][]
}

/** A Prometheus with one more of these at each look; the last one stays. */
function prometheusWith(stored: readonly Stored[]): Cluster {
  let look = -1
  const seriesOf = (query: string): readonly [number, number][] => {
    if (query.startsWith(RECORDED.always)) look++
    const { always, value = [], pending: alerts = [] } = stored[Math.min(look, stored.length - 1)] ?? { always: [] }
    if (query.startsWith(RECORDED.always)) return always
    return query.startsWith(RECORDED.value) ? value : alerts
  }
  const fetch = async (_service: string, path: string) => {
    const query = new URL(path, 'http://prometheus.test').searchParams.get('query') ?? ''
    const values = seriesOf(query).map(([atMs, value]) => [atMs / 1000, String(value)])
    return Response.json({ status: 'success', data: { result: [{ metric: { alertstate: 'pending' }, values }] } })
  }
  return { fetch } as unknown as Cluster
}

test('an evaluation is told once all of it is stored: its alert is written after the series that shows that it was made', async ({
  signal,
}) => {
  const now = Date.now()
  const [first, second] = [now + 10_000, now + 11_000]
  const cluster = prometheusWith([
    { always: [[first, 1]] },
    { always: [[first, 1]], value: [[first, 0.5]], pending: [[first, 1]] },
    {
      always: [
        [first, 1],
        [second, 1],
      ],
      value: [[first, 0.5]],
      pending: [[first, 1]],
    },
    {
      always: [
        [first, 1],
        [second, 1],
      ],
      value: [
        [first, 0.5],
        [second, 0],
      ],
      pending: [[first, 1]],
    },
  ])
  const told: [number, Evaluation][] = []
  const failed: string[] = []
  const tell = {
    observed: (value: unknown, atMs: number) => told.push([atMs, value as Evaluation]),
    failed: (why: string) => failed.push(why),
  }
  await using _running = await evaluations('Bad', RECORDED).start({ cluster, signal } as Context, tell)
  const look = async () => (told.length >= 2 ? ready(undefined) : pending(`${told.length} told, ${failed.join()}`))
  await waitFor('two evaluations', look, { timeoutMs: 9_000, everyMs: 20, signal })
  assert.equal(told, [
    [first, { state: 'pending', value: 0.5 }],
    [second, { state: 'inactive', value: 0 }],
  ])
  assert.equal(failed, [])
})

test.run()
